// Fully connected layer over the last axis.
#pragma once

#include "layers/layer.hpp"

namespace cn {

// out[r] = activation(x[r] * kernel + bias) for each of `rows` rows; kernel is
// (inputs, units), row-major, as Keras keeps it.
class Dense : public Layer {
 public:
  // Weights that do not fit the caches are read from memory for every run.
  static constexpr std::size_t kManyWeights = std::size_t{1} << 18;

  Dense(const KernelTable& kernels, std::size_t rows, std::size_t inputs, std::size_t units,
        const float* kernel, const float* bias, const Activation& activation);

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  bool likes_batches() const override;
  void run_batch(const Exec& exec, std::size_t frames, const float* in, std::size_t in_step,
                 float* out, std::size_t out_step) const override;
  std::string kernel(const Exec& exec) const override;

 private:
  void run_rows(const Exec& exec, std::size_t rows, const float* in, std::size_t in_step,
                float* out, std::size_t out_step) const;

  std::size_t rows_, inputs_, units_;
  bool few_;                    // units, all in one panel
  std::size_t lanes_, panels_;  // units of a panel, panels
  Buffer weights_, bias_;       // as DenseBlock has them
  Activation activation_;
};

}  // namespace cn
