// Means and maxima over the rows of a slice; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/generic/finite.hpp"
#include "kernels/generic/norm_pool.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// Rows that are summed in float before the sum joins a double: rounding does not grow with the size
// of the map.
inline constexpr std::size_t kRowsInFloat = 64;

// A vector of columns, `rows` of them joined. Unless the rows are `Whole` vectors, lanes behind the
// columns hold anything.
template <class V, class Op, bool Whole, class Check>
CN_INLINE V join_rows(const float* x, std::size_t rows, std::size_t stride, const float* end,
                      Check& check) {
  const auto load_as = [&](auto chain, const float* p) CN_LAMBDA {
    const V v = Whole ? V::load_once(p) : load_until<V>(p, end);  // for the check, too
    check.template look<chain>(v);
    return v;
  };
  const auto load = [&](const float* p) CN_LAMBDA { return load_as(Index<0>{}, p); };
  V all = load(x);
  std::size_t row = 1;
  for (; row + 4 <= rows; row += 4) {
    const float* at = x + row * stride;
    const V ab = Op::join(load(at), load_as(Index<1>{}, at + stride));
    const V cd =
        Op::join(load_as(Index<2>{}, at + 2 * stride), load_as(Index<3>{}, at + 3 * stride));
    all = Op::join(all, Op::join(ab, cd));
  }
  for (; row < rows; ++row) all = Op::join(all, load(x + row * stride));
  return all;
}

// totals[lane] of a vector of columns, block by block.
template <class V, class Op, bool Whole, class Check>
CN_INLINE void join_blocks(const float* x, std::size_t rows, std::size_t stride, const float* end,
                           Check& check, typename Op::Total (&totals)[V::width]) {
  for (std::size_t row = 0; row < rows; row += kRowsInFloat) {
    const std::size_t count = rows - row < kRowsInFloat ? rows - row : kRowsInFloat;
    float block[V::width];
    join_rows<V, Op, Whole>(x + row * stride, count, stride, end, check).store(block);
    for (std::size_t i = 0; i < V::width; ++i) {
      const auto part = static_cast<typename Op::Total>(block[i]);
      totals[i] = row == 0 ? part : Op::join(totals[i], part);
    }
  }
}

// Rows narrower than a vector are taken several at a time, as one row.
template <class V, class Op, class Check>
CN_INLINE void reduce_narrow(const ReduceBlock& b, double scale, Check& check) {
  const std::size_t most = V::width / b.cols;
  const std::size_t together = most < b.rows ? most : b.rows;
  const std::size_t cols = together * b.cols, rows = b.rows / together;
  const float* end = b.x + b.rows * b.cols;
  typename Op::Total totals[V::width] = {};
  if (cols == V::width) {
    join_blocks<V, Op, true>(b.x, rows, cols, end, check, totals);
  } else {
    join_blocks<V, Op, false>(b.x, rows, cols, end, check, totals);
  }
  if (cols == V::width && b.cols == 1) {
    join_lanes(totals, [](auto x, auto y) { return Op::join(x, y); });
  } else {
    for (std::size_t left = together; left > 1;) {
      const std::size_t half = (left + 1) / 2;
      for (std::size_t i = 0; i < (left - half) * b.cols; ++i) {
        totals[i] = Op::join(totals[i], totals[half * b.cols + i]);
      }
      left = half;
    }
  }
  for (const float* rest = b.x + rows * cols; rest != end; rest += b.cols) {
    if constexpr (!std::is_same_v<Check, NoCheck>) check.template look<0>(load_until<V>(rest, end));
    for (std::size_t i = 0; i < b.cols; ++i) {
      totals[i] = Op::join(totals[i], static_cast<typename Op::Total>(rest[i]));
    }
  }
  for (std::size_t i = 0; i < b.cols; ++i)
    b.out[i] = static_cast<float>(static_cast<double>(totals[i]) * scale);
}

template <class V, class Op, class Check>
CN_INLINE void reduce_columns(const ReduceBlock& b, double scale, Check& check) {
  const float* end = b.x + (b.rows - 1) * b.stride + b.cols;
  for (std::size_t col = 0; col < b.cols; col += V::width) {
    typename Op::Total totals[V::width] = {};
    if (b.cols - col >= V::width) {
      join_blocks<V, Op, true>(b.x + col, b.rows, b.stride, end, check, totals);
    } else {
      join_blocks<V, Op, false>(b.x + col, b.rows, b.stride, end, check, totals);
    }
    for (std::size_t i = 0; i < V::width && col + i < b.cols; ++i) {
      b.out[col + i] = static_cast<float>(static_cast<double>(totals[i]) * scale);
    }
  }
}

