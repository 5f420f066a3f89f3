#include "layers/conv_lstm_winograd.hpp"

#include <algorithm>
#include <array>

#include "base/parallel.hpp"

namespace cn {
namespace {

constexpr std::size_t kGates = 4;
constexpr std::size_t kTile = 4;
constexpr std::size_t kPixels = kTile * kTile;
constexpr std::size_t kTaps = 3;
constexpr std::size_t kPoints = 6;
constexpr std::size_t kProducts = kPoints * kPoints;

// G of the transform U = G g G^T for the points 0, +-1/sqrt(2), +-sqrt(2), infinity: row p is
// (1, p, p^2) over the product of its distances to the other finite points. The same points as
// in kernels/generic/winograd.hpp.
constexpr double kA = 0.70710678118654752440, kB = 1.41421356237309504880;
constexpr double kG[kPoints][kTaps] = {
    {1.0, 0.0, 0.0},
    {-2.0 / 3.0, -2.0 / 3.0 * kA, -1.0 / 3.0},
    {-2.0 / 3.0, 2.0 / 3.0 * kA, -1.0 / 3.0},
    {1.0 / 6.0, 1.0 / 6.0 * kB, 1.0 / 3.0},
    {1.0 / 6.0, -1.0 / 6.0 * kB, 1.0 / 3.0},
    {0.0, 0.0, 1.0},
};

// One product of the transformed 3x3 kernel.
float transformed(const float* kernel, std::size_t row, std::size_t col) {
  double sum = 0.0;
  for (std::size_t y = 0; y < kTaps; ++y) {
    for (std::size_t x = 0; x < kTaps; ++x) {
      sum += kG[row][y] * kG[col][x] * static_cast<double>(kernel[y * kTaps + x]);
    }
  }
  return static_cast<float>(sum);
}

std::size_t tiles(std::size_t length) { return (length + kTile - 1) / kTile; }

std::size_t places_of(const ConvAxis& rows, const ConvAxis& cols, std::size_t block) {
  return round_up(checked_mul(tiles(rows.output), tiles(cols.output) + 1), block);
}

}  // namespace

bool WinogradCell::fits(const ConvLstm2dOptions& o, const KernelTable& kernels) {
  const auto is = [](const Size2& size, std::size_t value) {
    return size.rows == value && size.cols == value;
  };
  return kernels.conv_lstm_winograd_block != nullptr && is(o.kernel_size, kTaps) &&
         is(o.strides, 1) && is(o.dilation_rate, 1);
}

double WinogradCell::cost(const ConvLstm2dOptions& o, const KernelTable& kernels) {
  const auto channels = static_cast<double>(o.input[0] + o.group_filters());
  const auto sums = static_cast<double>(kGates * o.filters);
  const auto groups = static_cast<double>(o.groups);
  // Operations of a tile: 144 for the input transform of a channel, 120 for the output transform of
  // a sum. Measured on AVX2: loads and stores make a transform cost some three times that.
  const double tile = 36.0 * channels * sums + 3.0 * (144.0 * channels * groups + 120.0 * sums);
  const std::size_t places = places_of(row_axis(o), col_axis(o), kernels.tiles_per_block);
  return tile * static_cast<double>(places);
}

WinogradCell::WinogradCell(const ConvLstm2dOptions& options, const KernelTable& kernels,
                           const ConvLstmWeights& weights)
    : o_(options),
      kernels_(&kernels),
      rows_(row_axis(options)),
      cols_(col_axis(options)),
      block_(kernels.tiles_per_block),
      pitch_(tiles(cols_.output) + 1),
      places_(places_of(rows_, cols_, block_)),
      front_(round_up(pitch_ + 1, kAlignedFloats)),
      plane_(round_up(front_ + places_ + pitch_ + 1, kAlignedFloats)) {
  // An odd number of cache lines: the 16 planes of a channel do not fall on the same sets.
  if (plane_ / kAlignedFloats % 2 == 0) plane_ += kAlignedFloats;
  mask_.assign(kPixels * places_, 0);
  for (std::size_t y = 0; y < rows_.output; ++y) {
    for (std::size_t x = 0; x < cols_.output; ++x) {
      const std::size_t pixel = y % kTile * kTile + x % kTile;
      mask_[pixel * places_ + y / kTile * pitch_ + x / kTile] = ~std::uint32_t{0};
    }
  }
  state_floats();  // throws where offsets would not fit
  transform_weights(weights);
}

void WinogradCell::transform_weights(const ConvLstmWeights& w) {
  const std::size_t of_x = o_.input[0], of_h = o_.group_filters(), channels = of_x + of_h;
  weights_ = Buffer(checked_mul(checked_mul(o_.filters, kProducts * channels), kGates));
  bias_ = Buffer(o_.filters * kGates);
  for (std::size_t filter = 0; filter < o_.filters; ++filter) {
    for (std::size_t gate = 0; gate < kGates; ++gate) {
      const std::size_t out = gate * o_.filters + filter;
      bias_.data()[filter * kGates + gate] = w.bias[out];
      for (std::size_t c = 0; c < channels; ++c) {
        const float* kernel = c < of_x
                                  ? w.kernel + (out * of_x + c) * kTaps * kTaps
                                  : w.recurrent_kernel + (out * of_h + c - of_x) * kTaps * kTaps;
        for (std::size_t k = 0; k < kProducts; ++k) {
          weights_.data()[((filter * kProducts + k) * channels + c) * kGates + gate] =
              transformed(kernel, k / kPoints, k % kPoints);
        }
      }
    }
  }
}

std::size_t WinogradCell::state_floats() const {
  const std::size_t channels = checked_add(o_.input[0], 2 * o_.filters);
  const std::size_t planes = checked_mul(channels, checked_mul(kPixels, plane_));
  return checked_add(planes, checked_mul(o_.filters, kPixels * places_));
}

std::size_t WinogradCell::scratch_floats() const {
  return checked_mul(kProducts * block_, o_.input[0] + o_.group_filters());
}

std::size_t WinogradCell::h_start(bool newest, const State& state) const {
  const bool second = (state.frames % 2 != 0) == newest;
  return (o_.input[0] + (second ? o_.filters : 0)) * channel_floats();
}

std::size_t WinogradCell::c_start() const {
  return (o_.input[0] + 2 * o_.filters) * channel_floats();
}

void WinogradCell::pack_frame(const Exec& exec, const float* x, float* planes) const {
  const std::size_t rows = o_.input[0] * rows_.length;
  // Pixel y of x is row y + before - 1 of the map's grid, counted from one tile before it so that
  // the row above the map, which a 'valid' convolution reads, is no special case.
  const std::size_t row_shift = rows_.before + kTile - 1, col_shift = cols_.before + kTile - 1;
  const auto pack = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t y = i % rows_.length + row_shift;
      const float* from = x + i * cols_.length;
      float* to = planes + (i / rows_.length * kPixels + y % kTile * kTile) * plane_ + front_ +
                  y / kTile * pitch_ - pitch_ - 1;
      for (std::size_t phase = 0; phase < kTile; ++phase) {
        // First column of x in this phase.
        const std::size_t first = (phase + kTile - col_shift % kTile) % kTile;
        float* place = to + phase * plane_ + (first + col_shift) / kTile;
        for (std::size_t col = first; col < cols_.length; col += kTile) *place++ = from[col];
      }
    }
  };
  parallel_for(threads_for(exec, static_cast<double>(rows * cols_.length)), rows, pack);
}

