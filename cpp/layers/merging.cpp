#include "layers/merging.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {
namespace {

// Elements that are merged at a time, so that what is read twice stays in L1.
constexpr std::size_t kBlock = 1024;
// Rows shorter than this are merged several at a time.
constexpr std::size_t kShortRow = 256;
// Floats that a task of Concatenate copies.
constexpr std::size_t kCopied = 16384;
// Rows of the result of Dot that are computed at a time.
constexpr std::size_t kRows = 64;

std::size_t parts(std::size_t count, std::size_t size) { return (count + size - 1) / size; }

bool one_axis(const Shape& shape, const std::vector<Operand>& operands, std::size_t axis) {
  return std::all_of(operands.begin(), operands.end(), [&](const Operand& operand) {
    return operand.strides[axis] == operand.strides[axis + 1] * shape[axis + 1];
  });
}

void drop(std::vector<std::size_t>& numbers, std::size_t axis) {
  numbers.erase(numbers.begin() + static_cast<std::ptrdiff_t>(axis));
}

// Makes neighbouring axes one where all operands go through them as through one.
void collapse(Shape& shape, std::vector<Operand>& operands) {
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] == 1 && shape.size() > 1) {
      drop(shape, axis);
      for (Operand& operand : operands) drop(operand.strides, axis);
    }
  }
  for (std::size_t axis = shape.size() - 1; axis-- > 0;) {
    if (!one_axis(shape, operands, axis)) continue;
    shape[axis + 1] *= shape[axis];
    drop(shape, axis);
    for (Operand& operand : operands) drop(operand.strides, axis);
  }
}

}  // namespace

Merge::Merge(const Shape& output, std::vector<Operand> operands, std::vector<Combine> functions)
    : shape_(output), operands_(std::move(operands)), functions_(std::move(functions)) {
  if (operands_.size() != functions_.size() + 1) {
    throw UnsupportedError("merge: expected one function less than operands");
  }
  if (shape_.empty()) {
    shape_ = {1};
    for (Operand& operand : operands_) operand.strides = {0};
  }
  collapse(shape_, operands_);
  cols_ = shape_.back();
  rows_ = element_count(shape_) / cols_;
  blocks_ = cols_ < kShortRow ? parts(rows_, kBlock / cols_) : rows_ * parts(cols_, kBlock);
}

Merge::Block Merge::block(std::size_t index) const {
  if (cols_ < kShortRow) {
    const std::size_t rows = kBlock / cols_;
    return {index * rows, std::min(rows, rows_ - index * rows), 0, cols_};
  }
  const std::size_t blocks_a_row = parts(cols_, kBlock);
  const std::size_t col = index % blocks_a_row * kBlock;
  return {index / blocks_a_row, 1, col, std::min(kBlock, cols_ - col)};
}

std::size_t Merge::offset(const Operand& operand, std::size_t row) const {
  std::size_t offset = 0;
  for (std::size_t axis = shape_.size() - 1; axis-- > 0; row /= shape_[axis]) {
    offset += row % shape_[axis] * operand.strides[axis];
  }
  return offset;
}

Merge::Run Merge::fetch(const Operand& operand, const float* base, const Block& block,
                        float* scratch) const {
  const std::size_t stride = operand.strides.back();
  // With one axis left there is one row, whose place needs no strides.
  if (block.rows == 1 && stride <= 1) {
    return {base + offset(operand, block.row) + block.col * stride, stride};
  }
  for (std::size_t row = 0; row < block.rows; ++row) {
    const float* from = base + offset(operand, block.row + row) + block.col * stride;
    float* to = scratch + row * block.cols;
    for (std::size_t i = 0; i < block.cols; ++i) to[i] = from[i * stride];
  }
  return {scratch, 1};
}

// Where no infinity and no NaN among the operands can give a finite result.
bool Merge::checks_inputs() const {
  const auto shows = [](Combine f) {
    return f == Combine::add || f == Combine::subtract || f == Combine::multiply;
  };
  const auto finite = [](const Operand& operand) {
    return std::all_of(operand.constant.begin(), operand.constant.end(),
                       [](float x) { return std::isfinite(x); });
  };
  return std::all_of(functions_.begin(), functions_.end(), shows) &&
         std::all_of(operands_.begin(), operands_.end(), finite);
}

