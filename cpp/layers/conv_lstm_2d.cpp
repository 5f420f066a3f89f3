#include "layers/conv_lstm_2d.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {
namespace {

constexpr std::size_t kGates = 4;

// Pixels of one task: their taps of x and h stay in L1 or L2 while all filters pass. A common
// multiple of every table's pixels_per_block.
constexpr std::size_t kPixelsPerTask = 96;

constexpr std::size_t kH = 0;  // numbers of the state parts

Size3 map_of(const ConvLstm2dOptions& o) {
  const auto reach = [](std::size_t kernel, std::size_t dilation) {
    return checked_mul(kernel - 1, dilation) + 1;
  };
  return {
      o.filters,
      window(o.input[1], reach(o.kernel_size.rows, o.dilation_rate.rows), o.strides.rows, o.same)
          .output,
      window(o.input[2], reach(o.kernel_size.cols, o.dilation_rate.cols), o.strides.cols, o.same)
          .output};
}

const ConvLstm2dOptions& checked(const ConvLstm2dOptions& o) {
  const std::size_t sizes[] = {
      o.input[0],     o.input[1],           o.input[2],          o.filters,
      o.groups,       o.kernel_size.rows,   o.kernel_size.cols,  o.strides.rows,
      o.strides.cols, o.dilation_rate.rows, o.dilation_rate.cols};
  for (const std::size_t size : sizes) {
    if (size == 0 || size > kLargestLength) {
      throw UnsupportedError("ConvLSTM2D: expected sizes of 1 to " +
                             std::to_string(kLargestLength) + ", found " + std::to_string(size));
    }
  }
  if (o.filters % o.groups != 0) {
    throw UnsupportedError("ConvLSTM2D: expected filters to be a multiple of groups");
  }
  return o;
}

}  // namespace

ConvLstm2d::ConvLstm2d(const ConvLstm2dOptions& options, const float* kernel,
                       const float* recurrent_kernel, const float* bias)
    : o_(checked(options)), writer_(map_of(o_), o_.norm, o_.pool) {
  const auto axis = [&](std::size_t length, std::size_t size, std::size_t stride,
                        std::size_t dilation) {
    const Window w = window(length, (size - 1) * dilation + 1, stride, o_.same);
    return Axis{length, size, stride, dilation, w.output, w.before};
  };
  rows_ = axis(o_.input[1], o_.kernel_size.rows, o_.strides.rows, o_.dilation_rate.rows);
  cols_ = axis(o_.input[2], o_.kernel_size.cols, o_.strides.cols, o_.dilation_rate.cols);

  const std::size_t rows_beyond = std::max(rows_.largest_shift(), rows_.kernel - 1);
  const std::size_t cols_beyond = std::max(cols_.largest_shift(), cols_.kernel - 1);
  pitch_ = cols_.output + cols_beyond;
  pixels_ = round_up(checked_mul(rows_.output, pitch_), kPixelsPerTask);
  plane_ = round_up(pixels_ + checked_mul(rows_beyond, pitch_) + cols_beyond, kAlignedFloats);
  // An odd number of cache lines: planes of sizes like 64 x 64 do not fall on the same sets.
  if (plane_ / kAlignedFloats % 2 == 0) plane_ += kAlignedFloats;

  mask_.assign(pixels_, 0);
  for (std::size_t row = 0; row < rows_.output; ++row) {
    std::fill_n(mask_.begin() + static_cast<std::ptrdiff_t>(row * pitch_), cols_.output,
                ~std::uint32_t{0});
  }
  list_taps();
  pack_weights(kernel, recurrent_kernel, bias);
}

void ConvLstm2d::list_taps() {
  state_floats();  // throws where offsets would not fit
  const auto offset = [&](std::size_t plane, std::size_t row, std::size_t col) {
    return static_cast<std::ptrdiff_t>(plane * plane_ + row * pitch_ + col);
  };
  const std::size_t phases = rows_.stride * cols_.stride;
  for (std::size_t channel = 0; channel < o_.input[0]; ++channel) {
    for (std::size_t ky = 0; ky < rows_.kernel; ++ky) {
      for (std::size_t kx = 0; kx < cols_.kernel; ++kx) {
        const std::size_t y = ky * rows_.dilation, x = kx * cols_.dilation;
        const std::size_t phase = y % rows_.stride * cols_.stride + x % cols_.stride;
        x_offsets_.push_back(offset(channel * phases + phase, y / rows_.stride, x / cols_.stride));
      }
    }
  }
  for (std::size_t filter = 0; filter < o_.filters / o_.groups; ++filter) {
    for (std::size_t ky = 0; ky < rows_.kernel; ++ky) {
      for (std::size_t kx = 0; kx < cols_.kernel; ++kx) {
        h_offsets_.push_back(offset(filter, ky, kx));
      }
    }
  }
}

void ConvLstm2d::pack_weights(const float* kernel, const float* recurrent_kernel,
                              const float* bias) {
  const std::size_t x_taps = x_offsets_.size(), h_taps = h_offsets_.size();
  weights_ = Buffer(checked_mul(checked_mul(o_.filters, x_taps + h_taps), kGates));
  bias_ = Buffer(o_.filters * kGates);
  float* to = weights_.data();
  for (std::size_t filter = 0; filter < o_.filters; ++filter) {
    const auto gate_row = [&](const float* from, std::size_t gate, std::size_t taps) {
      return from + (gate * o_.filters + filter) * taps;
    };
    for (std::size_t k = 0; k < x_taps; ++k) {
      for (std::size_t g = 0; g < kGates; ++g) *to++ = gate_row(kernel, g, x_taps)[k];
    }
    for (std::size_t k = 0; k < h_taps; ++k) {
      for (std::size_t g = 0; g < kGates; ++g) *to++ = gate_row(recurrent_kernel, g, h_taps)[k];
    }
    for (std::size_t g = 0; g < kGates; ++g) {
      bias_.data()[filter * kGates + g] = bias[g * o_.filters + filter];
    }
  }
}

