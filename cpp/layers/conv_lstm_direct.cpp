#include "layers/conv_lstm_direct.hpp"

#include <algorithm>

#include "base/parallel.hpp"
#include "layers/cost.hpp"

namespace cn {
namespace {

constexpr std::size_t kGates = 4;

// Pixels of one task: their taps of x and h stay in L1 or L2 while all filters pass. A common
// multiple of every table's pixels_per_block.
constexpr std::size_t kPixelsPerTask = 96;

// Floats from one row of a plane to the next.
std::size_t pitch_of(const ConvAxis& cols) {
  return cols.output + std::max(cols.largest_shift(), cols.kernel - 1);
}

std::size_t rows_beyond(const ConvAxis& rows) {
  return std::max(rows.largest_shift(), rows.kernel - 1);
}

// Floats from one slice of a plane to the next.
std::size_t slice_of(const ConvAxis& rows, const ConvAxis& cols) {
  return checked_mul(rows.output + rows_beyond(rows), pitch_of(cols));
}

// Places of the flattened map that are computed, gaps included.
std::size_t pixels_of(const ConvAxis& depth, const ConvAxis& rows, const ConvAxis& cols) {
  const std::size_t before_last = checked_mul(depth.output - 1, slice_of(rows, cols));
  const std::size_t last = checked_mul(rows.output, pitch_of(cols));
  return round_up(checked_add(before_last, last), kPixelsPerTask);
}

}  // namespace

double DirectCell::cost(const ConvLstm2dOptions& o) {
  const ConvAxis depth = depth_axis(o), rows = row_axis(o), cols = col_axis(o);
  const std::size_t taps =
      (o.input[0] + o.group_filters()) * depth.kernel * rows.kernel * cols.kernel;
  // Measured on AVX2: of a tap and of the gates of one pixel of a filter.
  constexpr double kTap = 1.2, kOutput = 110.0;
  const double pixel = kTap * static_cast<double>(kGates * taps) + kOutput;
  return static_cast<double>(pixels_of(depth, rows, cols)) * static_cast<double>(o.filters) * pixel;
}

DirectCell::DirectCell(const ConvLstm2dOptions& options, const ConvLstmWeights& weights)
    : o_(options),
      depth_(depth_axis(options)),
      rows_(row_axis(options)),
      cols_(col_axis(options)),
      pitch_(pitch_of(cols_)),
      slice_(slice_of(rows_, cols_)),
      pixels_(pixels_of(depth_, rows_, cols_)) {
  const std::size_t beyond =
      checked_add(checked_mul(rows_beyond(depth_), slice_),
                  checked_mul(rows_beyond(rows_), pitch_) + pitch_ - cols_.output);
  plane_ = round_up(checked_add(pixels_, beyond), kAlignedFloats);
  // An odd number of cache lines: planes of sizes like 64 x 64 do not fall on the same sets.
  if (plane_ / kAlignedFloats % 2 == 0) plane_ += kAlignedFloats;

  mask_.assign(pixels_, 0);
  for (std::size_t row = 0; row < depth_.output * rows_.output; ++row) {
    const std::size_t first = place(row / rows_.output, row % rows_.output, 0);
    std::fill_n(mask_.begin() + static_cast<std::ptrdiff_t>(first), cols_.output,
                ~std::uint32_t{0});
  }
  list_taps();
  pack_weights(weights);
}

void DirectCell::list_taps() {
  state_floats();  // throws where offsets would not fit
  const auto offset = [&](std::size_t plane, std::size_t slice, std::size_t row, std::size_t col) {
    return static_cast<std::ptrdiff_t>(plane * plane_ + place(slice, row, col));
  };
  const std::size_t phases = depth_.stride * rows_.stride * cols_.stride;
  const std::size_t a_slice = rows_.kernel * cols_.kernel;
  for (std::size_t channel = 0; channel < o_.input[0]; ++channel) {
    for (std::size_t tap = 0; tap < depth_.kernel * a_slice; ++tap) {
      const std::size_t z = tap / a_slice * depth_.dilation;
      const std::size_t y = tap / cols_.kernel % rows_.kernel * rows_.dilation;
      const std::size_t x = tap % cols_.kernel * cols_.dilation;
      x_offsets_.push_back(offset(channel * phases + phase(z, y, x), z / depth_.stride,
                                  y / rows_.stride, x / cols_.stride));
    }
  }
  for (std::size_t filter = 0; filter < o_.group_filters(); ++filter) {
    for (std::size_t tap = 0; tap < depth_.kernel * a_slice; ++tap) {
      h_offsets_.push_back(
          offset(filter, tap / a_slice, tap / cols_.kernel % rows_.kernel, tap % cols_.kernel));
    }
  }
}

std::size_t DirectCell::phase(std::size_t z, std::size_t y, std::size_t x) const {
  return (z % depth_.stride * rows_.stride + y % rows_.stride) * cols_.stride + x % cols_.stride;
}

void DirectCell::pack_weights(const ConvLstmWeights& w) {
  const std::size_t x_taps = x_offsets_.size(), h_taps = h_offsets_.size();
  weights_ = Buffer(checked_mul(checked_mul(o_.filters, x_taps + h_taps), kGates));
  bias_ = Buffer(o_.filters * kGates);
  float* to = weights_.data();
  for (std::size_t filter = 0; filter < o_.filters; ++filter) {
    const auto gate_row = [&](const float* from, std::size_t gate, std::size_t taps) {
      return from + (gate * o_.filters + filter) * taps;
    };
    for (std::size_t k = 0; k < x_taps; ++k) {
      for (std::size_t g = 0; g < kGates; ++g) *to++ = gate_row(w.kernel, g, x_taps)[k];
    }
    for (std::size_t k = 0; k < h_taps; ++k) {
      for (std::size_t g = 0; g < kGates; ++g) *to++ = gate_row(w.recurrent_kernel, g, h_taps)[k];
    }
    for (std::size_t g = 0; g < kGates; ++g) {
      bias_.data()[filter * kGates + g] = w.bias[g * o_.filters + filter];
    }
  }
}

std::size_t DirectCell::x_floats() const {
  const std::size_t phases = checked_mul(depth_.stride, rows_.stride * cols_.stride);
  return checked_mul(checked_mul(o_.input[0], phases), plane_);
}

std::size_t DirectCell::state_floats() const {
  return checked_add(x_floats(), checked_mul(3 * o_.filters, plane_));
}

std::size_t DirectCell::h_start(bool newest, const State& state) const {
  const bool second = (state.frames % 2 != 0) == newest;
  return x_floats() + (second ? h_floats() : 0);
}

void DirectCell::put_row(State& state, std::size_t channel, std::size_t row, const float* x) const {
  const std::size_t z = row / rows_.length + depth_.before;
  const std::size_t y = row % rows_.length + rows_.before;
  // No tap reaches beyond these.
  if (z / depth_.stride >= depth_.output + depth_.largest_shift()) return;
  if (y / rows_.stride >= rows_.output + rows_.largest_shift()) return;
  const std::size_t limit = cols_.output + cols_.largest_shift();
  const std::size_t phases = depth_.stride * rows_.stride * cols_.stride;
  float* to = state.data.data() + (channel * phases + phase(z, y, 0)) * plane_ +
              place(z / depth_.stride, y / rows_.stride, 0);
  if (cols_.stride == 1) {
    std::copy_n(x, std::min(cols_.length, limit - cols_.before), to + cols_.before);
    return;
  }
  for (std::size_t col = 0; col < cols_.length; ++col) {
    const std::size_t at = col + cols_.before;
    if (at / cols_.stride >= limit) break;
    to[at % cols_.stride * plane_ + at / cols_.stride] = x[col];
  }
}

// Of a plane rows are told one by one, of a volume slice by slice.
RowProgress::Layout DirectCell::progress_layout(std::size_t tasks) const {
  if (depth_.output == 1) {
    return {kPixelsPerTask, tasks, pitch_, cols_.output, rows_.output, 1};
  }
  const std::size_t slice_places = (rows_.output - 1) * pitch_ + cols_.output;
  return {kPixelsPerTask, tasks, slice_, slice_places, depth_.output * rows_.output, rows_.output};
}

void DirectCell::step(const Exec& exec, State& state, RowSink& sink) const {
  float* data = state.data.data();
  const float* h = data + h_start(true, state);
  float* h_next = data + h_start(false, state) + h_origin();
  float* c = data + c_start();
  const std::size_t taps = x_offsets_.size() + h_offsets_.size();
  const std::size_t filters = o_.group_filters();  // that share their taps
  const std::size_t chunks = pixels_ / kPixelsPerTask;
  const double operations =
      static_cast<double>(kGates * o_.filters * taps) * static_cast<double>(pixels_);
  const int threads = threads_for(exec, operations);
  const FilterSplit split =
      split_filters(filters, chunks, exec.kernels->filters_per_block, threads);
  const auto run = [&](std::size_t part, Tasks& tasks) {
    RowProgress progress(progress_layout(o_.groups * split.runs), sink, part);
    for (std::size_t task = 0; tasks.next(task);) {
      const std::size_t pixel = task / (o_.groups * split.runs) * kPixelsPerTask;
      const std::size_t group = task / split.runs % o_.groups;
      const std::size_t in_group = task % split.runs * split.step;
      const std::size_t filter = group * filters + in_group;
      ConvLstmBlock block{};
      block.x = data + pixel;
      block.x_offsets = x_offsets_.data();
      block.x_taps = x_offsets_.size();
      block.h = h + group * filters * plane_ + pixel;
      block.h_offsets = h_offsets_.data();
      block.h_taps = h_offsets_.size();
      block.weights = weights_.data() + filter * taps * kGates;
      block.bias = bias_.data() + filter * kGates;
      block.mask = mask_.data() + pixel;
      block.c = c + filter * plane_ + pixel;
      block.c_stride = plane_;
      block.h_out = h_next + filter * plane_ + pixel;
      block.h_stride = plane_;
      block.filters = std::min(split.step, filters - in_group);
      block.pixels = kPixelsPerTask;
      block.activation = o_.activation;
      block.recurrent_activation = o_.recurrent_activation;
      exec.kernels->conv_lstm_block(block);
      progress.finished(task);
    }
  };
  parallel_tasks(threads, chunks * o_.groups * split.runs, run);
  ++state.frames;
}

std::size_t DirectCell::row_start(const State& state, Part part, std::size_t filter,
                                  std::size_t row, bool next) const {
  const std::size_t first = part == kH ? h_start(!next, state) + h_origin() : c_start();
  return first + filter * plane_ + place(row / rows_.output, row % rows_.output, 0);
}

void DirectCell::read_row(const State& state, Part part, std::size_t filter, std::size_t row,
                          float* to, bool next) const {
  std::copy_n(state.data.data() + row_start(state, part, filter, row, next), cols_.output, to);
}

void DirectCell::write_row(State& state, Part part, std::size_t filter, std::size_t row,
                           const float* from) const {
  std::copy_n(from, cols_.output, state.data.data() + row_start(state, part, filter, row));
}

}  // namespace cn
