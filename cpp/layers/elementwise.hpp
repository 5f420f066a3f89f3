// Layers that look at the numbers of a frame one by one, or move them.
#pragma once

#include "layers/layer.hpp"

namespace cn {

class ActivationLayer : public Layer {
 public:
  ActivationLayer(std::size_t count, const Activation& activation)
      : count_(count), activation_(activation) {}
  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  bool checks_inputs() const override { return true; }
  std::string kernel(const Exec& exec) const override;

 private:
  std::size_t count_;
  Activation activation_;
};

// A frame with its axes in another order:
// out[i0, i1, ...] = in[i0 * strides[0] + i1 * strides[1] + ...].
class Permute : public Layer {
 public:
  Permute(Shape output, std::vector<std::size_t> strides);
  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;

 private:
  Shape output_;
  std::vector<std::size_t> strides_;
};

}  // namespace cn