void WinogradCell::step(const Exec& exec, const float* x, State& state) const {
  pack_frame(exec, x, state.data.data());
  const std::size_t filters = o_.group_filters(), blocks = places_ / block_;
  const int threads = threads_for(exec, cost(o_, *kernels_));
  const FilterSplit split = split_filters(filters, blocks, 2, threads);
  parallel_for(threads, blocks * o_.groups * split.runs,
               [&](std::size_t part, std::size_t begin, std::size_t end) {
                 run_tasks(exec, part, begin, end, split, state);
               });
  ++state.frames;
}

void WinogradCell::run_tasks(const Exec& exec, std::size_t part, std::size_t begin, std::size_t end,
                             const FilterSplit& split, State& state) const {
  float* data = state.data.data();
  const std::size_t filters = o_.group_filters(), channels = o_.input[0] + filters;
  for (std::size_t task = begin; task < end; ++task) {
    const std::size_t place = task / (o_.groups * split.runs) * block_;
    const std::size_t group = task / split.runs % o_.groups;
    const std::size_t in_group = task % split.runs * split.step;
    const std::size_t filter = group * filters + in_group;
    WinogradBlock block{};
    block.x = data + front_ + place;
    block.x_channels = o_.input[0];
    block.h = data + h_start(true, state) + group * filters * channel_floats() + front_ + place;
    block.h_channels = filters;
    block.plane = plane_;
    block.pitch = pitch_;
    block.weights = weights_.data() + filter * kProducts * channels * kGates;
    block.bias = bias_.data() + filter * kGates;
    block.mask = mask_.data() + place;
    block.mask_stride = places_;
    block.c = data + c_start() + (place * o_.filters + filter * block_) * kPixels;
    block.h_out = data + h_start(false, state) + filter * channel_floats() + front_ + place;
    block.filters = std::min(split.step, filters - in_group);
    block.v = exec.scratch_of(part);
    block.activation = o_.activation;
    block.recurrent_activation = o_.recurrent_activation;
    kernels_->conv_lstm_winograd_block(block);
  }
}

std::size_t WinogradCell::at(const State& state, Part part, std::size_t filter, std::size_t row,
                             std::size_t col) const {
  const std::size_t pixel = row % kTile * kTile + col % kTile;
  const std::size_t place = row / kTile * pitch_ + col / kTile;
  if (part == kH) {
    return h_start(true, state) + (filter * kPixels + pixel) * plane_ + front_ + place;
  }
  return c_start() + (place / block_ * o_.filters + filter) * kPixels * block_ + pixel * block_ +
         place % block_;
}

void WinogradCell::read_row(const State& state, Part part, std::size_t filter, std::size_t row,
                            float* to) const {
  const float* data = state.data.data();
  const std::size_t cols = cols_.output;
  if (part == kC) {
    for (std::size_t col = 0; col < cols; ++col) to[col] = data[at(state, part, filter, row, col)];
    return;
  }
  // Four planes, interleaved.
  const float* from = data + at(state, part, filter, row, 0);
  const std::size_t whole = cols / kTile * kTile;
  for (std::size_t col = 0; col < whole; col += kTile, ++from, to += kTile) {
    for (std::size_t phase = 0; phase < kTile; ++phase) to[phase] = from[phase * plane_];
  }
  for (std::size_t phase = 0; phase < cols - whole; ++phase) to[phase] = from[phase * plane_];
}

void WinogradCell::write_row(State& state, Part part, std::size_t filter, std::size_t row,
                             const float* from) const {
  for (std::size_t col = 0; col < cols_.output; ++col) {
    state.data.data()[at(state, part, filter, row, col)] = from[col];
  }
}

}  // namespace cn
