#include "layers/elementwise.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {
void ActivationLayer::run(const Exec& exec, const float* const* in, float* const* out,
                          State&) const {
  // Whole cache lines a task: no two threads write one line.
  const std::size_t lines = (count_ + kAlignedFloats - 1) / kAlignedFloats;
  const int threads = threads_for(exec, 10.0 * static_cast<double>(count_));
  parallel_for(threads, lines, [&](std::size_t begin, std::size_t end) {
    const std::size_t first = begin * kAlignedFloats;
    const std::size_t last = std::min(end * kAlignedFloats, count_);
    exec.report(exec.kernels->activate(activation_, in[0] + first, out[0] + first, last - first));
  });
}

std::string ActivationLayer::kernel(const Exec& exec) const {
  return std::string("activate ") + exec.kernels->name;
}

Permute::Permute(Shape output, std::vector<std::size_t> strides)
    : output_(std::move(output)), strides_(std::move(strides)) {
  if (output_.empty() || output_.size() != strides_.size()) {
    throw UnsupportedError("permute: expected one stride for each of at least one axis");
  }
}

void Permute::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const std::size_t rank = output_.size();
  const std::size_t cols = output_[rank - 1];
  const std::size_t step = strides_[rank - 1];
  const std::size_t rows = element_count(output_) / cols;
  const int threads = threads_for(exec, static_cast<double>(rows * cols));
  parallel_for(threads, rows, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      const float* from = in[0];
      for (std::size_t axis = rank - 1, rest = row; axis-- > 0; rest /= output_[axis]) {
        from += rest % output_[axis] * strides_[axis];
      }
      float* to = out[0] + row * cols;
      for (std::size_t i = 0; i < cols; ++i) to[i] = from[i * step];
    }
  });
}

}  // namespace cn
