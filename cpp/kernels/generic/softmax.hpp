// Exponentials over their sum; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/generic/activation.hpp"
#include "kernels/generic/reduce.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// exp(x) for x <= 0, within 2e-7 of it and 2.8e-9 |x| more where multiply-adds are fused; below
// -87, where float32 ends, exp(-87).
template <class V, std::size_t N>
CN_INLINE void exp_of_negative(V (&x)[N]) {
  const auto constant = [](float c) CN_LAMBDA { return V::broadcast(c); };
  // x = n log 2 + r, |r| <= log(2) / 2: the magic number leaves n in the last bits.
  constexpr float kMagic = 12582912.0F;  // 1.5 * 2^23
  // Fitted for the least maximal relative error (iteratively reweighted least squares, p(0) = 1):
  // 1.7e-8 with coefficients in float.
  constexpr float kExp[] = {1.0F,      1.0F,          0.49999994F,  0.16666432F,
                            0.041668F, 0.0083741555F, 0.0013843654F};
  V magic[N], r[N], p[N];
  unroll<N>([&](auto k) CN_LAMBDA {
    const V bounded = V::max(constant(-87.0F), x[k]);
    magic[k] = V::fma(bounded, constant(1.44269504F), constant(kMagic));
    const V n = magic[k] - constant(kMagic);
    if constexpr (V::fused) {
      r[k] = V::fma(n, constant(-0.693147181F), bounded);
    } else {  // log 2 in two parts, the first short enough for an exact product
      r[k] = V::fma(n, constant(-0.693359375F), bounded);
      r[k] = V::fma(n, constant(2.12194440e-4F), r[k]);
    }
  });
  polynomial(kExp, r, p);
  unroll<N>([&](auto k) CN_LAMBDA { x[k] = p[k] * V::power_of_two(magic[k]); });
}

template <class V>
CN_INLINE V logarithm_of(V x) {
  float lanes[V::width];
  x.store(lanes);
  for (float& lane : lanes) lane = __builtin_logf(lane);
  return V::load(lanes);
}

// A vector of columns, one place of the axis below the other.
template <class V>
CN_INLINE bool softmax_columns(const SoftmaxBlock& b, std::size_t col) {
  const std::size_t count = b.columns - col < V::width ? b.columns - col : V::width;
  const auto load = [&](const float* at) CN_LAMBDA { return load_until<V>(at, at + count); };
  const float* x = b.x + col;
  float* y = b.y + col;
  V largest = load(x);
  FiniteCheck<V, 1> check;
  for (std::size_t a = 0; a < b.axis; ++a) {
    const V v = load(x + a * b.step);
    check.template look<0>(v);
    largest = V::max(largest, v);
  }
  V sum = V::broadcast(0.0F);
  for (std::size_t a = 0; a < b.axis; ++a) {
    V e[1] = {load(x + a * b.step) - largest};
    exp_of_negative(e);
    sum = sum + e[0];
    if (!b.logarithm) store_until(e[0], y + a * b.step, y + a * b.step + count);
  }
  const V last = b.logarithm ? logarithm_of(sum) : V::broadcast(1.0F) / sum;
  for (std::size_t a = 0; a < b.axis; ++a) {
    float* to = y + a * b.step;
    const V e = b.logarithm ? (load(x + a * b.step) - largest) - last : load(to) * last;
    store_until(e, to, to + count);
  }
  return check.all_finite();
}

// Vectors of a row at a time: their chains of operations overlap.
inline constexpr std::size_t kRowVectors = 4;

// body(i, count of vectors) for the whole vectors of a row from `begin` on.
template <class V, class Body>
CN_INLINE void for_vectors(std::size_t begin, std::size_t end, const Body& body) {
  std::size_t i = begin;
#pragma GCC unroll 1
  for (; i + kRowVectors * V::width <= end; i += kRowVectors * V::width) {
    body(i, Index<kRowVectors>{});
  }
#pragma GCC unroll 1
  for (; i + V::width <= end; i += V::width) body(i, Index<1>{});
}

// Rows that take turns at each pass, so that the ends of one, where lanes are joined, overlap with
// the next one.
inline constexpr std::size_t kSoftmaxRows = 4;

// Numbers of a row behind its whole vectors are met in its last vector, with some before them.

template <class V, class Check>
CN_INLINE V largest_of_row(const float* x, std::size_t count, Check& check) {
  V largest[kRowVectors];
  for (V& v : largest) v = V::load(x);
  const auto look = [&](const float* at, auto k) CN_LAMBDA {
    const V v = V::load_once(at);
    check.template look<k>(v);
    largest[k] = V::max(largest[k], v);
  };
  for_vectors<V>(0, count, [&](std::size_t i, auto vectors) CN_LAMBDA {
    unroll<vectors>([&](auto k) CN_LAMBDA { look(x + i + k * V::width, k); });
  });
  if (count % V::width != 0) look(x + count - V::width, Index<0>{});
  return V::max(V::max(largest[0], largest[1]), V::max(largest[2], largest[3]));
}

