#include "layers/dense.hpp"

#include <algorithm>

#include "base/parallel.hpp"

namespace cn {
namespace {

// Rows that meet the weights of a panel while these are near.
constexpr std::size_t kRowsAtOnce = 64;
// Inputs, for each unit, from which on few units have their lanes along the inputs: the sum over
// lanes at the end of each costs as much as so many inputs by panels (measured; 16 to 1024 rows).
constexpr std::size_t kInputsAUnit = 64;

std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

}  // namespace

Dense::Dense(const KernelTable& kernels, std::size_t rows, std::size_t inputs, std::size_t units,
             const float* kernel, const float* bias, const Activation& activation)
    : rows_(rows),
      inputs_(inputs),
      units_(units),
      few_(units <= kernels.few_units && inputs >= kInputsAUnit * units),
      lanes_(few_ ? units : kernels.units_per_panel),
      panels_(divide_up(units, lanes_)),
      weights_(checked_mul(checked_mul(panels_, lanes_), inputs)),
      bias_(panels_ * lanes_),
      activation_(activation) {
  std::copy_n(bias, units, bias_.data());
  float* to = weights_.data();
  if (few_) {
    for (std::size_t i = 0; i < units * inputs; ++i)
      to[i] = kernel[i % inputs * units + i / inputs];
    return;
  }
  for (std::size_t unit = 0; unit < units; unit += lanes_) {
    const std::size_t count = std::min(lanes_, units - unit);
    for (std::size_t k = 0; k < inputs; ++k, to += lanes_) {
      std::copy_n(kernel + k * units + unit, count, to);
    }
  }
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
  const std::size_t tasks = divide_up(rows, kRowsAtOnce) * panels_;
  const int threads = threads_for(exec, static_cast<double>(rows * inputs_ * units_));
  parallel_for(threads, tasks, [&](std::size_t begin, std::size_t end) {
    while (begin < end) {
      const std::size_t panel = begin % panels_, panels = std::min(end - begin, panels_ - panel);
      const std::size_t unit = panel * lanes_, row = begin / panels_ * kRowsAtOnce;
      DenseBlock block{};
      block.weights = weights_.data() + unit * inputs_;
      block.bias = bias_.data() + unit;
      block.inputs = inputs_;
      block.units = std::min(panels * lanes_, units_ - unit);
      block.x = in + row * in_step;
      block.x_stride = in_step;
      block.rows = std::min(kRowsAtOnce, rows - row);
      block.y = out + row * out_step + unit;
      block.y_stride = out_step;
      block.relu = activation_.kind == Activation::Kind::relu;
      (few_ ? exec.kernels->dense_few_units : exec.kernels->dense_block)(block);
      begin += panels;
      if (block.relu || activation_.kind == Activation::Kind::linear) continue;
      for (std::size_t r = 0; r < block.rows; ++r) {
        float* y = block.y + r * out_step;
        exec.kernels->activate(activation_, y, y, block.units);
      }
    }
  });
}

std::string Dense::kernel(const Exec& exec) const {
  return std::string(few_ ? "dense_few_units " : "dense_block ") + exec.kernels->name;
}

}  // namespace cn
