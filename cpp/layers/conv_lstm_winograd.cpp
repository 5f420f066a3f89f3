#include "layers/conv_lstm_winograd.hpp"

#include <algorithm>
#include <array>

#include "base/parallel.hpp"
#include "layers/winograd_weights.hpp"

namespace cn {
namespace {

constexpr std::size_t kGates = 4;

// A 'valid' convolution reads pixels beyond the ends of a row of tiles, one place on either side;
// two rows share it where they need one pixel each of its tile.
std::size_t pitch_of(const ConvLstm2dOptions& o, const ConvAxis& cols) {
  const std::size_t tile = tile_of(o.kernel_size.cols), row = tiles(cols.output, tile);
  if (o.same) return row;
  return row + (tile == 2 ? 2 : 1);
}

std::size_t places_of(const ConvLstm2dOptions& o, std::size_t block) {
  const std::size_t rows = tiles(row_axis(o).output, tile_of(o.kernel_size.rows));
  return round_up(checked_mul(rows, pitch_of(o, col_axis(o))), block);
}

// True where every window of the pool lies in one tile.
bool pools_in_tiles(const ConvLstm2dOptions& o, const ConvAxis& rows, const ConvAxis& cols) {
  const Size3 two{1, 2, 2};
  return o.pool && o.pool->window == two && o.pool->strides == two &&
         tile_of(o.kernel_size.rows) == 4 && rows.output % 2 == 0 && cols.output % 2 == 0;
}

}  // namespace

bool WinogradCell::fits(const ConvLstm2dOptions& o, const KernelTable& kernels) {
  const auto is = [](const Size2& size, std::size_t value) {
    return size.rows == value && size.cols == value;
  };
  return kernels.conv_lstm_winograd_4x4_block != nullptr &&
         (is(o.kernel_size, 3) || is(o.kernel_size, 5)) && is(o.strides, 1) &&
         is(o.dilation_rate, 1);
}

double WinogradCell::cost(const ConvLstm2dOptions& o, const KernelTable& kernels) {
  const auto channels = static_cast<double>(o.input[0] + o.group_filters());
  const auto filters = static_cast<double>(o.filters), groups = static_cast<double>(o.groups);
  // Of a tile, measured on AVX2 and counted in multiply-adds that would take as long: products, the
  // input transform of a channel, output transforms and gates of a filter (of 16 pixels or 4).
  constexpr double kProduct = 1.05, kInput = 230.0;
  const double output = tile_of(o.kernel_size.rows) == 4 ? 1700.0 : 700.0;
  const double tile = kProduct * kProducts * channels * kGates * filters +
                      kInput * channels * groups + output * filters;
  return tile * static_cast<double>(places_of(o, kernels.tiles_per_block));
}

WinogradCell::WinogradCell(const ConvLstm2dOptions& options, const KernelTable& kernels,
                           const ConvLstmWeights& weights)
    : o_(options),
      kernels_(&kernels),
      rows_(row_axis(options)),
      cols_(col_axis(options)),
      tile_(tile_of(options.kernel_size.rows)),
      block_(kernels.tiles_per_block),
      pitch_(pitch_of(options, cols_)),
      places_(places_of(options, block_)),
      front_(round_up(pitch_ + 1, kAlignedFloats)),
      plane_(odd_lines(front_ + places_ + pitch_ + 1)),
      pools_(pools_in_tiles(options, rows_, cols_)) {
  state_floats();  // throws where offsets would not fit
  make_mask();
  if (o_.same) make_edges();
  if (pools_ && o_.norm) make_norm();
  transform_weights(weights);
}

void WinogradCell::make_mask() {
  mask_.assign(pixels() * places_, 0);
  for (std::size_t y = 0; y < rows_.output; ++y) {
    for (std::size_t x = 0; x < cols_.output; ++x) {
      const std::size_t pixel = y % tile_ * tile_ + x % tile_;
      mask_[pixel * places_ + y / tile_ * pitch_ + x / tile_] = ~std::uint32_t{0};
    }
  }
  for (std::size_t place = 0; place < places_; place += block_) {
    bool whole = true;
    for (std::size_t pixel = 0; pixel < pixels(); ++pixel) {
      const auto first = mask_.begin() + static_cast<std::ptrdiff_t>(pixel * places_ + place);
      whole = whole && std::find(first, first + static_cast<std::ptrdiff_t>(block_), 0U) ==
                           first + static_cast<std::ptrdiff_t>(block_);
    }
    whole_.push_back(whole ? 1 : 0);
  }
}

void WinogradCell::make_edges() {
  edges_.assign(2 * places_, ~std::uint32_t{0});
  for (std::size_t first = 0; first + pitch_ <= places_; first += pitch_) {
    edges_[first] = 0;
    edges_[places_ + first + pitch_ - 1] = 0;
  }
}

void WinogradCell::make_norm() {
  const Norm& norm = *o_.norm;
  if (norm.axis == 0) {
    norm_ = Buffer(2 * o_.filters);
    std::copy_n(norm.scale.data(), o_.filters, norm_.data());
    std::copy_n(norm.shift.data(), o_.filters, norm_.data() + o_.filters);
    return;
  }
  norm_ = Buffer(checked_mul(2 * tile_, places_));
  for (std::size_t y = 0; y < rows_.output; ++y) {
    for (std::size_t x = 0; x < cols_.output; ++x) {
      const std::size_t index = norm.axis == 1 ? y : x;
      float* to = norm_.data() + index % tile_ * places_ + y / tile_ * pitch_ + x / tile_;
      to[0] = norm.scale[index];
      to[tile_ * places_] = norm.shift[index];
    }
  }
}

void WinogradCell::transform_weights(const ConvLstmWeights& w) {
  const std::size_t of_x = o_.input[0], of_h = o_.group_filters(), channels = of_x + of_h;
  const std::size_t taps = o_.kernel_size.rows;
  weights_ = Buffer(checked_mul(checked_mul(o_.filters, kProducts * channels), kGates));
  bias_ = Buffer(o_.filters * kGates);
  const WinogradWeights order(*kernels_, channels);
  for (std::size_t filter = 0; filter < o_.filters; ++filter) {
    for (std::size_t gate = 0; gate < kGates; ++gate) {
      const std::size_t out = gate * o_.filters + filter;
      bias_.data()[filter * kGates + gate] = w.bias[out];
      for (std::size_t c = 0; c < channels; ++c) {
        const float* kernel = c < of_h ? w.recurrent_kernel + (out * of_h + c) * taps * taps
                                       : w.kernel + (out * of_x + c - of_h) * taps * taps;
        order.transform(kernel, taps, filter, c, gate, weights_.data());
      }
    }
  }
}

std::size_t WinogradCell::state_floats() const {
  const std::size_t channels = checked_add(o_.input[0], 2 * o_.filters);
  const std::size_t planes = checked_mul(channels, checked_mul(pixels(), plane_));
  const std::size_t c = checked_mul(o_.filters, checked_mul(pixels(), places_));
  // Behind the pooled pixels a vector of places that are read but not used.
  const std::size_t pooled = pools_ ? c / 4 + 16 : 0;
  return checked_add(planes, checked_add(c, pooled));
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

void WinogradCell::put_row(State& state, std::size_t channel, std::size_t row,
                           const float* x) const {
  // Row y of x is row y + before - b of the map's grid, b the pixels of a patch before its tile;
  // counted from one tile before the map, so that the rows above it are no special case.
  const std::size_t before_tile = tile_ - (kPoints - tile_) / 2;
  const std::size_t y = row + rows_.before + before_tile;
  float* to = state.data.data() + (channel * pixels() + y % tile_ * tile_) * plane_ + front_ +
              y / tile_ * pitch_ - pitch_ - 1;
  kernels_->split_phases(tile_, x, cols_.length, cols_.before + before_tile, to, plane_);
}

void WinogradCell::step(const Exec& exec, State& state, RowSink& sink) const {
  const std::size_t filters = o_.group_filters(), blocks = places_ / block_;
  const int threads = threads_for(exec, cost(o_, *kernels_));
  const FilterSplit split = split_filters(filters, blocks, 2, threads);
  parallel_tasks(threads, blocks * o_.groups * split.runs, [&](std::size_t part, Tasks& tasks) {
    run_tasks(exec, part, tasks, split, state, sink);
  });
  ++state.frames;
  state.zero = false;
}

void WinogradCell::run_tasks(const Exec& exec, std::size_t part, Tasks& tasks,
                             const FilterSplit& split, State& state, RowSink& sink) const {
  float* data = state.data.data();
  const std::size_t filters = o_.group_filters(), channels = o_.input[0] + filters;
  RowProgress progress(
      {block_, o_.groups * split.runs, pitch_, tiles(cols_.output, tile_), rows_.output, tile_},
      sink, part);
  const auto run =
      tile_ == 4 ? kernels_->conv_lstm_winograd_4x4_block : kernels_->conv_lstm_winograd_2x2_block;
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t place = kNone, group = kNone;
  for (std::size_t task = 0; tasks.next(task);) {
    const std::size_t last_place = place, last_group = group;
    place = task / (o_.groups * split.runs) * block_;
    group = task / split.runs % o_.groups;
    const std::size_t in_group = task % split.runs * split.step;
    const std::size_t filter = group * filters + in_group;
    WinogradBlock block{};
    block.x = data + front_ + place;
    block.x_channels = o_.input[0];
    block.h = data + h_start(true, state) + group * filters * channel_floats() + front_ + place;
    block.h_channels = filters;
    block.zero_state = state.zero;
    block.grid = {plane_, pitch_, nullptr, nullptr};
    if (o_.same) {
      block.grid.left = edges_.data() + place;
      block.grid.right = block.grid.left + places_;
    }
    block.weights = weights_.data() + filter * kProducts * channels * kGates;
    block.far_weights = weights_.size() > kNearWeights;
    block.bias = bias_.data() + filter * kGates;
    block.mask = whole_[place / block_] != 0 ? nullptr : mask_.data() + place;
    block.mask_stride = places_;
    block.c = data + c_start() + (place * o_.filters + filter * block_) * pixels();
    block.h_out = data + h_start(false, state) + filter * channel_floats() + front_ + place;
    block.filters = std::min(split.step, filters - in_group);
    if (pools_) {
      block.pooled = data + pooled_start() + filter * 4 * places_ + place;
      block.pooled_plane = places_;
    }
    if (norm_.size() != 0) {
      using Norm = WinogradBlock::Norm;
      const std::size_t axis = o_.norm->axis;
      block.norm = axis == 0 ? Norm::filter : (axis == 1 ? Norm::row : Norm::col);
      block.norm_step = places_;
      block.scale = norm_.data() + (axis == 0 ? filter : place);
      block.shift = block.scale + norm_.size() / 2;
    }
    block.v = exec.scratch_of(part);
    block.v_has_x = place == last_place;
    block.v_has_h = block.v_has_x && group == last_group;
    block.activation = o_.activation;
    block.recurrent_activation = o_.recurrent_activation;
    run(block);
    progress.finished(task);
  }
}

std::size_t WinogradCell::at(const State& state, Part part, std::size_t filter, std::size_t row,
                             std::size_t col, bool next) const {
  const std::size_t pixel = row % tile_ * tile_ + col % tile_;
  const std::size_t place = row / tile_ * pitch_ + col / tile_;
  if (part == kH) {
    return h_start(!next, state) + (filter * pixels() + pixel) * plane_ + front_ + place;
  }
  return c_start() + (place / block_ * o_.filters + filter) * pixels() * block_ + pixel * block_ +
         place % block_;
}

void WinogradCell::read_row(const State& state, Part part, std::size_t filter, std::size_t row,
                            float* to, bool next) const {
  const float* data = state.data.data();
  if (part == kH) {
    kernels_->join_phases(tile_, data + at(state, part, filter, row, 0, next), plane_, cols_.output,
                          to);
    return;
  }
  for (std::size_t col = 0; col < cols_.output; ++col) {
    to[col] = data[at(state, part, filter, row, col)];
  }
}

void WinogradCell::read_pooled_row(const State& state, std::size_t filter, std::size_t row,
                                   float* to) const {
  const float* planes =
      state.data.data() + pooled_start() + (filter * 4 + row % 2 * 2) * places_ + row / 2 * pitch_;
  kernels_->join_phases(2, planes, places_, cols_.output / 2, to);
}

void WinogradCell::write_row(State& state, Part part, std::size_t filter, std::size_t row,
                             const float* from) const {
  for (std::size_t col = 0; col < cols_.output; ++col) {
    state.data.data()[at(state, part, filter, row, col)] = from[col];
  }
}

}  // namespace cn