void Merge::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const double operations = static_cast<double>(rows_ * cols_ * operands_.size());
  parallel_for(threads_for(exec, operations), blocks_, [&](std::size_t begin, std::size_t end) {
    float first[kBlock], next[kBlock];
    for (std::size_t index = begin; index < end; ++index) {
      const Block b = block(index);
      float* to = out[0] + b.row * cols_ + b.col;
      std::size_t input = 0;
      const auto run_of = [&](const Operand& operand, float* scratch) {
        const bool constant = !operand.constant.empty();
        return fetch(operand, constant ? operand.constant.data() : in[input++], b, scratch);
      };
      Run result = run_of(operands_[0], first);
      if (functions_.empty()) {
        for (std::size_t i = 0; i < b.rows * b.cols; ++i) to[i] = result.data[i * result.step];
        exec.check(to, b.rows * b.cols);
      }
      for (std::size_t k = 0; k < functions_.size(); ++k) {
        const Run other = run_of(operands_[k + 1], next);
        const bool finite = exec.kernels->combine(functions_[k], result.data, result.step,
                                                  other.data, other.step, to, b.rows * b.cols);
        if (k + 1 == functions_.size()) exec.report(finite);
        result = {to, 1};
      }
    }
  });
}

std::string Merge::kernel(const Exec& exec) const {
  return std::string("combine ") + exec.kernels->name;
}

Concatenate::Concatenate(std::size_t rows, std::vector<std::size_t> lengths)
    : rows_(rows), lengths_(std::move(lengths)) {
  for (const std::size_t length : lengths_) length_ = checked_add(length_, length);
}

// Columns begin to end of one row of the result.
void Concatenate::copy(const Exec& exec, const float* const* in, std::size_t row, std::size_t begin,
                       std::size_t end, float* out) const {
  std::size_t first = 0;  // column of the input's first element
  for (std::size_t i = 0; i < lengths_.size() && first < end; first += lengths_[i++]) {
    const std::size_t from = std::max(begin, first);
    const std::size_t to = std::min(end, first + lengths_[i]);
    if (from >= to) continue;
    const float* source = in[i] + row * lengths_[i];
    exec.report(
        exec.kernels->copy_finite(source + (from - first), to - from, out + row * length_ + from));
  }
}

void Concatenate::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const std::size_t parts_a_row = parts(length_, kCopied);
  const int threads = threads_for(exec, static_cast<double>(rows_ * length_));
  parallel_for(threads, rows_ * parts_a_row, [&](std::size_t begin, std::size_t end) {
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t first = task % parts_a_row * kCopied;
      copy(exec, in, task / parts_a_row, first, std::min(first + kCopied, length_), out[0]);
    }
  });
}

Dot::Dot(std::size_t rows, std::size_t cols, std::size_t products)
    : rows_(rows), cols_(cols), products_(products), zeros_(kCols) {}

void Dot::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const std::size_t runs = parts(rows_, kRows), lanes = exec.kernels->units_per_panel;
  const int threads = threads_for(exec, static_cast<double>(rows_ * cols_ * products_));
  parallel_for(threads, parts(cols_, kCols) * runs,
               [&](std::size_t part, std::size_t begin, std::size_t end) {
                 float* packed = exec.scratch_of(part);
                 for (std::size_t task = begin; task < end; ++task) {
                   const std::size_t col = task / runs * kCols, row = task % runs * kRows;
                   const std::size_t cols = std::min(kCols, cols_ - col);
                   if (task == begin || row == 0)
                     pack(in[1] + col * products_, cols, lanes, packed);
                   DenseBlock block{};
                   block.weights = packed;
                   block.bias = zeros_.data();
                   block.inputs = products_;
                   block.units = cols;
                   block.x = in[0] + row * products_;
                   block.rows = std::min(kRows, rows_ - row);
                   block.x_stride = products_;
                   block.y = out[0] + row * cols_ + col;
                   block.y_stride = cols_;
                   exec.kernels->dense_block(block);
                 }
               });
}

// Columns of b as panels of `lanes` units; what is behind them is not looked at.
void Dot::pack(const float* b, std::size_t cols, std::size_t lanes, float* to) const {
  for (std::size_t first = 0; first < cols; first += lanes, to += lanes * products_) {
    const std::size_t count = std::min(lanes, cols - first);
    for (std::size_t k = 0; k < products_; ++k) {
      for (std::size_t i = 0; i < count; ++i) {
        to[k * lanes + i] = b[(first + i) * products_ + k];
      }
    }
  }
}

}  // namespace cn
