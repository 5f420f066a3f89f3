#include "layers/reduce.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {

Reduce::Reduce(Function function, std::size_t outer, std::size_t count, std::size_t inner)
    : function_(function), outer_(outer), count_(count), inner_(inner) {
  if (outer == 0 || count == 0 || inner == 0) {
    throw UnsupportedError("reduce: expected axes of at least 1");
  }
}

void Reduce::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  constexpr std::size_t kColumns = 128;  // of a task
  const std::size_t chunks = (inner_ + kColumns - 1) / kColumns;
  const int threads = threads_for(exec, static_cast<double>(outer_ * count_ * inner_));
  parallel_for(threads, outer_ * chunks, [&](std::size_t begin, std::size_t end) {
    const std::size_t slices = chunks == 1 ? end - begin : 1;
    for (std::size_t task = begin; task < end; task += slices) {
      const std::size_t slice = task / chunks, first = task % chunks * kColumns;
      ReduceBlock block{};
      block.slices = slices;
      block.x = in[0] + slice * count_ * inner_ + first;
      block.rows = count_;
      block.stride = inner_;
      block.cols = std::min(kColumns, inner_ - first);
      block.mean = function_ == Function::mean;
      block.out = out[0] + slice * inner_ + first;
      exec.report(exec.kernels->reduce_block(block));
    }
  });
}

std::string Reduce::kernel(const Exec& exec) const {
  return std::string("reduce_block ") + exec.kernels->name;
}

}  // namespace cn
