// Normalization and pooling of rows; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/generic/finite.hpp"
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
  static V finish(V best, const NormPoolRows&, std::size_t) { return best; }
};

// The same of finite numbers alone, at a third of the operations. Who calls it looks at all of
// them.
template <class V>
struct LargestFinite : Largest<V> {
  CN_INLINE static V join(V best, V y) { return V::max(best, y); }
  CN_INLINE static float join(float best, float y) { return y > best ? y : best; }
};

// What an Op needs that sees infinities and NaN itself.
struct NoCheck {
  template <std::size_t, class V>
  CN_INLINE void look(V) {}
  CN_INLINE void look_at_one(float) {}
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
  static V finish(V sum, const NormPoolRows& r, std::size_t j) {
    const auto depth = static_cast<float>(r.planes * r.rows);
    return sum / (V::broadcast(depth) * V::load(r.window_cols + j));
  }
};

// One window by the same arithmetic as in a full vector.
template <class V, class Op>
inline float finish_one(float x, const NormPoolRows& r, std::size_t j) {
  if constexpr (!Op::kDivides) return x;
  return x / (static_cast<float>(r.planes * r.rows) * r.window_cols[j]);
}

template <class V, bool kNormed>
CN_INLINE V normed_at(const NormPoolRows& r, std::size_t p, std::size_t row, std::size_t col,
                      V (*load)(const float*)) {
  const V x = load(r.x + p * r.plane_stride + row * r.row_stride + col);
  if constexpr (!kNormed) return x;
  const std::size_t s = p * r.plane_step + row * r.row_step + col * r.col_step;
  const V scale = r.col_step != 0 ? load(r.scale + s) : V::broadcast(r.scale[s]);
  const V shift = r.col_step != 0 ? load(r.shift + s) : V::broadcast(r.shift[s]);
  return V::fma(scale, x, shift);
}

template <class V, class Op, bool kNormed, std::size_t Chain, class Check>
CN_INLINE V join_planes(const NormPoolRows& r, std::size_t col, V (*load)(const float*),
                        Check& check) {
  const auto value = [&](std::size_t p, std::size_t row) CN_LAMBDA {
    const V y = normed_at<V, kNormed>(r, p, row, col, load);
    check.template look<Chain>(y);
    return y;
  };
  V all = value(0, 0);
  for (std::size_t row = 1; row < r.rows; ++row) all = Op::join(all, value(0, row));
  for (std::size_t p = 1; p < r.planes; ++p) {
    for (std::size_t row = 0; row < r.rows; ++row) all = Op::join(all, value(p, row));
  }
  return all;
}

// What planes and rows make of the normalized column `col`.
template <class V, class Op, std::size_t Chain, class Check>
CN_INLINE V join_column(const NormPoolRows& r, std::size_t col, V (*load)(const float*),
                        Check& check) {
  return r.scale != nullptr ? join_planes<V, Op, true, Chain>(r, col, load, check)
                            : join_planes<V, Op, false, Chain>(r, col, load, check);
}

template <class V>
inline V load_one(const float* p) {
  return V::broadcast(*p);
}

template <class V, class Op, class Check>
CN_INLINE void join_columns(const NormPoolRows& r, std::size_t first, std::size_t count, float* out,
                            Check& check) {
  std::size_t i = 0;
  for (; i + V::width <= count; i += V::width) {
    join_column<V, Op, 0>(r, first + i, V::load, check).store(out + i);
  }
  if (i < count && count >= V::width) {
    // Some columns once more, rather than the rest one by one.
    i = count - V::width;
    join_column<V, Op, 0>(r, first + i, V::load, check).store(out + i);
    return;
  }
  for (; i < count; ++i) {
    // One column in all lanes: the same arithmetic as in a full vector.
    float lanes[V::width];
    join_column<V, Op, 0>(r, first + i, load_one<V>, check).store(lanes);
    out[i] = lanes[0];
  }
}

// The columns that window number j covers, without those beyond the map.
struct Columns {
  std::size_t begin, end;
};

template <class V>
inline Columns columns_of(const NormPoolRows& r, std::size_t j) {
  const std::size_t begin = j * r.stride < r.left ? 0 : j * r.stride - r.left;
  const std::size_t end = j * r.stride + r.window - r.left;
  return {begin, end < r.cols ? end : r.cols};
}

// One window at an end of the row, in the order of a whole vector of them.
template <class Op, class Check>
inline float small_window(const NormPoolRows& r, const Columns& window, Check& check) {
  float all = Op::neutral();
  for (std::size_t col = window.begin; col < window.end; ++col) {
    float column = Op::neutral();
    for (std::size_t row = 0; row < r.rows; ++row) {
      const float x = r.x[row * r.row_stride + col];
      check.look_at_one(x);
      column = Op::join(column, x);
    }
    all = Op::join(all, column);
  }
  return all;
}

// Vectors of columns that begin `Firsts` behind x, each joined over the rows. `Looks`: a bit for
// each of them; those with ones hold, together, all that is read. Vectors of one lane are all
// looked at.
template <class V, class Op, unsigned Looks, std::size_t... Firsts, class Check>
CN_INLINE void load_columns(const NormPoolRows& r, const float* x, Check& check,
                            V (&columns)[sizeof...(Firsts)]) {
  constexpr std::size_t kCount = sizeof...(Firsts);
  constexpr std::size_t kFirst[] = {Firsts...};
  const auto load = [&](auto k) CN_LAMBDA {
    const V v = V::load_once(x + kFirst[k]);
    if constexpr (V::width == 1 || (Looks >> k & 1) != 0) check.template look<k % 2>(v);
    return v;
  };
  unroll<kCount>([&](auto k) CN_LAMBDA { columns[k] = load(k); });
#pragma GCC unroll 1
  for (std::size_t row = 1; row < r.rows; ++row) {
    x += r.row_stride;
    unroll<kCount>([&](auto k) CN_LAMBDA { columns[k] = Op::join(columns[k], load(k)); });
  }
}

