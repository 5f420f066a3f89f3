#include "layers/resize.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {
namespace {

void expect_fits(const Interpolation& table, std::size_t length) {
  const bool weighted = !table.weights.empty();
  if (length == 0 || table.taps == 0 || table.indices.size() % table.taps != 0 ||
      (weighted ? table.weights.size() != table.indices.size() : table.taps != 1)) {
    throw UnsupportedError("resize: expected an index and a weight for every tap of every place");
  }
  for (const std::size_t index : table.indices) {
    if (index >= length) {
      throw UnsupportedError("resize: expected indices below " + std::to_string(length) +
                             ", found " + std::to_string(index));
    }
  }
}

// n where every index comes n times in a row, 0 otherwise.
std::size_t repeats(const Interpolation& table, std::size_t length) {
  if (table.none() || table.taps != 1 || !table.weights.empty()) return 0;
  const std::size_t times = table.indices.size() / length;
  if (times * length != table.indices.size()) return 0;
  for (std::size_t j = 0; j < table.indices.size(); ++j) {
    if (table.indices[j] != j / times) return 0;
  }
  return times;
}

template <std::size_t kTimes>
void repeat(const float* x, std::size_t count, float* to) {
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t k = 0; k < kTimes; ++k) to[i * kTimes + k] = x[i];
  }
}

// to[i] = weights[0] * x[0][i] + weights[1] * x[1][i] + ..., `count` long.
void weighted_sum(const float* x, std::size_t stride, const std::size_t* indices,
                  const float* weights, std::size_t taps, std::size_t count, float* to) {
  const float* a = x + indices[0] * stride;
  if (taps == 2) {  // the usual case in one pass
    const float* b = x + indices[1] * stride;
    for (std::size_t i = 0; i < count; ++i) to[i] = weights[0] * a[i] + weights[1] * b[i];
    return;
  }
  for (std::size_t i = 0; i < count; ++i) to[i] = weights[0] * a[i];
  for (std::size_t k = 1; k < taps; ++k) {
    const float* b = x + indices[k] * stride;
    for (std::size_t i = 0; i < count; ++i) to[i] += weights[k] * b[i];
  }
}

}  // namespace

Resize::Resize(const Planes& input, Interpolation rows, Interpolation cols)
    : input_(input),
      output_{input.outer, rows.output(input.rows), cols.output(input.cols), input.inner},
      rows_(std::move(rows)),
      cols_(std::move(cols)) {
  expect_fits(rows_, input.rows);
  expect_fits(cols_, input.cols);
  repeats_ = repeats(cols_, input.cols);
}

std::size_t Resize::scratch_floats() const {
  // Rows are joined straight into the result where its columns stay as they are.
  const bool between = rows_.taps > 1 && !cols_.none();
  return between ? checked_mul(input_.cols, input_.inner) : 0;
}

// Row `row` of the result, not yet as wide: in the plane itself where it is a row of it, or in
// `to`.
const float* Resize::join_rows(const float* plane, std::size_t row, float* to) const {
  const std::size_t width = input_.cols * input_.inner;
  if (rows_.none()) return plane + row * width;
  if (rows_.weights.empty()) return plane + rows_.indices[row] * width;
  const std::size_t first = row * rows_.taps;
  weighted_sum(plane, width, rows_.indices.data() + first, rows_.weights.data() + first, rows_.taps,
               width, to);
  return to;
}

void Resize::join_cols(const float* row, float* to) const {
  const std::size_t inner = input_.inner;
  if (inner == 1 && repeats_ == 2) return repeat<2>(row, input_.cols, to);
  if (inner == 1 && repeats_ == 3) return repeat<3>(row, input_.cols, to);
  if (inner == 1 && repeats_ == 4) return repeat<4>(row, input_.cols, to);
  const std::size_t* index = cols_.indices.data();
  const float* weight = cols_.weights.data();
  const std::size_t taps = cols_.taps;
  if (inner == 1 && taps == 2) {
    for (std::size_t j = 0; j < output_.cols; ++j) {
      to[j] = weight[2 * j] * row[index[2 * j]] + weight[2 * j + 1] * row[index[2 * j + 1]];
    }
    return;
  }
  for (std::size_t j = 0; j < output_.cols; ++j, index += taps, to += inner) {
    if (cols_.weights.empty()) {
      std::copy_n(row + *index * inner, inner, to);
    } else if (inner == 1) {
      float sum = weight[0] * row[index[0]];
      for (std::size_t k = 1; k < taps; ++k) sum += weight[k] * row[index[k]];
      *to = sum;
      weight += taps;
    } else {
      weighted_sum(row, inner, index, weight, taps, inner, to);
      weight += taps;
    }
  }
}

void Resize::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const std::size_t plane = input_.rows * input_.cols * input_.inner;
  const std::size_t width = output_.cols * output_.inner;
  const std::size_t rows = output_.outer * output_.rows;
  const double operations =
      static_cast<double>(rows) *
      static_cast<double>(rows_.taps * input_.cols * input_.inner + cols_.taps * width);
  const int threads = threads_for(exec, operations);
  parallel_for(threads, rows, [&](std::size_t part, std::size_t begin, std::size_t end) {
    const float* before = nullptr;  // what the row before was made of
    for (std::size_t index = begin; index < end; ++index) {
      float* to = out[0] + index * width;
      float* between = cols_.none() ? to : exec.scratch_of(part);
      const float* row =
          join_rows(in[0] + index / output_.rows * plane, index % output_.rows, between);
      if (row == before && row != between) {
        std::copy_n(to - width, width, to);
      } else if (!cols_.none()) {
        join_cols(row, to);
      } else if (row != to) {
        std::copy_n(row, width, to);
      }
      before = row;
    }
  });
}

}  // namespace cn
