#include "layers/time.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {

Collect::Collect(std::string name, std::size_t length, const Shape& frame)
    : name_(std::move(name)), length_(length), floats_(element_count(frame)), shape_(frame) {
  shape_.insert(shape_.begin(), length);
  element_count(shape_);  // must fit an address
}

void Collect::run(const Exec&, const float* const* in, float* const*, State& state) const {
  const auto frame = static_cast<std::size_t>(state.frames++);
  if (frame < length_) std::copy_n(in[0], floats_, state.data.data() + frame * floats_);
}

std::vector<StatePart> Collect::state_parts() const { return {{"frames", shape_}}; }

void Collect::export_state(const State& state, std::size_t, float* to) const {
  std::copy_n(state.data.data(), state.data.size(), to);
}

void Collect::import_state(State& state, std::size_t, const float* from) const {
  std::copy_n(from, state.data.size(), state.data.data());
}

void Collect::export_final(const State& state, std::size_t part, float* to) const {
  if (state.frames != static_cast<std::int64_t>(length_)) {
    throw InputError("layer '" + name_ + "': expected " + std::to_string(length_) +
                     " frames, found " + std::to_string(state.frames));
  }
  export_state(state, part, to);
}

ReduceTime::ReduceTime(Function function, const Shape& frame)
    : function_(function), shape_(frame), floats_(element_count(frame)) {}

void ReduceTime::run(const Exec& exec, const float* const* in, float* const*, State& state) const {
  float* total = state.data.data();
  float* lost = total + floats_;
  const bool first = state.frames++ == 0;
  const std::size_t lines = (floats_ + kAlignedFloats - 1) / kAlignedFloats;
  const int threads = threads_for(exec, 4.0 * static_cast<double>(floats_));
  parallel_for(threads, lines, [&](std::size_t begin, std::size_t end) {
    const std::size_t last = std::min(end * kAlignedFloats, floats_);
    for (std::size_t i = begin * kAlignedFloats; i < last; ++i) {
      const float x = in[0][i];
      if (function_ == Function::max) {
        // A NaN stays: no comparison with it is true.
        total[i] = first || !(x <= total[i]) ? (std::isnan(total[i]) ? total[i] : x) : total[i];
        continue;
      }
      const float sum = total[i] + x;
      lost[i] += std::fabs(total[i]) >= std::fabs(x) ? (total[i] - sum) + x : (x - sum) + total[i];
      total[i] = sum;
    }
  });
}

std::vector<StatePart> ReduceTime::state_parts() const {
  return {{"total", shape_}, {"lost", shape_}};
}

void ReduceTime::export_state(const State& state, std::size_t part, float* to) const {
  std::copy_n(state.data.data() + part * floats_, floats_, to);
}

void ReduceTime::import_state(State& state, std::size_t part, const float* from) const {
  std::copy_n(from, floats_, state.data.data() + part * floats_);
}

void ReduceTime::export_final(const State& state, std::size_t, float* to) const {
  const float* total = state.data.data();
  const auto frames = static_cast<double>(state.frames);
  for (std::size_t i = 0; i < floats_; ++i) {
    const double sum = static_cast<double>(total[i]) + static_cast<double>(total[floats_ + i]);
    to[i] = function_ == Function::max ? total[i] : static_cast<float>(sum / frames);
  }
}

}  // namespace cn
