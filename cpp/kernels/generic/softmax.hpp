// Exponentials over their sum; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/generic/activation.hpp"
#include "kernels/generic/reduce.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// exp(x) for x <= 0, within 2e-7 of it; below -87, where float32 ends, exp(-87).
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
    // log 2 in two parts, the first short enough for an exact product.
    r[k] = V::fma(n, constant(-0.693359375F), bounded);
    r[k] = V::fma(n, constant(2.12194440e-4F), r[k]);
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

template <class V>
CN_INLINE float largest_of(const float* x, std::size_t count, bool& finite) {
  V largest[kRowVectors];
  FiniteCheck<V, kRowVectors> check;
  for (V& v : largest) v = V::broadcast(x[0]);
  for_vectors<V>(0, count, [&](std::size_t i, auto vectors) CN_LAMBDA {
    unroll<vectors>([&](auto k) CN_LAMBDA {
      const V v = V::load_once(x + i + k * V::width);
      check.template look<k>(v);
      largest[k] = V::max(largest[k], v);
    });
  });
  float lanes[V::width];
  V::max(V::max(largest[0], largest[1]), V::max(largest[2], largest[3])).store(lanes);
  float most = join_lanes<V::width>(lanes, [](float a, float b) { return a > b ? a : b; });
  const std::size_t whole = count / V::width * V::width;
  for (std::size_t i = whole; i < count; ++i) most = x[i] > most ? x[i] : most;
  if (whole != count) check.template look<0>(load_until<V>(x + whole, x + count));
  finite = check.all_finite();
  return most;
}

// The sum of exp(x - shift), which are left in y if they are wanted.
template <class V, bool Wanted>
CN_INLINE double exponentials(const float* x, std::size_t count, V shift, float* y) {
  constexpr std::size_t kPart = kRowsInFloat * V::width;
  const std::size_t whole = count / V::width * V::width;
  double sum = 0.0;
  for (std::size_t first = 0; first < whole; first += kPart) {
    V part[kRowVectors];
    for (V& v : part) v = V::broadcast(0.0F);
    const std::size_t next = first + kPart < whole ? first + kPart : whole;
    for_vectors<V>(first, next, [&](std::size_t i, auto vectors) CN_LAMBDA {
      V e[vectors];
      unroll<vectors>([&](auto k) CN_LAMBDA { e[k] = V::load(x + i + k * V::width) - shift; });
      exp_of_negative(e);
      unroll<vectors>([&](auto k) CN_LAMBDA {
        if (Wanted) e[k].store(y + i + k * V::width);
        part[k] = part[k] + e[k];
      });
    });
    float lanes[V::width];
    ((part[0] + part[1]) + (part[2] + part[3])).store(lanes);
    double sums[V::width];
    for (std::size_t i = 0; i < V::width; ++i) sums[i] = static_cast<double>(lanes[i]);
    sum += join_lanes<V::width>(sums, [](double a, double b) { return a + b; });
  }
  if (whole != count) {
    V e[1] = {load_until<V>(x + whole, x + count) - shift};
    exp_of_negative(e);
    float lanes[V::width];
    e[0].store(lanes);
    for (std::size_t i = whole; i < count; ++i) sum += static_cast<double>(lanes[i - whole]);
    if (Wanted) store_until(e[0], y + whole, y + count);
  }
  return sum;
}

// y = v * last of what is left in y, or (x - shift) - last.
template <class V, bool Logarithm>
CN_INLINE void finish_row(const float* x, std::size_t count, V shift, V last, float* y) {
  const float* from = Logarithm ? x : y;
  const auto finish = [&](V v) CN_LAMBDA { return Logarithm ? (v - shift) - last : v * last; };
  for_vectors<V>(0, count, [&](std::size_t i, auto vectors) CN_LAMBDA {
    unroll<vectors>([&](auto k) CN_LAMBDA {
      const std::size_t at = i + k * V::width;
      finish(V::load(from + at)).store(y + at);
    });
  });
  const std::size_t whole = count / V::width * V::width;
  if (whole == count) return;
  store_until(finish(load_until<V>(from + whole, from + count)), y + whole, y + count);
}

// Columns whose places are neighbours: the lanes lie along the axis. A few take turns at each pass,
// so that the ends of one, where lanes are joined, overlap with the next one.
template <class V, bool Logarithm>
CN_INLINE bool softmax_rows(const SoftmaxBlock& b) {
  constexpr std::size_t kRows = 2;
  bool finite = true;
  for (std::size_t first = 0; first < b.columns; first += kRows) {
    const std::size_t rows = b.columns - first < kRows ? b.columns - first : kRows;
    const float* x = b.x + first * b.column_step;
    float* y = b.y + first * b.column_step;
    float shift[kRows], last[kRows];
    for (std::size_t r = 0; r < rows; ++r) {
      bool all = true;
      shift[r] = largest_of<V>(x + r * b.column_step, b.axis, all);
      finite = finite && all;
    }
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t at = r * b.column_step;
      const double sum =
          exponentials<V, !Logarithm>(x + at, b.axis, V::broadcast(shift[r]), y + at);
      last[r] = static_cast<float>(Logarithm ? __builtin_log(sum) : 1.0 / sum);
    }
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t at = r * b.column_step;
      finish_row<V, Logarithm>(x + at, b.axis, V::broadcast(shift[r]), V::broadcast(last[r]),
                               y + at);
    }
  }
  return finite;
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
