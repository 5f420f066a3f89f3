// Fully connected layer over the last axis.
#pragma once

#include "layers/layer.hpp"

namespace cn {

// out[r] = activation(x[r] * kernel + bias) for each of `rows` rows; kernel is
// (inputs, units), row-major, as Keras keeps it.
class Dense : public Layer {
 public:
  Dense(std::size_t rows, std::size_t inputs, std::size_t units, const float* kernel,
        const float* bias, const Activation& activation);

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  std::string kernel(const Exec&) const override { return "Eigen matrix-vector product"; }

 private:
  std::size_t rows_, inputs_, units_;
  Buffer weights_;  // (units, inputs): a dot product reads neighbours
  Buffer bias_;
  Activation activation_;
};

}  // namespace cn
