#include "layers/norm_pool.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {
namespace {

// The part of window number `index` that lies inside the axis.
NormPool::Span clip(std::size_t index, std::size_t window, std::size_t stride, std::size_t before,
                    std::size_t length) {
  const std::size_t from = index * stride < before ? 0 : index * stride - before;
  const std::size_t to = std::min(index * stride + window - before, length);
  return {from, to - from};
}

constexpr std::size_t kChecked = 2048;  // floats of the result, still in L1

}  // namespace

Window window(std::size_t length, std::size_t reach, std::size_t stride, bool same) {
  if (!same) {
    if (length < reach) {
      throw UnsupportedError("an axis of length " + std::to_string(length) +
                             ": expected at least the window, " + std::to_string(reach));
    }
    return {(length - reach) / stride + 1, 0};
  }
  const std::size_t output = (length + stride - 1) / stride;
  const std::size_t needed = (output - 1) * stride + reach;
  return {output, needed > length ? (needed - length) / 2 : 0};
}

NormPool::NormPool(Size3 input, std::optional<Norm> norm, std::optional<Pool> pool)
    : input_(input), norm_(std::move(norm)), pool_(pool.value_or(Pool{})) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    for (const std::size_t size : {input[axis], pool_.window[axis], pool_.strides[axis]}) {
      if (size == 0 || size > kLargestLength) {
        throw UnsupportedError("pooling: expected sizes of 1 to " + std::to_string(kLargestLength) +
                               ", found " + std::to_string(size));
      }
    }
    const Window w = window(input[axis], pool_.window[axis], pool_.strides[axis], pool_.same);
    output_[axis] = w.output;
    before_[axis] = w.before;
  }
  for (std::size_t j = 0; pool_.mean && j < output_[2]; ++j) {
    const Span cols = clip(j, pool_.window[2], pool_.strides[2], before_[2], input_[2]);
    window_cols_.push_back(static_cast<float>(cols.count));
  }
  if (norm_ && (norm_->axis > 2 || norm_->scale.size() != input[norm_->axis] ||
                norm_->shift.size() != input[norm_->axis])) {
    throw UnsupportedError(
        "normalization: expected one scale and shift for each place on the axis");
  }
}

// Where every number is part of a result.
bool NormPool::checks_inputs() const {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::size_t end = (output_[axis] - 1) * pool_.strides[axis] + pool_.window[axis];
    const bool all =
        pool_.window[axis] >= pool_.strides[axis] && end >= input_[axis] + before_[axis];
    if (!all) return false;
  }
  return true;
}

bool NormPool::plain() const {
  const Size3 one{1, 1, 1};
  return !norm_ && pool_.window == one && pool_.strides == one;
}

NormPool::Span NormPool::rows_of(std::size_t row) const {
  return clip(row, pool_.window[1], pool_.strides[1], before_[1], input_[1]);
}

std::size_t NormPool::alike(std::size_t row, std::size_t end) const {
  const std::size_t first = row * pool_.strides[1];
  const bool by_row = norm_ && norm_->axis == 1;
  if (by_row || first < before_[1] || first + pool_.window[1] > input_[1] + before_[1]) return 1;
  const std::size_t inside = (input_[1] + before_[1] - pool_.window[1]) / pool_.strides[1] + 1;
  return std::min(inside, end) - row;
}

void NormPool::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const double operations =
      static_cast<double>(output_[0] * output_[1]) *
      static_cast<double>(input_[2] * pool_.window[0] * pool_.window[1] + output_[2]);
  const std::size_t plane = input_[1] * input_[2];
  const std::size_t at_once = std::max<std::size_t>(kChecked / output_[2], 1);
  const auto rows = [&](std::size_t begin, std::size_t end) {
    while (begin < end) {
      const std::size_t depth = begin / output_[1], row = begin % output_[1];
      const Span planes = clip(depth, pool_.window[0], pool_.strides[0], before_[0], input_[0]);
      const Span span = rows_of(row);
      const std::size_t last = std::min(output_[1], row + std::min(at_once, end - begin));
      const std::size_t count = alike(row, last);
      float* to = out[0] + begin * output_[2];
      exec.report(run_rows(*exec.kernels, planes, span, count,
                           in[0] + planes.begin * plane + span.begin * input_[2], plane, input_[2],
                           to));
      if (pool_.mean) exec.check(to, count * output_[2]);
      begin += count;
    }
  };
  parallel_for(threads_for(exec, operations), output_[0] * output_[1], rows);
}

void NormPool::run_row(const KernelTable& kernels, std::size_t plane, std::size_t row,
                       const float* rows, std::size_t stride, float* out) const {
  run_rows(kernels, {plane, 1}, rows_of(row), 1, rows, 0, stride, out);
}

bool NormPool::run_rows(const KernelTable& kernels, const Span& planes, const Span& rows,
                        std::size_t count, const float* x, std::size_t plane_stride,
                        std::size_t row_stride, float* out) const {
  NormPoolRows row{};
  row.x = x;
  row.count = count;
  row.x_step = pool_.strides[1] * row_stride;
  row.planes = planes.count;
  row.plane_stride = plane_stride;
  row.rows = rows.count;
  row.row_stride = row_stride;
  row.cols = input_[2];
  if (norm_) {
    const std::size_t first = norm_->axis == 0 ? planes.begin : (norm_->axis == 1 ? rows.begin : 0);
    row.scale = norm_->scale.data() + first;
    row.shift = norm_->shift.data() + first;
    row.plane_step = norm_->axis == 0 ? 1 : 0;
    row.row_step = norm_->axis == 1 ? 1 : 0;
    row.col_step = norm_->axis == 2 ? 1 : 0;
  }
  row.window = pool_.window[2];
  row.stride = pool_.strides[2];
  row.left = before_[2];
  row.mean = pool_.mean;
  row.window_cols = window_cols_.data();
  row.out = out;
  row.out_cols = output_[2];
  return kernels.norm_pool_rows(row);
}

std::string NormPool::kernel(const Exec& exec) const {
  return std::string("norm_pool_rows ") + exec.kernels->name;
}

}  // namespace cn
