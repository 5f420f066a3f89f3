// Convolutional LSTM on maps of one, two or three axes, one frame at a time.
#pragma once

#include "layers/conv_lstm_cell.hpp"

namespace cn {

// A cell, and the pass that writes its frame: norm and pool on the way out.
class ConvLstm2d : public Layer {
 public:
  ConvLstm2d(const ConvLstm2dOptions& options, const KernelTable& kernels,
             const ConvLstmWeights& weights);

  // Of the frame that run() writes, after norm and pool.
  Shape output() const { return shape_of(writer_.output()); }

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  bool takes_rows() const override { return true; }
  void put_row(State& state, std::size_t row, const float* x) const override;
  bool gives_rows() const override { return true; }
  void clear(const Exec& exec, State& state) const override;
  std::size_t state_floats() const override { return cell_->state_floats(); }
  std::size_t scratch_floats() const override;
  std::vector<StatePart> state_parts() const override;
  void export_state(const State& state, std::size_t part, float* to) const override;
  void import_state(State& state, std::size_t part, const float* from) const override;
  std::string kernel(const Exec& exec) const override;
  std::string choice() const override { return choice_; }

 private:
  class Writer;
  Shape shape_of(const Size3& map) const;
  void put_frame(const Exec& exec, const float* x, State& state) const;
  // One row of the frame, of one filter; to the reader of the state if `out` is null.
  void write_row(const Exec& exec, const State& state, bool next, std::size_t part,
                 std::size_t filter, std::size_t row, float* out) const;
  void write_rest(const Exec& exec, const State& state, float* out) const;

  Size3 input_;  // channels, rows, cols
  Size3 map_;    // filters, rows, cols of the state; rows of a volume are those of all slices
  std::size_t rank_, depth_;
  NormPool writer_;
  std::size_t window_rows_;  // most rows of the map that a row of the frame looks at
  std::unique_ptr<ConvLstmCell> cell_;
  std::string choice_;
};

}  // namespace cn