// Sums of exp(x - shift), which are left in y if they are wanted. Not more than kRowsInFloat
// vectors and a part of one. Meanwhile asks for what is `ahead` of x, if anything is.
template <class V, bool Wanted, bool Ahead>
CN_INLINE V exponentials(const float* x, std::size_t count, V shift, float* y, std::size_t ahead) {
  V part[kRowVectors];
  for (V& v : part) v = V::broadcast(0.0F);
  for_vectors<V>(0, count, [&](std::size_t i, auto vectors) CN_LAMBDA {
    V e[vectors];
    unroll<vectors>([&](auto k) CN_LAMBDA {
      const float* at = x + i + k * V::width;
      if constexpr (Ahead && V::width > 1) __builtin_prefetch(at + ahead);
      e[k] = V::load(at) - shift;
    });
    exp_of_negative(e);
    unroll<vectors>([&](auto k) CN_LAMBDA {
      if (Wanted) e[k].store(y + i + k * V::width);
      part[k] = part[k] + e[k];
    });
  });
  if (const std::size_t left = count % V::width; left != 0) {
    const std::size_t at = count - V::width;
    V e[1] = {V::load(x + at) - shift};
    exp_of_negative(e);
    if (Wanted) e[0].store(y + at);
    part[0] = part[0] + last_lanes(e[0], left);
  }
  return (part[0] + part[1]) + (part[2] + part[3]);
}

// The same for any count of at least V::width: parts of a long row join in double. A row that is
// one part asks for the row `ahead` of it.
template <class V, bool Wanted>
CN_INLINE V exponentials_of_row(const float* x, std::size_t count, V shift, float* y,
                                std::size_t ahead) {
  constexpr std::size_t kPart = kRowsInFloat * V::width;
  if (count < kPart + V::width) return exponentials<V, Wanted, true>(x, count, shift, y, ahead);
  double sums[V::width] = {};
  float lanes[V::width];
  for (std::size_t first = 0; first < count;) {
    // The last part has a whole vector at least.
    const std::size_t next = count - first < kPart + V::width ? count : first + kPart;
    exponentials<V, Wanted, false>(x + first, next - first, shift, y + first, 0).store(lanes);
    for (std::size_t i = 0; i < V::width; ++i) sums[i] += static_cast<double>(lanes[i]);
    first = next;
  }
  for (std::size_t i = 0; i < V::width; ++i) lanes[i] = static_cast<float>(sums[i]);
  return V::load(lanes);
}

// y = v * last of what is left in y, or (x - shift) - last.
template <class V, bool Logarithm>
CN_INLINE void finish_row(const float* x, std::size_t count, V shift, V last, float* y) {
  const float* from = Logarithm ? x : y;
  const auto finish = [&](std::size_t at) CN_LAMBDA {
    const V v = V::load(from + at);
    return Logarithm ? (v - shift) - last : v * last;
  };
  const V end = finish(count - V::width);  // before what it shares with others is finished
  for_vectors<V>(0, count, [&](std::size_t i, auto vectors) CN_LAMBDA {
    unroll<vectors>([&](auto k) CN_LAMBDA {
      const std::size_t at = i + k * V::width;
      finish(at).store(y + at);
    });
  });
  end.store(y + count - V::width);
}

// totals[i] = the lanes of rows[i], joined.
template <class V, class Op>
CN_INLINE void join_rows_of_four(const float (&rows)[kSoftmaxRows][V::width],
                                 float (&totals)[kSoftmaxRows]) {
  float lanes[V::width];
  if constexpr (V::width < 4) {
    for (std::size_t r = 0; r < kSoftmaxRows; ++r) totals[r] = rows[r][0];
    return;
  } else {
    join_in_turns<V, Op>(rows).store(lanes);
  }
  for (std::size_t half = V::width / 2; half >= 4; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) lanes[i] = Op::join(lanes[i], lanes[half + i]);
  }
  for (std::size_t r = 0; r < kSoftmaxRows; ++r) totals[r] = lanes[r];
}

// Columns whose places are neighbours: the lanes lie along the axis.
template <class V, bool Logarithm>
CN_INLINE bool softmax_rows(const SoftmaxBlock& b) {
  static_assert(V::width == 1 || V::width >= kSoftmaxRows);
  FiniteCheck<V, kRowVectors> check;
  float rows[kSoftmaxRows][V::width] = {};
  float shift[kSoftmaxRows], last[kSoftmaxRows];
  const std::size_t ahead = kSoftmaxRows * b.column_step;
  for (std::size_t first = 0; first < b.columns; first += kSoftmaxRows) {
    const std::size_t left = b.columns - first;
    const auto each = [&](const auto& body) CN_LAMBDA {
      for (std::size_t r = 0; r < kSoftmaxRows && r < left; ++r) {
        const std::size_t at = (first + r) * b.column_step;
        body(r, b.x + at, b.y + at);
      }
    };
    each([&](std::size_t r, const float* x, float*)
             CN_LAMBDA { largest_of_row<V>(x, b.axis, check).store(rows[r]); });
    join_rows_of_four<V, LargestFinite<V>>(rows, shift);
    each([&](std::size_t r, const float* x, float* y) CN_LAMBDA {
      exponentials_of_row<V, !Logarithm>(x, b.axis, V::broadcast(shift[r]), y, ahead)
          .store(rows[r]);
    });
    join_rows_of_four<V, Sum<V>>(rows, last);
    for (float& sum : last) sum = Logarithm ? __builtin_logf(sum) : 1.0F / sum;
    each([&](std::size_t r, const float* x, float* y) CN_LAMBDA {
      finish_row<V, Logarithm>(x, b.axis, V::broadcast(shift[r]), V::broadcast(last[r]), y);
    });
  }
  return check.all_finite();
}

template <class V>
bool softmax_block(const SoftmaxBlock& b) {
  if (b.column_step != 1) {
    return b.logarithm ? softmax_rows<V, true>(b) : softmax_rows<V, false>(b);
  }
  bool finite = true;
  for (std::size_t col = 0; col < b.columns; col += V::width) {
    finite = softmax_columns<V>(b, col) && finite;
  }
  return finite;
}

}  // namespace cn
