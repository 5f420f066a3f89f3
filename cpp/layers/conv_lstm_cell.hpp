// How a convolutional LSTM computes its next state: two ways, one interface.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "layers/norm_pool.hpp"

namespace cn {

struct ConvLstm2dOptions {
  Size3 input;  // channels, rows, cols of x
  std::size_t filters = 0;
  Size2 kernel_size;
  Size2 strides;
  Size2 dilation_rate;
  // The axis before the rows: of volumes, cut into slices; all ones for a plane.
  struct Depth {
    std::size_t length = 1, kernel = 1, stride = 1, dilation = 1;
  };
  Depth depth;
  std::size_t rank = 2;  // spatial axes that the shapes of frames and states show
  bool same = false;     // padding of the input convolution; the recurrent one is always 'same'
  // Sibling layers in one: filters are split into `groups` runs, the recurrent convolution
  // of each sees the h of its own run alone.
  std::size_t groups = 1;
  Activation activation;
  Activation recurrent_activation;
  std::optional<Norm> norm;  // applied to the frame on its way out, then the pool
  std::optional<Pool> pool;
  bool allow_winograd = true;  // false: direct convolution whatever it costs

  std::size_t group_filters() const { return filters / groups; }
  bool planar() const { return depth.length == 1 && depth.kernel == 1; }
};

// kernel (4 * filters, channels, depth, rows, cols), recurrent_kernel (4 * filters, filters /
// groups, depth, rows, cols), bias (4 * filters); gates i, f, c, o.
struct ConvLstmWeights {
  const float* kernel;
  const float* recurrent_kernel;
  const float* bias;
};

// One spatial axis of the input convolution.
struct ConvAxis {
  std::size_t length, kernel, stride, dilation;
  std::size_t output, before;  // of the convolution; zeros in front of x
  std::size_t largest_shift() const { return (kernel - 1) * dilation / stride; }
};
ConvAxis depth_axis(const ConvLstm2dOptions& options);
ConvAxis row_axis(const ConvLstm2dOptions& options);
ConvAxis col_axis(const ConvLstm2dOptions& options);

// Hears of rows of the new h while they are still in a near cache.
class RowSink {
 public:
  virtual ~RowSink() = default;
  // Rows begin to end of all filters are there, computed by `part`; `end` grows from call to call.
  virtual void rows(std::size_t part, std::size_t begin, std::size_t end) = 0;
};

// Tells a sink what a run of tasks has finished. A map flattened with `pitch` places a row is cut
// into blocks of `block` places, a block into `tasks` tasks; `row_places` of a row count.
class RowProgress {
 public:
  struct Layout {
    std::size_t block, tasks, pitch, row_places, rows;
    std::size_t rows_at_once;  // of the map in one row of places
  };
  RowProgress(const Layout& layout, RowSink& sink, std::size_t part)
      : layout_(layout), sink_(sink), part_(part) {}

  void finished(std::size_t task);

 private:
  Layout layout_;
  RowSink& sink_;
  std::size_t part_;
  std::size_t next_task_ = 0;    // behind the last one that was finished
  std::size_t first_block_ = 0;  // of the tasks without a gap before it
  std::size_t end_ = 0;          // rows told so far
};

// Shi et al. 2015 without peepholes, as Keras computes it; kernel_table.hpp has the formula. A
// cell lays its state out as its kernel likes it and alone knows how.
class ConvLstmCell {
 public:
  enum Part { kH, kC };

  virtual ~ConvLstmCell() = default;

  // Takes a row of the frame that step() reads; rows of a volume count on from slice to slice.
  virtual void put_row(State& state, std::size_t channel, std::size_t row,
                       const float* x) const = 0;
  // Moves the state one frame on. Of rows that two threads share the sink hears nothing.
  virtual void step(const Exec& exec, State& state, RowSink& sink) const = 0;

  // True where step() asks State::zero: then a new sequence need not clear the memory.
  virtual bool knows_zero() const { return false; }
  virtual std::size_t state_floats() const = 0;
  virtual std::size_t scratch_floats() const { return 0; }  // of each thread

  // One row of the newest h, or of c: to a dense one and from it. While step() runs, `next` asks
  // for the h that it writes.
  virtual void read_row(const State& state, Part part, std::size_t filter, std::size_t row,
                        float* to, bool next = false) const = 0;
  // True where the cell itself normalizes and pools; then rows of the frame come from here alone.
  virtual bool pools() const { return false; }
  virtual void read_pooled_row(const State&, std::size_t /*filter*/, std::size_t /*row*/,
                               float* /*to*/) const {}
  virtual void write_row(State& state, Part part, std::size_t filter, std::size_t row,
                         const float* from) const = 0;

  virtual std::string name() const = 0;
};

// The cell that should take less time with these kernels.
std::unique_ptr<ConvLstmCell> make_cell(const ConvLstm2dOptions& options,
                                        const KernelTable& kernels, const ConvLstmWeights& weights);

// Why make_cell takes the one it takes, with the costs it compares.
std::string explain_cell(const ConvLstm2dOptions& options, const KernelTable& kernels);

}  // namespace cn
