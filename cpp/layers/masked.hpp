// Frames that a recurrent layer passes over, as Keras' Masking marks them.
#pragma once

#include <memory>

#include "layers/layer.hpp"

namespace cn {

// Which frames count: out[1] is 1 where any number of the frame differs from `value` and 0
// otherwise, out[0] the frame in the first case and zeros in the second.
class Mask : public Layer {
 public:
  Mask(std::size_t count, float value) : count_(count), value_(value) {}
  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;

 private:
  std::size_t count_;
  float value_;
};

// A recurrent layer with a mask as its second input. Where that is zero the states stay as they
// are, and the output is that of the frame before (zeros before the first one), or zeros. Behind
// the states of the layer its last output is a part of the state.
class Masked : public Layer {
 public:
  Masked(std::unique_ptr<Layer> layer, Shape output, bool zero_output)
      : layer_(std::move(layer)), output_(std::move(output)), zero_output_(zero_output) {}

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  std::size_t state_floats() const override;
  std::size_t scratch_floats() const override { return layer_->scratch_floats(); }
  std::vector<StatePart> state_parts() const override;
  void export_state(const State& state, std::size_t part, float* to) const override;
  void import_state(State& state, std::size_t part, const float* from) const override;
  std::string kernel(const Exec& exec) const override { return layer_->kernel(exec) + ", masked"; }
  std::string choice() const override { return layer_->choice(); }

 private:
  std::unique_ptr<Layer> layer_;
  Shape output_;
  bool zero_output_;
};

}  // namespace cn
