// Means and maxima over the rows of a slice; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/generic/norm_pool.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// Rows that are summed in float before the sum joins a double: rounding does not grow with the size
// of the map.
inline constexpr std::size_t kRowsInFloat = 64;

// What is left of a tensor from p on, zeros behind its end.
template <class V>
CN_INLINE V load_until(const float* p, const float* end) {
  if (end - p >= static_cast<std::ptrdiff_t>(V::width)) return V::load(p);
  float lanes[V::width] = {};
  for (std::size_t i = 0; p + i < end; ++i) lanes[i] = p[i];
  return V::load(lanes);
}

// A vector of columns, `rows` of them joined. Unless the rows are `Whole` vectors, lanes behind the
// columns hold anything.
template <class V, class Op, bool Whole>
CN_INLINE V join_rows(const float* x, std::size_t rows, std::size_t stride, const float* end) {
  const auto load = [&](const float* p)
                        CN_LAMBDA { return Whole ? V::load(p) : load_until<V>(p, end); };
  V all = load(x);
  std::size_t row = 1;
  for (; row + 4 <= rows; row += 4) {
    const float* at = x + row * stride;
    const V ab = Op::join(load(at), load(at + stride));
    const V cd = Op::join(load(at + 2 * stride), load(at + 3 * stride));
    all = Op::join(all, Op::join(ab, cd));
  }
  for (; row < rows; ++row) all = Op::join(all, load(x + row * stride));
  return all;
}

// totals[lane] of a vector of columns, block by block; sums join in double.
template <class V, class Op, bool Whole>
CN_INLINE void join_blocks(const float* x, std::size_t rows, std::size_t stride, const float* end,
                           double (&totals)[V::width]) {
  for (std::size_t row = 0; row < rows; row += kRowsInFloat) {
    const std::size_t count = rows - row < kRowsInFloat ? rows - row : kRowsInFloat;
    float block[V::width];
    join_rows<V, Op, Whole>(x + row * stride, count, stride, end).store(block);
    for (std::size_t i = 0; i < V::width; ++i) {
      const auto part = static_cast<double>(block[i]);
      totals[i] = row == 0 ? part : Op::join(totals[i], part);
    }
  }
}

// Rows narrower than a vector are taken several at a time, as one row.
template <class V, class Op>
CN_INLINE void reduce_narrow(const ReduceBlock& b, double scale) {
  const std::size_t most = V::width / b.cols;
  const std::size_t together = most < b.rows ? most : b.rows;
  const std::size_t cols = together * b.cols, rows = b.rows / together;
  const float* end = b.x + b.rows * b.cols;
  double totals[V::width] = {};
  if (cols == V::width) {
    join_blocks<V, Op, true>(b.x, rows, cols, end, totals);
  } else {
    join_blocks<V, Op, false>(b.x, rows, cols, end, totals);
  }
  // Half to half, so that few of them wait for each other.
  for (std::size_t left = together; left > 1;) {
    const std::size_t half = (left + 1) / 2;
    for (std::size_t i = 0; i < (left - half) * b.cols; ++i) {
      totals[i] = Op::join(totals[i], totals[half * b.cols + i]);
    }
    left = half;
  }
  for (const float* rest = b.x + rows * cols; rest != end; rest += b.cols) {
    for (std::size_t i = 0; i < b.cols; ++i) {
      totals[i] = Op::join(totals[i], static_cast<double>(rest[i]));
    }
  }
  for (std::size_t i = 0; i < b.cols; ++i) b.out[i] = static_cast<float>(totals[i] * scale);
}

template <class V, class Op>
CN_INLINE void reduce_columns(const ReduceBlock& b, double scale) {
  const float* end = b.x + (b.rows - 1) * b.stride + b.cols;
  for (std::size_t col = 0; col < b.cols; col += V::width) {
    double totals[V::width] = {};
    if (b.cols - col >= V::width) {
      join_blocks<V, Op, true>(b.x + col, b.rows, b.stride, end, totals);
    } else {
      join_blocks<V, Op, false>(b.x + col, b.rows, b.stride, end, totals);
    }
    for (std::size_t i = 0; i < V::width && col + i < b.cols; ++i) {
      b.out[col + i] = static_cast<float>(totals[i] * scale);
    }
  }
}

template <class V, class Op>
CN_INLINE void reduce_slice(const ReduceBlock& b, double scale) {
  if (b.cols < V::width && b.stride == b.cols) {
    reduce_narrow<V, Op>(b, scale);
  } else {
    reduce_columns<V, Op>(b, scale);
  }
}

template <class V>
void reduce_block(const ReduceBlock& b) {
  if (b.mean) {
    reduce_slice<V, Sum<V>>(b, 1.0 / static_cast<double>(b.rows));
  } else {
    reduce_slice<V, Largest<V>>(b, 1.0);
  }
}

// A sum of zero times each number is zero, unless one is infinite or not a number.
template <class V>
bool all_finite(const float* x, std::size_t count) {
  constexpr std::size_t kSums = 4;  // chains that overlap
  const V zero = V::broadcast(0.0F);
  V sums[kSums] = {zero, zero, zero, zero};
  std::size_t i = 0;
  for (; i + kSums * V::width <= count; i += kSums * V::width) {
    unroll<kSums>(
        [&](auto k) CN_LAMBDA { sums[k] = V::fma(zero, V::load(x + i + k * V::width), sums[k]); });
  }
  for (; i < count; i += V::width) {
    sums[0] = V::fma(zero, load_until<V>(x + i, x + count), sums[0]);
  }
  float lanes[V::width];
  ((sums[0] + sums[1]) + (sums[2] + sums[3])).store(lanes);
  bool finite = true;
  for (const float lane : lanes) finite = finite && lane == 0.0F;
  return finite;
}

}  // namespace cn
