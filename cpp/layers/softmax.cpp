#include <algorithm>

#include "base/parallel.hpp"
#include "layers/along_axis.hpp"

namespace cn {
namespace {

// Columns of a task. As many short rows are turned into columns at a time.
constexpr std::size_t kColumns = 128;
// A multiply-add's worth of an exponential.
constexpr double kCost = 10.0;

}  // namespace

void Softmax::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const int threads = threads_for(exec, kCost * static_cast<double>(frame_.count()));
  const std::size_t axis = frame_.axis;
  if (frame_.inner == 1 && axis > 1) {  // rows
    parallel_for(threads, frame_.outer, [&](std::size_t begin, std::size_t end) {
      const bool turn = axis < kShortestSoftmaxRow;
      const std::size_t step = turn ? kColumns : end - begin;
      for (std::size_t row = begin; row < end; row += step) {
        const float* x = in[0] + row * axis;
        float* y = out[0] + row * axis;
        const std::size_t rows = std::min(step, end - row);
        exec.report(turn ? short_rows(*exec.kernels, x, rows, y)
                         : exec.kernels->softmax_block({x, y, axis, 1, rows, axis, logarithm_}));
      }
    });
    return;
  }
  const std::size_t parts = (frame_.inner + kColumns - 1) / kColumns;
  parallel_for(threads, frame_.outer * parts, [&](std::size_t begin, std::size_t end) {
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t first = task % parts * kColumns;
      const std::size_t at = task / parts * axis * frame_.inner + first;
      exec.report(
          exec.kernels->softmax_block({in[0] + at, out[0] + at, axis, frame_.inner,
                                       std::min(kColumns, frame_.inner - first), 1, logarithm_}));
    }
  });
}

bool Softmax::short_rows(const KernelTable& kernels, const float* x, std::size_t rows,
                         float* y) const {
  const std::size_t axis = frame_.axis;
  float turned[kShortestSoftmaxRow * kColumns];  // [axis][kColumns]
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t a = 0; a < axis; ++a) turned[a * kColumns + row] = x[row * axis + a];
  }
  const bool finite = kernels.softmax_block({turned, turned, axis, kColumns, rows, 1, logarithm_});
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t a = 0; a < axis; ++a) y[row * axis + a] = turned[a * kColumns + row];
  }
  return finite;
}

std::string Softmax::kernel(const Exec& exec) const {
  return std::string("softmax_block ") + exec.kernels->name;
}

}  // namespace cn
