// Normalization and pooling of one row; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.hpp"

namespace cn {

// Columns of input handled at a time: what planes and rows make of them stays in L1.
inline constexpr std::size_t kColumnChunk = 512;
// Windows up to this wide slide over whole vectors.
inline constexpr std::size_t kWidestSlide = 128;

// The larger of the two. A NaN once met stays: V::max lets one in y through, the comparison one in
// best.
template <class V>
inline V keep_max(V best, V y) {
  return V::where_ge(best, best, V::max(best, y), best);
}

// What becomes of a window: its largest element, or the sum that is divided later.
template <class V>
struct Largest {
  using Total = float;
  static V join(V best, V y) { return keep_max(best, y); }
  template <class T>
  static T join(T best, T y) {
    return best == best && !(y <= best) ? y : best;
  }
  static float neutral() { return -__builtin_inff(); }
};

template <class V>
struct Sum {
  using Total = double;  // of many floats
  static V join(V sum, V y) { return sum + y; }
  template <class T>
  static T join(T sum, T y) {
    return sum + y;
  }
  static float neutral() { return 0.0F; }
};

template <class V, bool kNormed>
inline V value_at(const NormPoolRow& r, std::size_t p, std::size_t row, std::size_t col,
                  V (*load)(const float*)) {
  const V x = load(r.x + p * r.plane_stride + row * r.row_stride + col);
  if constexpr (!kNormed) return x;
  const std::size_t s = p * r.plane_step + row * r.row_step + col * r.col_step;
  const V scale = r.col_step != 0 ? load(r.scale + s) : V::broadcast(r.scale[s]);
  const V shift = r.col_step != 0 ? load(r.shift + s) : V::broadcast(r.shift[s]);
  return V::fma(scale, x, shift);
}

template <class V, class Op, bool kNormed>
inline V join_planes(const NormPoolRow& r, std::size_t col, V (*load)(const float*)) {
  V all = value_at<V, kNormed>(r, 0, 0, col, load);
  for (std::size_t row = 1; row < r.rows; ++row) {
    all = Op::join(all, value_at<V, kNormed>(r, 0, row, col, load));
  }
  for (std::size_t p = 1; p < r.planes; ++p) {
    for (std::size_t row = 0; row < r.rows; ++row) {
      all = Op::join(all, value_at<V, kNormed>(r, p, row, col, load));
    }
  }
  return all;
}

// What planes and rows make of the normalized column `col`.
template <class V, class Op>
inline V join_column(const NormPoolRow& r, std::size_t col, V (*load)(const float*)) {
  return r.scale != nullptr ? join_planes<V, Op, true>(r, col, load)
                            : join_planes<V, Op, false>(r, col, load);
}

template <class V>
inline V load_one(const float* p) {
  return V::broadcast(*p);
}

template <class V, class Op>
inline void join_columns(const NormPoolRow& r, std::size_t first, std::size_t count, float* out) {
  std::size_t i = 0;
  for (; i + V::width <= count; i += V::width) {
    join_column<V, Op>(r, first + i, V::load).store(out + i);
  }
  if (i < count && count >= V::width) {
    // Some columns once more, rather than the rest one by one.
    i = count - V::width;
    join_column<V, Op>(r, first + i, V::load).store(out + i);
    return;
  }
  for (; i < count; ++i) {
    // One column in all lanes: the same arithmetic as in a full vector.
    float lanes[V::width];
    join_column<V, Op>(r, first + i, load_one<V>).store(lanes);
    out[i] = lanes[0];
  }
}

// The columns that window number j covers, without those beyond the map.
struct Columns {
  std::size_t begin, end;
};

template <class V>
inline Columns columns_of(const NormPoolRow& r, std::size_t j) {
  const std::size_t begin = j * r.stride < r.left ? 0 : j * r.stride - r.left;
  const std::size_t end = j * r.stride + r.window - r.left;
  return {begin, end < r.cols ? end : r.cols};
}

// out[j...] for windows that are narrow: at every place of a chunk first, by whole vectors, then
// those that the stride asks for.
template <class V, class Op>
inline void slide(const NormPoolRow& r, std::size_t j) {
  float columns[kColumnChunk], windows[kColumnChunk];
  while (j < r.out_cols) {
    const std::size_t most = (kColumnChunk - r.window) / r.stride + 1;
    const std::size_t count = r.out_cols - j < most ? r.out_cols - j : most;
    const std::size_t places = (count - 1) * r.stride + 1;
    const std::size_t width = places + r.window - 1;
    // Beyond the map lies what changes nothing.
    const std::size_t first = j * r.stride;
    const std::size_t lead = first < r.left ? r.left - first : 0;
    const std::size_t begin = first + lead - r.left;
    const std::size_t inside = width - lead < r.cols - begin ? width - lead : r.cols - begin;
    for (std::size_t i = 0; i < lead; ++i) columns[i] = Op::neutral();
    join_columns<V, Op>(r, begin, inside, columns + lead);
    for (std::size_t i = lead + inside; i < width; ++i) columns[i] = Op::neutral();

    float* to = r.stride == 1 ? r.out + j : windows;
    std::size_t i = 0;
    while (i < places && places >= V::width) {
      if (i + V::width > places) i = places - V::width;
      V all = V::load(columns + i);
      for (std::size_t k = 1; k < r.window; ++k) all = Op::join(all, V::load(columns + i + k));
      all.store(to + i);
      i += V::width;
    }
    for (; i < places; ++i) {
      float all = columns[i];
      for (std::size_t k = 1; k < r.window; ++k) all = Op::join(all, columns[i + k]);
      to[i] = all;
    }
    if (r.stride != 1) {
      std::size_t k = 0;
      for (; r.stride == 2 && 2 * (k + V::width) <= places; k += V::width) {
        V pair[2] = {V::load(windows + 2 * k), V::load(windows + 2 * k + V::width)};
        V::deinterleave(pair);
        pair[0].store(r.out + j + k);
      }
      for (; k < count; ++k) r.out[j + k] = windows[k * r.stride];
    }
    j += count;
  }
}

// out[j...] for windows of any width, one by one.
template <class V, class Op>
inline void step(const NormPoolRow& r, std::size_t j) {
  float columns[kColumnChunk];
  std::size_t first = 0, end = 0;  // columns at hand
  for (; j < r.out_cols; ++j) {
    const Columns window = columns_of<V>(r, j);
    float all = Op::neutral();
    for (std::size_t col = window.begin; col < window.end; ++col) {
      if (col < first || col >= end) {
        first = col;
        end = col + kColumnChunk < r.cols ? col + kColumnChunk : r.cols;
        join_columns<V, Op>(r, first, end - first, columns);
      }
      all = Op::join(all, columns[col - first]);
    }
    r.out[j] = all;
  }
}

template <class V, class Op>
inline void pool_row(const NormPoolRow& r) {
  if (r.window == 1 && r.stride == 1 && r.left == 0) {
    join_columns<V, Op>(r, 0, r.out_cols, r.out);
    return;
  }
  std::size_t done = 0;  // columns of the result
  if (r.window == 2 && r.stride == 2 && r.left == 0) {
    // The usual pool with vectors to the end: pairs of columns part into two vectors.
    const bool whole = 2 * r.out_cols <= r.cols && r.out_cols >= V::width;
    while (2 * (done + V::width) <= r.cols || (whole && done < r.out_cols)) {
      if (done + V::width > r.out_cols) done = r.out_cols - V::width;
      V y[2] = {join_column<V, Op>(r, 2 * done, V::load),
                join_column<V, Op>(r, 2 * done + V::width, V::load)};
      V::deinterleave(y);
      Op::join(y[0], y[1]).store(r.out + done);
      done += V::width;
    }
  }
  if (r.window <= kWidestSlide) {
    slide<V, Op>(r, done);
  } else {
    step<V, Op>(r, done);
  }
}

// From sums to means. Windows at the ends of the row hold fewer columns.
template <class V>
inline void divide_row(const NormPoolRow& r) {
  const auto depth = static_cast<float>(r.planes * r.rows);
  const auto whole = static_cast<float>(r.planes * r.rows * r.window);
  std::size_t j = 0;
  while (j < r.out_cols) {
    const Columns window = columns_of<V>(r, j);
    const std::size_t last = j + V::width - 1;
    const bool inside = window.end - window.begin == r.window && last < r.out_cols &&
                        last * r.stride + r.window - r.left <= r.cols;
    if (inside) {
      (V::load(r.out + j) / V::broadcast(whole)).store(r.out + j);
      j += V::width;
    } else {
      r.out[j] = r.out[j] / (depth * static_cast<float>(window.end - window.begin));
      ++j;
    }
  }
}

template <class V>
void norm_pool_row(const NormPoolRow& r) {
  if (r.mean) {
    pool_row<V, Sum<V>>(r);
    divide_row<V>(r);
  } else {
    pool_row<V, Largest<V>>(r);
  }
}

}  // namespace cn
