#include <algorithm>

#include "base/parallel.hpp"
#include "layers/along_axis.hpp"

namespace cn {
namespace {

// Columns of a task. As many short rows are turned into columns at a time.
constexpr std::size_t kColumns = 128;
constexpr std::size_t kShortRow = 64;
// A multiply-add's worth of an exponential.
constexpr double kCost = 10.0;

}  // namespace

void Softmax::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const int threads = threads_for(exec, kCost * static_cast<double>(frame_.count()));
  const bool turn = frame_.inner == 1 && frame_.axis < kShortRow;
  const std::size_t lines = turn ? frame_.outer : frame_.inner;  // cut into tasks
  const std::size_t parts = (lines + kColumns - 1) / kColumns;
  const std::size_t tasks = turn ? parts : frame_.outer * parts;
  parallel_for(threads, tasks, [&](std::size_t begin, std::size_t end) {
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t first = task % parts * kColumns;
      const std::size_t count = std::min(kColumns, lines - first);
      const std::size_t at =
          turn ? first * frame_.axis : task / parts * frame_.axis * frame_.inner + first;
      if (turn) {
        exec.report(short_rows(*exec.kernels, in[0] + at, count, out[0] + at));
      } else {
        exec.report(exec.kernels->softmax_block(
            {in[0] + at, out[0] + at, frame_.axis, frame_.inner, count, logarithm_}));
      }
    }
  });
}

bool Softmax::short_rows(const KernelTable& kernels, const float* x, std::size_t rows,
                         float* y) const {
  const std::size_t axis = frame_.axis;
  float turned[kShortRow * kColumns];  // [axis][kColumns]
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t a = 0; a < axis; ++a) turned[a * kColumns + row] = x[row * axis + a];
  }
  const bool finite = kernels.softmax_block({turned, turned, axis, kColumns, rows, logarithm_});
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t a = 0; a < axis; ++a) y[row * axis + a] = turned[a * kColumns + row];
  }
  return finite;
}

std::string Softmax::kernel(const Exec& exec) const {
  return std::string("softmax_block ") + exec.kernels->name;
}

}  // namespace cn
