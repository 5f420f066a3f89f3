#include "layers/dense.hpp"

#include <algorithm>

#include "base/parallel.hpp"

namespace cn {
namespace {

// Units and rows handed to one product: the weights of a task stay in the cache for all its rows.
constexpr std::size_t kUnitsPerTask = 16;
constexpr std::size_t kRowsPerTask = 64;

std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

}  // namespace

Dense::Dense(std::size_t rows, std::size_t inputs, std::size_t units, const float* kernel,
             const float* bias, const Activation& activation)
    : rows_(rows),
      inputs_(inputs),
      units_(units),
      stride_(odd_lines(inputs)),
      weights_(checked_mul(stride_, units)),
      bias_(units),
      activation_(activation) {
  // Square tiles: reading and writing both use whole cache lines.
  constexpr std::size_t kTile = 16;
  for (std::size_t k0 = 0; k0 < inputs; k0 += kTile) {
    for (std::size_t unit = 0; unit < units; ++unit) {
      const std::size_t end = std::min(k0 + kTile, inputs);
      for (std::size_t k = k0; k < end; ++k) {
        weights_.data()[unit * stride_ + k] = kernel[k * units + unit];
      }
    }
  }
  std::copy_n(bias, units, bias_.data());
}

bool Dense::likes_batches() const { return rows_ == 1 && inputs_ * units_ >= kManyWeights; }

void Dense::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  run_rows(exec, rows_, in[0], inputs_, out[0], units_);
}

void Dense::run_batch(const Exec& exec, std::size_t frames, const float* in, std::size_t in_step,
                      float* out, std::size_t out_step) const {
  run_rows(exec, frames, in, in_step, out, out_step);
}

void Dense::run_rows(const Exec& exec, std::size_t rows, const float* in, std::size_t in_step,
                     float* out, std::size_t out_step) const {
  const std::size_t parts = divide_up(units_, kUnitsPerTask);
  const std::size_t tasks = divide_up(rows, kRowsPerTask) * parts;
  const int threads = threads_for(exec, static_cast<double>(rows * inputs_ * units_));
  parallel_for(threads, tasks, [&](std::size_t begin, std::size_t end) {
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t unit = task % parts * kUnitsPerTask;
      const std::size_t row = task / parts * kRowsPerTask;
      DenseBlock block{};
      block.weights = weights_.data() + unit * stride_;
      block.weights_stride = stride_;
      block.bias = bias_.data() + unit;
      block.inputs = inputs_;
      block.units = std::min(kUnitsPerTask, units_ - unit);
      block.x = in + row * in_step;
      block.x_stride = in_step;
      block.rows = std::min(kRowsPerTask, rows - row);
      block.y = out + row * out_step + unit;
      block.y_stride = out_step;
      block.relu = activation_.kind == Activation::Kind::relu;
      exec.kernels->dense_block(block);
      if (block.relu || activation_.kind == Activation::Kind::linear) continue;
      for (std::size_t r = 0; r < block.rows; ++r) {
        float* y = block.y + r * out_step;
        exec.kernels->activate(activation_, y, y, block.units);
      }
    }
  });
}

std::string Dense::kernel(const Exec& exec) const {
  return std::string("dense_block ") + exec.kernels->name;
}

}  // namespace cn