// A vector of windows of `Window` columns, 2 or 3, the first of which begins at x.
template <class V, class Op, std::size_t Window, class Check>
CN_INLINE V windows_at(const NormPoolRows& r, const float* x, Check& check) {
  constexpr std::size_t W = V::width;
  if (r.stride == 1) {
    V c[Window];
    if constexpr (Window == 2) {
      load_columns<V, Op, 0b11, 0, 1>(r, x, check, c);
      return Op::join(c[0], c[1]);
    } else {
      load_columns<V, Op, 0b101, 0, 1, 2>(r, x, check, c);
      return Op::join(Op::join(c[0], c[1]), c[2]);
    }
  }
  V pair[2];  // even and odd columns
  load_columns<V, Op, 0b11, 0, W>(r, x, check, pair);
  V::deinterleave(pair);
  const V both = Op::join(pair[0], pair[1]);
  if constexpr (Window == 2) return both;
  V next[2];  // the even columns behind them
  load_columns<V, Op, 0b10, 2, 2 + W>(r, x, check, next);
  V::deinterleave(next);
  return Op::join(both, next[0]);
}

// out[j...], of windows of `Window` columns of one plane without a norm, with strides of 1 and 2.
// Every result reads all of its window: keeping what columns have in common costs more, as it has
// to be stored and loaded at once.
template <class V, class Op, std::size_t Window, class Check>
CN_INLINE void small_windows(const NormPoolRows& r, std::size_t j, Check& check) {
  const auto one = [&] {
    r.out[j] = finish_one<V, Op>(small_window<Op>(r, columns_of<V>(r, j), check), r, j);
  };
  for (; j < r.out_cols && j * r.stride < r.left; ++j) one();
  // The windows that a vector can begin with, which reads so many columns.
  const std::size_t reach = r.stride * V::width + (r.stride == 1 ? Window - 1 : Window / 3 * 2);
  const std::size_t end = r.cols + r.left < reach ? 0 : (r.cols + r.left - reach) / r.stride + 1;
  const std::size_t last = r.out_cols < V::width ? 0 : r.out_cols - V::width + 1;
  const std::size_t stop = end < last ? end : last;
  while (j < stop) {
    const V windows = windows_at<V, Op, Window>(r, r.x + (j * r.stride - r.left), check);
    Op::finish(windows, r, j).store(r.out + j);
    // The last vector has some windows once more.
    j = j + 1 < stop && j + V::width >= stop ? stop - 1 : j + V::width;
  }
  for (; j < r.out_cols; ++j) one();
}

// out[j...] from the windows at all places.
template <class V, class Op>
inline void take_windows(const NormPoolRows& r, const float* windows, std::size_t j,
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
template <class V, class Op, class Check>
inline void slide(const NormPoolRows& r, std::size_t j, Check& check) {
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
    join_columns<V, Op>(r, begin, inside, columns + lead, check);
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
template <class V, class Op, class Check>
inline void step(const NormPoolRows& r, std::size_t j, Check& check) {
  float columns[kColumnChunk];
  std::size_t first = 0, end = 0;  // columns at hand
  for (; j < r.out_cols; ++j) {
    const Columns window = columns_of<V>(r, j);
    float all = Op::neutral();
    for (std::size_t col = window.begin; col < window.end; ++col) {
      if (col < first || col >= end) {
        first = col;
        end = col + kColumnChunk < r.cols ? col + kColumnChunk : r.cols;
        join_columns<V, Op>(r, first, end - first, columns, check);
      }
      all = Op::join(all, columns[col - first]);
    }
    r.out[j] = finish_one<V, Op>(all, r, j);
  }
}

template <class V, class Op, class Check>
CN_INLINE void pool_row(const NormPoolRows& r, Check& check) {
  if (r.window == 1 && r.stride == 1 && r.left == 0) {
    join_columns<V, Op>(r, 0, r.out_cols, r.out, check);
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
      V y[2] = {join_column<V, Op, 0>(r, 2 * done, V::load, check),
                join_column<V, Op, 1>(r, 2 * done + V::width, V::load, check)};
      V::deinterleave(y);
      Op::finish(Op::join(y[0], y[1]), r, done).store(r.out + done);
      done += V::width;
    }
  }
  const bool small = r.planes == 1 && r.scale == nullptr && r.stride <= 2;
  if (small && r.window == 2) {
    small_windows<V, Op, 2>(r, done, check);
  } else if (small && r.window == 3) {
    small_windows<V, Op, 3>(r, done, check);
  } else if (r.window <= kWidestSlide) {
    slide<V, Op>(r, done, check);
  } else {
    step<V, Op>(r, done, check);
  }
}

template <class V, class Op, class Check>
CN_INLINE void pool_rows(NormPoolRows r, Check& check) {
  for (std::size_t i = 0; i < r.count; ++i, r.x += r.x_step, r.out += r.out_cols) {
    pool_row<V, Op>(r, check);
  }
}

template <class V>
bool norm_pool_rows(const NormPoolRows& r) {
  NoCheck none;
  if (r.mean) {
    pool_rows<V, Sum<V>>(r, none);
    return true;
  }
  FiniteCheck<V, 2> check;
  pool_rows<V, LargestFinite<V>>(r, check);
  if (check.all_finite()) return true;
  pool_rows<V, Largest<V>>(r, none);
  return false;
}

}  // namespace cn