// Zeros in all lanes but the last `count`.
template <class V>
CN_INLINE V last_lanes(V x, std::size_t count) {
  struct Mask {
    std::uint32_t bits[2 * V::width] = {};
    constexpr Mask() {
      for (std::size_t i = V::width; i < 2 * V::width; ++i) bits[i] = 0xffffffff;
    }
  };
  static constexpr Mask kMask{};
  return V::keep(kMask.bits + count, x);
}

// Four vectors become one whose lanes belong to them in turns.
template <class V, class Op>
CN_INLINE V join_in_turns(const float (*rows)[V::width]) {
  V x[4];
  unroll<4>([&](auto k) CN_LAMBDA { x[k] = V::load(rows[k]); });
  V::interleave(x);
  return Op::join(Op::join(x[0], x[1]), Op::join(x[2], x[3]));
}

// As many rows as a vector has lanes, each joined in a vector of its own, become one vector: of
// those with turns, as many as there are turns, again in turns.
template <class V, class Op>
CN_INLINE void join_across(const float (&rows)[V::width][V::width], float* out, std::size_t count,
                           float scale) {
  constexpr std::size_t kTurns = V::width / 4;
  V four[kTurns];
  unroll<kTurns>([&](auto t) CN_LAMBDA { four[t] = join_in_turns<V, Op>(rows + t * 4); });
  if constexpr (kTurns == 4) {
    V::interleave(four);
    four[0] = Op::join(Op::join(four[0], four[1]), Op::join(four[2], four[3]));
  } else if constexpr (kTurns == 2) {
    V::interleave(four);
    four[0] = Op::join(four[0], four[1]);
  }
  float lanes[V::width];
  (four[0] * V::broadcast(scale)).store(lanes);
  for (std::size_t i = 0; i < count; ++i) out[i] = lanes[i % 4 * kTurns + i / 4];
}

// Slices of one column, short enough to be joined in float: rows of a map behind each other.
template <class V, class Op, class Check>
CN_INLINE void reduce_rows(const ReduceBlock& b, double scale, Check& check) {
  const std::size_t whole = b.rows / V::width, left = b.rows % V::width;
  for (std::size_t first = 0; first < b.slices; first += V::width) {
    const std::size_t count = b.slices - first < V::width ? b.slices - first : V::width;
    float rows[V::width][V::width];
    for (std::size_t i = 0; i < count; ++i) {
      const float* x = b.x + (first + i) * b.rows;
      const float* end = x + b.rows;
      V all = join_rows<V, Op, true>(x, whole, V::width, end, check);
      if (left != 0) {
        const V rest = V::load_once(end - V::width);  // a maximum may look twice, a sum may not
        check.template look<0>(rest);
        all = Op::join(all, std::is_same_v<Op, Sum<V>> ? last_lanes(rest, left) : rest);
      }
      all.store(rows[i]);
    }
    for (std::size_t i = count; i < V::width; ++i) V::broadcast(0.0F).store(rows[i]);
    join_across<V, Op>(rows, b.out + first, count, static_cast<float>(scale));
  }
}

template <class V, class Op, class Check>
CN_INLINE void reduce_slices(ReduceBlock b, double scale, Check& check) {
  if constexpr (V::width >= 4) {
    const bool rows = b.cols == 1 && b.stride == 1;
    if (rows && b.rows >= V::width && b.rows <= kRowsInFloat * V::width) {
      return reduce_rows<V, Op>(b, scale, check);
    }
  }
  for (std::size_t slice = 0; slice < b.slices; ++slice) {
    if (b.cols < V::width && b.stride == b.cols) {
      reduce_narrow<V, Op>(b, scale, check);
    } else {
      reduce_columns<V, Op>(b, scale, check);
    }
    b.x += b.rows * b.stride;
    b.out += b.cols;
  }
}

template <class V>
bool reduce_block(const ReduceBlock& b) {
  NoCheck none;
  if (b.mean) {
    reduce_slices<V, Sum<V>>(b, 1.0 / static_cast<double>(b.rows), none);
    return all_finite<V>(b.out, b.slices * b.cols);
  }
  FiniteCheck<V, 4> check;
  reduce_slices<V, LargestFinite<V>>(b, 1.0, check);
  if (check.all_finite()) return true;
  reduce_slices<V, Largest<V>>(b, 1.0, none);
  return false;
}

}  // namespace cn
