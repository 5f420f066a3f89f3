// Convolutional LSTM by direct convolution: any kernel, stride, dilation and padding.
#pragma once

#include "layers/conv_lstm_cell.hpp"

namespace cn {

// The state holds the zero-padded planes of x, two sets of h planes (read one, write the
// other, swap) and c. Every plane has the same pitch: the width of the output and enough
// zero columns for the widest shift; they are the right border of one row and the left
// border of the next. A stride s splits the planes of x into s * s phases, so that under
// any stride, dilation and padding each tap is one constant offset. Of a volume a plane holds all
// slices, with enough zero rows between two of them, and phases are s * s * s.
class DirectCell : public ConvLstmCell {
 public:
  DirectCell(const ConvLstm2dOptions& options, const ConvLstmWeights& weights);

  // Time of a step on one thread, in multiply-adds of single floats that take as long at the peak
  // rate; gaps included.
  static double cost(const ConvLstm2dOptions& options);

  void put_row(State& state, std::size_t channel, std::size_t row, const float* x) const override;
  void step(const Exec& exec, State& state, RowSink& sink) const override;
  std::size_t state_floats() const override;
  void read_row(const State& state, Part part, std::size_t filter, std::size_t row, float* to,
                bool next) const override;
  void write_row(State& state, Part part, std::size_t filter, std::size_t row,
                 const float* from) const override;
  std::string name() const override { return "direct"; }

 private:
  void pack_weights(const ConvLstmWeights& weights);
  void list_taps();

  // Which of the planes of a channel holds the pixel (z, y, x) of the padded x.
  std::size_t phase(std::size_t z, std::size_t y, std::size_t x) const;

  std::size_t x_floats() const;
  std::size_t h_floats() const { return o_.filters * plane_; }
  std::size_t h_start(bool newest, const State& state) const;
  std::size_t c_start() const { return x_floats() + 2 * h_floats(); }
  // Where the first pixel of the map lies in a plane of h.
  std::size_t h_origin() const {
    return place((depth_.kernel - 1) / 2, (rows_.kernel - 1) / 2, (cols_.kernel - 1) / 2);
  }
  std::size_t place(std::size_t slice, std::size_t row, std::size_t col) const {
    return slice * slice_ + row * pitch_ + col;
  }
  RowProgress::Layout progress_layout(std::size_t tasks) const;
  std::size_t row_start(const State& state, Part part, std::size_t filter, std::size_t row,
                        bool next = false) const;

  ConvLstm2dOptions o_;
  ConvAxis depth_, rows_, cols_;
  std::size_t pitch_;   // floats from one row of a plane to the next
  std::size_t slice_;   // floats from one slice of a plane to the next
  std::size_t pixels_;  // places of the flattened map that are computed, gaps included
  std::size_t plane_;   // floats from one plane to the next
  std::vector<std::ptrdiff_t> x_offsets_, h_offsets_;
  Buffer weights_;  // [filter][taps of x, then of h][4 gates]
  Buffer bias_;     // [filter][4 gates]
  std::vector<std::uint32_t> mask_;
};

}  // namespace cn
