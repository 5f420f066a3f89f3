// Normalization and pooling of one row; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/generic/inline.hpp"
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
  static constexpr bool kDivides = false;
  static V finish(V best, const NormPoolRow&, std::size_t) { return best; }
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
  // From sums to means, of the windows from number j on.
  static constexpr bool kDivides = true;
  static V finish(V sum, const NormPoolRow& r, std::size_t j) {
    const auto depth = static_cast<float>(r.planes * r.rows);
    return sum / (V::broadcast(depth) * V::load(r.window_cols + j));
  }
};

// One window by the same arithmetic as in a full vector.
template <class V, class Op>
inline float finish_one(float x, const NormPoolRow& r, std::size_t j) {
  if constexpr (!Op::kDivides) return x;
  return x / (static_cast<float>(r.planes * r.rows) * r.window_cols[j]);
}

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

// The sum of one window at an end of the row, in the order of a whole vector of them.
inline float small_window(const NormPoolRow& r, const Columns& window) {
  float sum = 0.0F;
  for (std::size_t col = window.begin; col < window.end; ++col) {
    float column = r.x[col];
    for (std::size_t row = 1; row < r.rows; ++row) column += r.x[row * r.row_stride + col];
    sum += column;
  }
  return sum;
}

// out[j...], the means of windows of `Window` columns of one plane without a norm, with strides of
// 1 and 2. Every result reads all of its window: keeping what columns have in common costs more, as
// it has to be stored and loaded at once. Maxima, whose joins are dearer, are better off with that.
template <class V, std::size_t Window>
inline void small_means(const NormPoolRow& r, std::size_t j) {
  const auto at = [&](std::size_t first) CN_LAMBDA {  // windows that begin there and behind
    V columns[Window];
    const float* x = r.x + first;
    unroll<Window>([&](auto k) CN_LAMBDA { columns[k] = V::load(x + k); });
#pragma GCC unroll 1
    for (std::size_t row = 1; row < r.rows; ++row) {
      x += r.row_stride;
      unroll<Window>([&](auto k) CN_LAMBDA { columns[k] = columns[k] + V::load(x + k); });
    }
    for (std::size_t k = 1; k < Window; ++k) columns[0] = columns[0] + columns[k];
    return columns[0];
  };
  const auto one = [&] {
    r.out[j] = finish_one<V, Sum<V>>(small_window(r, columns_of<V>(r, j)), r, j);
  };
  for (; j < r.out_cols && j * r.stride < r.left; ++j) one();
  // The windows that a vector can begin with, which reads so many columns.
  const std::size_t reach = r.stride * V::width + Window - 1;
  const std::size_t end = r.cols + r.left < reach ? 0 : (r.cols + r.left - reach) / r.stride + 1;
  const std::size_t last = r.out_cols < V::width ? 0 : r.out_cols - V::width + 1;
  const std::size_t stop = end < last ? end : last;
  while (j < stop) {
    const std::size_t first = j * r.stride - r.left;
    V sums[2] = {at(first)};
    if (r.stride == 2) {
      sums[1] = at(first + V::width);
      V::deinterleave(sums);
    }
    Sum<V>::finish(sums[0], r, j).store(r.out + j);
    // The last vector has some windows once more.
    j = j + 1 < stop && j + V::width >= stop ? stop - 1 : j + V::width;
  }
  for (; j < r.out_cols; ++j) one();
}

// out[j...] from the windows at all places.
template <class V, class Op>
inline void take_windows(const NormPoolRow& r, const float* windows, std::size_t j,
                         std::size_t count) {
  std::size_t k = 0;
  if (r.stride == 1 && count >= V::width) {
    for (; k < count; k += V::width) {
      if (k + V::width > count) k = count - V::width;
      Op::finish(V::load(windows + k), r, j + k).store(r.out + j + k);
    }
    return;
  }
  for (; r.stride == 2 && 2 * (k + V::width) <= 2 * count - 1; k += V::width) {
    V pair[2] = {V::load(windows + 2 * k), V::load(windows + 2 * k + V::width)};
    V::deinterleave(pair);
    Op::finish(pair[0], r, j + k).store(r.out + j + k);
  }
  for (; k < count; ++k) {
    r.out[j + k] = finish_one<V, Op>(windows[k * r.stride], r, j + k);
  }
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

    const bool there = r.stride == 1 && !Op::kDivides;
    float* to = there ? r.out + j : windows;
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
    if (!there) take_windows<V, Op>(r, windows, j, count);
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
    r.out[j] = finish_one<V, Op>(all, r, j);
  }
}

template <class V, class Op>
inline void pool_row(const NormPoolRow& r) {
  if (r.window == 1 && r.stride == 1 && r.left == 0) {
    join_columns<V, Op>(r, 0, r.out_cols, r.out);
    for (std::size_t j = 0; Op::kDivides && j < r.out_cols; ++j) {
      r.out[j] = finish_one<V, Op>(r.out[j], r, j);
    }
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
      Op::finish(Op::join(y[0], y[1]), r, done).store(r.out + done);
      done += V::width;
    }
  }
  const bool small = r.planes == 1 && r.scale == nullptr && r.stride <= 2;
  if (Op::kDivides && small && r.window == 2) {
    small_means<V, 2>(r, done);
  } else if (Op::kDivides && small && r.window == 3) {
    small_means<V, 3>(r, done);
  } else if (r.window <= kWidestSlide) {
    slide<V, Op>(r, done);
  } else {
    step<V, Op>(r, done);
  }
}

template <class V>
void norm_pool_row(const NormPoolRow& r) {
  if (r.mean) {
    pool_row<V, Sum<V>>(r);
  } else {
    pool_row<V, Largest<V>>(r);
  }
}

}  // namespace cn
