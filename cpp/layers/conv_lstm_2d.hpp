// Convolutional LSTM, one frame at a time.
#pragma once

#include <optional>

#include "layers/norm_pool.hpp"

namespace cn {

struct ConvLstm2dOptions {
  Size3 input;  // channels, rows, cols of x
  std::size_t filters = 0;
  Size2 kernel_size;
  Size2 strides;
  Size2 dilation_rate;
  bool same = false;  // padding of the input convolution; the recurrent one is always 'same'
  // Sibling layers in one: filters are split into `groups` runs, the recurrent convolution
  // of each sees the h of its own run alone.
  std::size_t groups = 1;
  Activation activation;
  Activation recurrent_activation;
  std::optional<Norm> norm;  // applied to the frame on its way out, then the pool
  std::optional<Pool> pool;
};

// Shi et al. 2015 without peepholes, as Keras computes it; kernel_table.hpp has the formula.
//
// The state holds the zero-padded planes of x, two sets of h planes (read one, write the
// other, swap) and c. Every plane has the same pitch: the width of the output and enough
// zero columns for the widest shift; they are the right border of one row and the left
// border of the next. A stride s splits the planes of x into s * s phases, so that under
// any stride, dilation and padding each tap is one constant offset.
class ConvLstm2d : public Layer {
 public:
  // kernel (4 * filters, channels, rows, cols), recurrent_kernel (4 * filters, filters / groups,
  // rows, cols), bias (4 * filters); gates i, f, c, o.
  ConvLstm2d(const ConvLstm2dOptions& options, const float* kernel, const float* recurrent_kernel,
             const float* bias);

  // Of the frame that run() writes, after norm and pool.
  const Size3& output() const { return writer_.output(); }

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  std::size_t state_floats() const override;
  std::vector<StatePart> state_parts() const override;
  void export_state(const State& state, std::size_t part, float* to) const override;
  void import_state(State& state, std::size_t part, const float* from) const override;
  std::string kernel(const Exec& exec) const override;

 private:
  // One spatial axis of the input convolution.
  struct Axis {
    std::size_t length, kernel, stride, dilation;
    std::size_t output, before;  // of the convolution; zeros in front of x
    std::size_t largest_shift() const { return (kernel - 1) * dilation / stride; }
  };

  void pack_weights(const float* kernel, const float* recurrent_kernel, const float* bias);
  void list_taps();
  void pack_frame(const Exec& exec, const float* x, float* planes) const;
  void pack_plane_row(const float* x, std::size_t channel, std::size_t row, float* planes) const;
  void step(const Exec& exec, State& state) const;

  std::size_t x_floats() const;
  std::size_t h_floats() const { return o_.filters * plane_; }
  std::size_t h_start(bool newest, const State& state) const;
  std::size_t c_start() const { return x_floats() + 2 * h_floats(); }
  // Where the first pixel of the map lies in a plane of h.
  std::size_t h_origin() const { return (rows_.kernel - 1) / 2 * pitch_ + (cols_.kernel - 1) / 2; }

  ConvLstm2dOptions o_;
  Axis rows_, cols_;
  std::size_t pitch_;   // floats from one row of a plane to the next
  std::size_t pixels_;  // places of the flattened map that are computed, gaps included
  std::size_t plane_;   // floats from one plane to the next
  std::vector<std::ptrdiff_t> x_offsets_, h_offsets_;
  Buffer weights_;  // [filter][taps of x, then of h][4 gates]
  Buffer bias_;     // [filter][4 gates]
  std::vector<std::uint32_t> mask_;
  NormPool writer_;
};

}  // namespace cn
