#include "layers/map_phases.hpp"

#include "base/parallel.hpp"

namespace cn {
namespace {

// Calls body(offset of a row of the whole map, offset of its first phase) for all rows, on some
// threads.
template <class Body>
void for_rows(const Exec& exec, const MapPhases& p, const Body& body) {
  const std::size_t map = p.height / p.rows * (p.width / p.cols);
  const std::size_t rows = p.channels * p.height;
  const int threads = threads_for(exec, static_cast<double>(rows * p.width));
  parallel_for(threads, rows, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      const std::size_t channel = row / p.height, y = row % p.height;
      const std::size_t first = channel * p.rows + y % p.rows;
      body(row * p.width, first * p.cols * map + y / p.rows * (p.width / p.cols), map);
    }
  });
}

// Rows that the kernels take. They may read a vector behind a row of a phase, which must not be the
// end of memory.
bool has_kernel(const MapPhases& p, std::size_t phase, std::size_t map) {
  const bool inside = phase + p.cols * map + kAlignedFloats <= p.channels * p.height * p.width;
  return (p.cols == 2 || p.cols == 4) && inside;
}

}  // namespace

void SplitPhases::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const std::size_t width = phases_.width, cols = phases_.cols;
  for_rows(exec, phases_, [&](std::size_t row, std::size_t phase, std::size_t map) {
    const float* from = in[0] + row;
    float* to = out[0] + phase;
    if (has_kernel(phases_, phase, map)) {
      exec.kernels->split_phases(cols, from, width, 0, to, map);
      return;
    }
    for (std::size_t x = 0; x < width; ++x) to[x % cols * map + x / cols] = from[x];
  });
}

void JoinPhases::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const std::size_t width = phases_.width, cols = phases_.cols;
  for_rows(exec, phases_, [&](std::size_t row, std::size_t phase, std::size_t map) {
    const float* from = in[0] + phase;
    float* to = out[0] + row;
    if (has_kernel(phases_, phase, map)) {
      exec.kernels->join_phases(cols, from, map, width, to);
      return;
    }
    for (std::size_t x = 0; x < width; ++x) to[x] = from[x % cols * map + x / cols];
  });
}

}  // namespace cn
