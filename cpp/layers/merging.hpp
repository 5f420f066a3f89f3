// Layers that make one tensor of several.
#pragma once

#include <algorithm>
#include <vector>

#include "layers/layer.hpp"

namespace cn {

// What a merge reads along the axes of its result: a stride an axis, 0 where it is broadcast.
struct Operand {
  std::vector<std::size_t> strides;
  std::vector<float> constant = {};  // empty: the next input of the layer
};

// out = f_n(... f_2(f_1(operand 0, operand 1), operand 2) ..., operand n), element by element.
class Merge : public Layer {
 public:
  Merge(const Shape& output, std::vector<Operand> operands, std::vector<Combine> functions);
  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  bool checks_inputs() const override;
  std::string kernel(const Exec& exec) const override;

 private:
  // A part of the result: some rows and, of a single row, some columns.
  struct Block {
    std::size_t row, rows, col, cols;
  };
  // Numbers of an operand for a block, one behind another, or with step 0 the only one.
  struct Run {
    const float* data;
    std::size_t step;
  };
  Block block(std::size_t index) const;
  Run fetch(const Operand& operand, const float* base, const Block& block, float* scratch) const;
  std::size_t offset(const Operand& operand, std::size_t row) const;

  // The axes of the result; neighbours are one axis where every operand lets them.
  Shape shape_;
  std::vector<Operand> operands_;
  std::vector<Combine> functions_;
  std::size_t rows_ = 1, cols_ = 1;  // of the last axis
  std::size_t blocks_ = 1;
};

// The inputs one behind another along an axis: each is `rows` runs of its own length.
class Concatenate : public Layer {
 public:
  Concatenate(std::size_t rows, std::vector<std::size_t> lengths);
  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  bool checks_inputs() const override { return true; }

 private:
  void copy(const Exec& exec, const float* const* in, std::size_t row, std::size_t begin,
            std::size_t end, float* out) const;

  std::size_t rows_, length_ = 0;
  std::vector<std::size_t> lengths_;
};

// out[i][j] = sum over k of a[i][k] * b[j][k].
class Dot : public Layer {
 public:
  Dot(std::size_t rows, std::size_t cols, std::size_t products);
  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  std::size_t scratch_floats() const override {
    return checked_mul(std::min(kCols, round_up(cols_, kAlignedFloats)), products_);
  }

 private:
  // Of the result, computed at a time: b is packed for as many. A multiple of every vector.
  static constexpr std::size_t kCols = 64;

  void pack(const float* b, std::size_t cols, std::size_t lanes, float* to) const;

  std::size_t rows_, cols_, products_;
  std::vector<float> zeros_;  // to which sums are added
};

}  // namespace cn