std::size_t ConvLstm2d::x_floats() const {
  return checked_mul(checked_mul(o_.input[0], rows_.stride * cols_.stride), plane_);
}

std::size_t ConvLstm2d::state_floats() const {
  return checked_add(x_floats(), checked_mul(3 * o_.filters, plane_));
}

std::size_t ConvLstm2d::h_start(bool newest, const State& state) const {
  const bool second = (state.frames % 2 != 0) == newest;
  return x_floats() + (second ? h_floats() : 0);
}

void ConvLstm2d::pack_plane_row(const float* x, std::size_t channel, std::size_t row,
                                float* planes) const {
  const std::size_t y = row + rows_.before;
  const std::size_t plane_row = y / rows_.stride;
  if (plane_row >= rows_.output + rows_.largest_shift()) return;  // no tap reaches it
  const std::size_t limit = cols_.output + cols_.largest_shift();
  const float* from = x + (channel * rows_.length + row) * cols_.length;
  const std::size_t first = (channel * rows_.stride + y % rows_.stride) * cols_.stride;
  if (cols_.stride == 1) {
    float* to = planes + first * plane_ + plane_row * pitch_ + cols_.before;
    std::copy_n(from, std::min(cols_.length, limit - cols_.before), to);
    return;
  }
  for (std::size_t col = 0; col < cols_.length; ++col) {
    const std::size_t at = col + cols_.before;
    if (at / cols_.stride >= limit) break;
    planes[(first + at % cols_.stride) * plane_ + plane_row * pitch_ + at / cols_.stride] =
        from[col];
  }
}

void ConvLstm2d::pack_frame(const Exec& exec, const float* x, float* planes) const {
  const std::size_t rows = o_.input[0] * rows_.length;
  const int threads = threads_for(exec, static_cast<double>(rows * cols_.length));
  parallel_for(threads, rows, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      pack_plane_row(x, i / rows_.length, i % rows_.length, planes);
    }
  });
}

void ConvLstm2d::step(const Exec& exec, State& state) const {
  float* data = state.data.data();
  const float* h = data + h_start(true, state);
  float* h_next = data + h_start(false, state) + h_origin();
  float* c = data + c_start();
  const std::size_t taps = x_offsets_.size() + h_offsets_.size();
  const std::size_t filters = o_.filters / o_.groups;  // that share their taps
  const std::size_t chunks = pixels_ / kPixelsPerTask;
  const double operations =
      static_cast<double>(kGates * o_.filters * taps) * static_cast<double>(pixels_);
  const int threads = threads_for(exec, operations);
  // Small maps have few chunks of pixels: split the filters too, down to one register tile.
  const std::size_t wanted = 8 * static_cast<std::size_t>(threads);
  const std::size_t split =
      std::min((wanted + chunks - 1) / chunks, (filters - 1) / exec.kernels->filters_per_block + 1);
  const std::size_t step = round_up((filters + split - 1) / split, exec.kernels->filters_per_block);
  const std::size_t runs = (filters + step - 1) / step;
  parallel_for(threads, chunks * o_.groups * runs, [&](std::size_t begin, std::size_t end) {
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t pixel = task / (o_.groups * runs) * kPixelsPerTask;
      const std::size_t group = task / runs % o_.groups;
      const std::size_t in_group = task % runs * step;
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
      block.filters = std::min(step, filters - in_group);
      block.pixels = kPixelsPerTask;
      block.activation = o_.activation;
      block.recurrent_activation = o_.recurrent_activation;
      exec.kernels->conv_lstm_block(block);
    }
  });
}

void ConvLstm2d::run(const Exec& exec, const float* const* in, float* const* out,
                     State& state) const {
  pack_frame(exec, in[0], state.data.data());
  step(exec, state);
  ++state.frames;
  if (out == nullptr) return;
  const float* h = state.data.data() + h_start(true, state) + h_origin();
  writer_.run_strided(exec, h, plane_, pitch_, out[0]);
}

std::vector<StatePart> ConvLstm2d::state_parts() const {
  const Shape shape{o_.filters, rows_.output, cols_.output};
  return {{"h", shape}, {"c", shape}};
}

void ConvLstm2d::export_state(const State& state, std::size_t part, float* to) const {
  const float* from =
      state.data.data() + (part == kH ? h_start(true, state) + h_origin() : c_start());
  for (std::size_t filter = 0; filter < o_.filters; ++filter) {
    for (std::size_t row = 0; row < rows_.output; ++row, to += cols_.output) {
      std::copy_n(from + filter * plane_ + row * pitch_, cols_.output, to);
    }
  }
}

void ConvLstm2d::import_state(State& state, std::size_t part, const float* from) const {
  float* to = state.data.data() + (part == kH ? h_start(true, state) + h_origin() : c_start());
  for (std::size_t filter = 0; filter < o_.filters; ++filter) {
    for (std::size_t row = 0; row < rows_.output; ++row, from += cols_.output) {
      std::copy_n(from, cols_.output, to + filter * plane_ + row * pitch_);
    }
  }
}

std::string ConvLstm2d::kernel(const Exec& exec) const {
  return std::string("conv_lstm_block ") + exec.kernels->name;
}

}  // namespace cn
