#include "layers/masked.hpp"

#include <algorithm>

namespace cn {

void Mask::run(const Exec&, const float* const* in, float* const* out, State&) const {
  const float* end = in[0] + count_;
  const bool counts = std::any_of(in[0], end, [this](float x) { return x != value_; });
  if (counts) {
    std::copy(in[0], end, out[0]);
  } else {
    std::fill_n(out[0], count_, 0.0F);
  }
  *out[1] = counts ? 1.0F : 0.0F;
}

void Masked::run(const Exec& exec, const float* const* in, float* const* out, State& state) const {
  float* last = state.data.data() + layer_->state_floats();
  const std::size_t count = element_count(output_);
  if (*in[1] != 0.0F) {
    layer_->run(exec, in, &last, state);
  } else if (zero_output_) {
    std::fill_n(last, count, 0.0F);
  }
  if (out != nullptr) std::copy_n(last, count, out[0]);
}

std::size_t Masked::state_floats() const {
  return checked_add(layer_->state_floats(), element_count(output_));
}

std::vector<StatePart> Masked::state_parts() const {
  std::vector<StatePart> parts = layer_->state_parts();
  parts.push_back({"output", output_});
  return parts;
}

void Masked::export_state(const State& state, std::size_t part, float* to) const {
  if (part < layer_->state_parts().size()) {
    layer_->export_state(state, part, to);
  } else {
    std::copy_n(state.data.data() + layer_->state_floats(), element_count(output_), to);
  }
}

void Masked::import_state(State& state, std::size_t part, const float* from) const {
  if (part < layer_->state_parts().size()) {
    layer_->import_state(state, part, from);
  } else {
    std::copy_n(from, element_count(output_), state.data.data() + layer_->state_floats());
  }
}

}  // namespace cn
