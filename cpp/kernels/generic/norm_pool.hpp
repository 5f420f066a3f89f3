// Normalization and max-pooling of one row; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.hpp"

namespace cn {

// Columns of input handled at a time: their maximum over planes and rows stays in L1.
inline constexpr std::size_t kColumnChunk = 512;

// The larger of the two. A NaN once met stays: V::max lets one in y through, the comparison one in
// best.
template <class V>
inline V keep_max(V best, V y) {
  return V::where_ge(best, best, V::max(best, y), best);
}

// best[i] = max over planes and rows of the normalized column first + i.
template <class V>
inline V column_max(const NormPoolRow& r, std::size_t col, V (*load)(const float*)) {
  V best = V::broadcast(0.0F);
  for (std::size_t p = 0; p < r.planes; ++p) {
    for (std::size_t row = 0; row < r.rows; ++row) {
      V y = load(r.x + p * r.plane_stride + row * r.row_stride + col);
      if (r.scale != nullptr) {
        const std::size_t s = p * r.plane_step + row * r.row_step + col * r.col_step;
        const V scale = r.col_step != 0 ? load(r.scale + s) : V::broadcast(r.scale[s]);
        const V shift = r.col_step != 0 ? load(r.shift + s) : V::broadcast(r.shift[s]);
        y = V::fma(scale, y, shift);
      }
      best = p == 0 && row == 0 ? y : keep_max(best, y);
    }
  }
  return best;
}

template <class V>
inline V load_one(const float* p) {
  return V::broadcast(*p);
}

template <class V>
inline void column_maxima(const NormPoolRow& r, std::size_t first, std::size_t count, float* best) {
  std::size_t i = 0;
  for (; i + V::width <= count; i += V::width) {
    column_max<V>(r, first + i, V::load).store(best + i);
  }
  for (; i < count; ++i) {
    // One column in all lanes: the same arithmetic as in a full vector.
    float lanes[V::width];
    column_max<V>(r, first + i, load_one<V>).store(lanes);
    best[i] = lanes[0];
  }
}

template <class V>
void norm_pool_row(const NormPoolRow& r) {
  if (r.window == 1 && r.stride == 1 && r.left == 0) {
    column_maxima<V>(r, 0, r.out_cols, r.out);
    return;
  }
  std::size_t done = 0;  // columns of the result
  if (r.window == 2 && r.stride == 2 && r.left == 0) {
    // The usual pool with vectors to the end: pairs of columns part into two vectors.
    for (; 2 * (done + V::width) <= r.cols; done += V::width) {
      V y[2] = {column_max<V>(r, 2 * done, V::load),
                column_max<V>(r, 2 * done + V::width, V::load)};
      V::deinterleave(y);
      keep_max(y[0], y[1]).store(r.out + done);
    }
  }
  float best[kColumnChunk];
  std::size_t first = 0, end = 0;  // columns that `best` holds
  for (std::size_t j = done; j < r.out_cols; ++j) {
    const std::size_t from = j * r.stride < r.left ? 0 : j * r.stride - r.left;
    const std::size_t reach = j * r.stride + r.window - r.left;
    const std::size_t to = reach < r.cols ? reach : r.cols;
    float largest = 0.0F;
    for (std::size_t col = from; col < to; ++col) {
      if (col < first || col >= end) {
        first = col;
        end = col + kColumnChunk < r.cols ? col + kColumnChunk : r.cols;
        column_maxima<V>(r, first, end - first, best);
      }
      const float y = best[col - first];
      const bool first_column = col == from;
      if (first_column || (largest == largest && !(y <= largest))) largest = y;  // NaN stays
    }
    r.out[j] = largest;
  }
}

}  // namespace cn
