// Convolutions over one to three axes, and their transposes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "layers/map_phases.hpp"
#include "layers/plane_convolution.hpp"

namespace cn {

// Axes that a map lacks are in front and of length 1.
struct ConvolutionOptions {
  std::size_t channels = 1, filters = 1, groups = 1;
  Size3 input{1, 1, 1};
  Size3 kernel{1, 1, 1};
  Size3 strides{1, 1, 1};
  Size3 dilation{1, 1, 1};
  Size3 before{0, 0, 0};  // zeros in front of the input; of a transpose: outputs cut off in front
  Size3 output{1, 1, 1};
  Activation activation;

  MapPhases input_phases() const;
  MapPhases output_phases() const;
};

// out[f, p] = activation(bias[f] + sum over c, k of
//                        kernel[f, c, k] * x[c, p * strides + k * dilation - before])
//
// with the channels c of the group that f belongs to; x is zero outside.
class Convolution : public Layer {
 public:
  // `kernel` is (filters, channels / groups, kernel), `bias` (filters).
  Convolution(const ConvolutionOptions& options, const KernelTable& kernels, const float* kernel,
              const float* bias, std::string choice);

  // Multiply-adds that would take as long.
  static double cost(const ConvolutionOptions& options);

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  std::size_t scratch_floats() const override { return planes_.scratch_floats(); }
  std::string kernel(const Exec& exec) const override;
  std::string choice() const override { return choice_; }

 private:
  PlaneConvolution planes_;
  std::string choice_;
};

// The convolution that should take less time with these kernels: channel by channel, by Winograd or
// direct.
std::unique_ptr<Layer> make_convolution(const ConvolutionOptions& options, bool allow_winograd,
                                        const KernelTable& kernels, const float* kernel,
                                        const float* bias);

// Whether a dilated convolution should take less time by Winograd on the phases of its map, which
// dilated_apart() says how to convolve: from SplitPhases(o.input_phases()) to
// JoinPhases(o.output_phases()).
bool pays_apart(const ConvolutionOptions& options, bool allow_winograd, const KernelTable& kernels);
ConvolutionOptions dilated_apart(const ConvolutionOptions& options);

// out[f, p] = activation(bias[f] + sum over c, i, k with i * strides + k * dilation = p + before
//                        of kernel[c, f, k] * x[c, i])
//
// Places p with the same remainder by the stride see the same taps: each remainder is a
// convolution of its own, with stride 1, that writes every strides-th place.
class ConvolutionTranspose : public Layer {
 public:
  // `kernel` is (channels, filters, kernel), `bias` (filters).
  ConvolutionTranspose(const ConvolutionOptions& options, const KernelTable& kernels,
                       const float* kernel, const float* bias);

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  std::size_t scratch_floats() const override;
  std::string kernel(const Exec& exec) const override;

 private:
  std::size_t phases_;                   // of the outputs
  std::vector<PlaneConvolution> parts_;  // one for each of them, or for all
};

}  // namespace cn
