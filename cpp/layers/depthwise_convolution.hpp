// Convolutions of each channel alone that keep the size of the map.
#pragma once

#include <string>
#include <vector>

#include "layers/convolution.hpp"

namespace cn {

class DepthwiseConvolution : public Layer {
 public:
  DepthwiseConvolution(const ConvolutionOptions& options, const float* kernel, const float* bias);

  // True for as many groups, channels and filters, stride 1 and maps of one plane that fit L1.
  static bool fits(const ConvolutionOptions& options);

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  std::size_t scratch_floats() const override { return 2 * (places_ + 2 * reach_); }
  std::string kernel(const Exec& exec) const override;

 private:
  Activation activation_;
  std::size_t channels_, places_, tap_rows_, tap_cols_;
  std::size_t reach_ = 0;                // of a tap, in places
  std::vector<std::ptrdiff_t> offsets_;  // as of DepthwiseBlock, like all below
  std::vector<std::vector<std::uint32_t>> masks_;
  std::vector<const std::uint32_t*> mask_pointers_;
  Buffer weights_, bias_;
};

}  // namespace cn
