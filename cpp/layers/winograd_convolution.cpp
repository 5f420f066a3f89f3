#include "layers/winograd_convolution.hpp"

#include <algorithm>
#include <utility>

#include "base/parallel.hpp"
#include "layers/cost.hpp"
#include "layers/winograd_weights.hpp"

namespace cn {
namespace {

enum { kDepth, kRows, kCols };

constexpr std::size_t kTile = 4, kTaps = 3, kRun = 4;  // kRun: filters that kernels take at once
// Of a block in the Winograd domain; of what a piece of the filters computes. Both share L2.
constexpr std::size_t kValueFloats = 96 * 1024;
constexpr std::size_t kStagedFloats = 32 * 1024;
constexpr std::size_t kPieceRuns = 4;  // a kernel brings the values in once for as many
// What frames that come in batches may gain at most in cost(): one alone must not be much dearer
// than it would be directly.
constexpr double kMostGain = 1.7;
// Planes of so many channels stay in L1.
constexpr std::size_t kChannelsAtOnce = 4;

std::ptrdiff_t signed_(std::size_t n) { return static_cast<std::ptrdiff_t>(n); }

// True where all that is read beyond the ends of the rows is zero.
bool zeros_around(const ConvolutionOptions& o) {
  const std::size_t end = tiles(o.output[kCols], kTile) * kTile;
  return o.before[kCols] >= 1 && o.before[kCols] - 1 + o.input[kCols] <= end;
}

}  // namespace

bool WinogradConvolution::fits(const ConvolutionOptions& o, const KernelTable& kernels) {
  const Size3 one{1, 1, 1}, kernel{1, kTaps, kTaps};
  return kernels.winograd_4x4_conv_block != nullptr && o.kernel == kernel && o.strides == one &&
         o.dilation == one && o.input[kDepth] == o.output[kDepth] && o.before[kDepth] == 0;
}

std::size_t WinogradConvolution::vectors_of_map(const ConvolutionOptions& o, const Tiling& t,
                                                std::size_t lanes) {
  const std::size_t rows = tiles(o.output[kRows], kTile), cols = tiles(o.output[kCols], kTile);
  std::size_t sum = 0;
  for (const std::size_t r : {t.rows, rows % t.rows}) {
    for (const std::size_t c : {t.cols, cols % t.cols}) {
      if (r == 0 || c == 0) continue;
      const std::size_t down = r == t.rows ? rows / r : 1, across = c == t.cols ? cols / c : 1;
      sum += down * across * t.vectors(r, c, lanes);
    }
  }
  return sum;
}

// The blocks that leave the fewest lanes empty, while their values are few enough; of equals, the
// largest, which pack the fewest rows twice.
WinogradConvolution::Tiling WinogradConvolution::choose_tiling(const ConvolutionOptions& o,
                                                               std::size_t lanes) {
  const std::size_t rows = tiles(o.output[kRows], kTile), cols = tiles(o.output[kCols], kTile);
  const std::size_t vector = kProducts * (o.channels / o.groups) * lanes;
  const std::size_t most = std::max<std::size_t>(kValueFloats / vector, 1);
  Tiling best{1, std::min(cols, lanes - 1), lanes, false};
  double least = static_cast<double>(kMostElements);
  for (std::size_t n = 1; n <= most + 1; ++n) {
    // Whole rows, or as many tiles as fill n vectors with the place between two rows.
    const std::size_t c = n > most ? cols : std::min(cols, n * lanes - 1);
    const bool masked = c == cols && zeros_around(o);
    Tiling t{1, c, masked ? c : c + 1, masked};
    for (; t.rows <= rows && (t.rows == 1 || t.vectors(t.rows, c, lanes) <= most); ++t.rows) {
      if (t.rows == 1 && t.vectors(1, c, lanes) > most && c > lanes - 1) break;
      // Rows that are packed twice cost about as much as a twentieth of the products.
      const double work = static_cast<double>(vectors_of_map(o, t, lanes)) *
                          (1.0 + 0.1 / static_cast<double>(t.rows));
      if (work < least) {
        least = work;
        best = t;
      }
    }
  }
  return best;
}

// Of a map that is one block: as many as fill a vector, with a row of places between them.
std::size_t WinogradConvolution::frames_of(const ConvolutionOptions& o, const Tiling& t,
                                           std::size_t lanes) {
  const bool whole = t.rows * kTile >= o.output[kRows] && t.cols * kTile >= o.output[kCols];
  return whole ? std::max<std::size_t>((lanes + t.pitch) / ((t.rows + 1) * t.pitch), 1) : 1;
}

double WinogradConvolution::cost(const ConvolutionOptions& o, const KernelTable& kernels) {
  const std::size_t lanes = kernels.tiles_per_block;
  const auto channels = static_cast<double>(o.channels / o.groups);
  const auto runs = static_cast<double>(tiles(o.filters / o.groups, kRun));
  const auto groups = static_cast<double>(o.groups);
  // Of a tile, measured: products, the way in of a channel, the way out of four filters.
  constexpr double kProduct = 1.25, kInput = 450.0, kOutput = 2000.0;
  const double tile =
      groups * (kProduct * kProducts * channels * kRun * runs + kInput * channels + kOutput * runs);
  const Tiling tiling = choose_tiling(o, lanes);
  const double map = tile * static_cast<double>(vectors_of_map(o, tiling, lanes) * lanes);
  const std::size_t frames = frames_of(o, tiling, lanes), depth = o.input[kDepth];
  if (depth > 1) return map * static_cast<double>(tiles(depth, frames));
  return std::max(map / static_cast<double>(frames), map / kMostGain);
}

WinogradConvolution::WinogradConvolution(const ConvolutionOptions& options,
                                         const KernelTable& kernels, const float* kernel,
                                         const float* bias, std::string choice)
    : o_(options),
      choice_(std::move(choice)),
      cost_(cost(o_, kernels)),
      lanes_(kernels.tiles_per_block),
      tiling_(choose_tiling(o_, lanes_)),
      row_blocks_(tiles(tiles(o_.output[kRows], kTile), tiling_.rows)),
      col_blocks_(tiles(tiles(o_.output[kCols], kTile), tiling_.cols)),
      frames_(frames_of(o_, tiling_, lanes_)),
      front_(round_up(tiling_.pitch + 1, kAlignedFloats)),
      places_(vectors({0, 0, tiling_.rows, tiling_.cols, 0, frames_}) * lanes_) {
  plane_ = odd_lines(front_ + places_ + tiling_.pitch + 1);
  planes_ = std::min(kChannelsAtOnce, group_channels()) * kTile * kTile * plane_;
  values_ = checked_mul(kProducts * places_, group_channels());
  // Behind the last plane a vector that is read but not used.
  staged_ = kPieceRuns * kRun * kTile * kTile * places_ + kAlignedFloats;
  if (tiling_.masked) {
    edges_.assign(2 * places_, ~std::uint32_t{0});
    for (std::size_t place = 0; place + tiling_.pitch <= places_; place += tiling_.pitch) {
      edges_[place] = 0;
      edges_[places_ + place + tiling_.pitch - 1] = 0;
    }
  }
  pack_weights(kernels, kernel, bias);
}

std::size_t WinogradConvolution::vectors(const Block& block) const {
  const std::size_t frame = (block.rows - 1) * tiling_.pitch + block.cols;
  return tiles((block.frames - 1) * frame_places() + frame, lanes_);
}

std::size_t WinogradConvolution::group_runs() const { return tiles(group_filters(), kRun); }

void WinogradConvolution::pack_weights(const KernelTable& kernels, const float* kernel,
                                       const float* bias) {
  const WinogradWeights order(kernels, group_channels());
  weights_ = Buffer(checked_mul(o_.groups * group_runs(), order.run_floats()));
  bias_ = Buffer(o_.groups * group_runs() * kRun);
  for (std::size_t filter = 0; filter < o_.filters; ++filter) {
    const std::size_t in_group = filter % group_filters(), lane = in_group % kRun;
    const std::size_t run = filter / group_filters() * group_runs() + in_group / kRun;
    bias_.data()[run * kRun + lane] = bias[filter];
    for (std::size_t c = 0; c < group_channels(); ++c, kernel += kTaps * kTaps) {
      order.transform(kernel, kTaps, run, c, lane, weights_.data());
    }
  }
}

WinogradConvolution::Block WinogradConvolution::block(std::size_t index) const {
  const std::size_t rows = tiles(o_.output[kRows], kTile), cols = tiles(o_.output[kCols], kTile);
  const std::size_t row = index / col_blocks_ * tiling_.rows;
  const std::size_t col = index % col_blocks_ * tiling_.cols;
  return {row, col, std::min(tiling_.rows, rows - row), std::min(tiling_.cols, cols - col), 0, 1};
}

// Row `row` of a block, counted from its first tile on: pixels -1 to 4 * cols of it, or those of
// its tiles alone where masks do the rest. Zeros where the map has none.
void WinogradConvolution::pack_row(const KernelTable& kernels, const Block& block,
                                   std::ptrdiff_t row, const float* x, float* planes) const {
  // Counted from the tile before the first: nothing is negative.
  const auto y = static_cast<std::size_t>(row + signed_(kTile));
  float* to =
      planes + y % kTile * kTile * plane_ + front_ + y / kTile * tiling_.pitch - tiling_.pitch - 1;
  const std::size_t begin = tiling_.masked ? kTile : kTile - 1;
  const std::size_t end = kTile + block.cols * kTile + (tiling_.masked ? 0 : 1);
  const std::ptrdiff_t in_row = signed_(block.row * kTile) + row + 1 - signed_(o_.before[kRows]);
  const bool inside = in_row >= 0 && in_row < signed_(o_.input[kRows]);
  // The place of column 0, less `kTile` of the tile before and one pixel before the tile.
  const std::ptrdiff_t zero = signed_(kTile + o_.before[kCols]) - 1 - signed_(block.col * kTile);
  const auto clamp = [&](std::ptrdiff_t at) {
    return static_cast<std::size_t>(std::clamp(at, signed_(begin), signed_(end)));
  };
  const std::size_t first = inside ? clamp(zero) : end;
  const std::size_t last = inside ? clamp(zero + signed_(o_.input[kCols])) : end;
  const auto clear = [&](std::size_t from, std::size_t to_place) {
    for (; from < to_place; ++from) to[from % kTile * plane_ + from / kTile] = 0.0F;
  };
  clear(begin, first);
  if (first < last) {
    const float* from = x + in_row * signed_(o_.input[kCols]) + (signed_(first) - zero);
    kernels.split_phases(kTile, from, last - first, first, to, plane_);
  }
  clear(last, end);
}

void WinogradConvolution::transform(const KernelTable& kernels, const Block& block,
                                    std::size_t group, const Maps<const float>& x, float* planes,
                                    float* values) const {
  const std::size_t channels = group_channels(), pixels = kTile * kTile;
  const std::size_t count = vectors(block);
  WinogradPatches patches{};
  patches.v_channels = channels;
  for (std::size_t first = 0; first < channels; first += kChannelsAtOnce) {
    patches.channels = std::min(kChannelsAtOnce, channels - first);
    for (std::size_t i = 0; i < patches.channels * block.frames; ++i) {
      const std::size_t c = i % patches.channels, frame = i / patches.channels;
      const float* from = x.of(group * channels + first + c, block.first_frame + frame);
      float* to = planes + c * pixels * plane_ + frame * frame_places();
      for (std::ptrdiff_t row = -1; row <= signed_(block.rows * kTile); ++row) {
        pack_row(kernels, block, row, from, to);
      }
    }
    for (std::size_t vector = 0; vector < count; ++vector) {
      patches.grid = {plane_, tiling_.pitch, nullptr, nullptr};
      if (tiling_.masked) {
        patches.grid.left = edges_.data() + vector * lanes_;
        patches.grid.right = patches.grid.left + places_;
      }
      patches.x = planes + front_ + vector * lanes_;
      patches.v = values + (vector * kProducts * channels + first * kPoints) * lanes_;
      kernels.winograd_4x4_patches(patches);
    }
  }
}

void WinogradConvolution::leave(const KernelTable& kernels, const Block& block, const float* planes,
                                float* out) const {
  const std::size_t rows = std::min(block.rows * kTile, o_.output[kRows] - block.row * kTile);
  const std::size_t cols = std::min(block.cols * kTile, o_.output[kCols] - block.col * kTile);
  float* to = out + block.row * kTile * o_.output[kCols] + block.col * kTile;
  const Activation::Kind kind = o_.activation.kind;
  const bool done = kind == Activation::Kind::relu || kind == Activation::Kind::linear;
  for (std::size_t row = 0; row < rows; ++row, to += o_.output[kCols]) {
    const float* from = planes + row % kTile * kTile * places_ + row / kTile * tiling_.pitch;
    kernels.join_phases(kTile, from, places_, cols, to);
    if (!done) kernels.activate(o_.activation, to, to, cols);
  }
}

// Runs `first` on of a group's filters.
void WinogradConvolution::compute(const KernelTable& kernels, const Block& block, std::size_t group,
                                  std::size_t first, std::size_t runs, const float* values,
                                  float* staged, const Maps<float>& out) const {
  const std::size_t count = vectors(block);
  WinogradConvBlock b{};
  b.channels = group_channels();
  b.far_weights = weights_.size() > kNearWeights;
  b.relu = o_.activation.kind == Activation::Kind::relu;
  b.out_plane = places_;
  for (std::size_t end = first + runs; first < end; first += b.runs) {
    b.runs = std::min(kPieceRuns, end - first);
    const std::size_t run = group * group_runs() + first;
    b.weights = weights_.data() + run * kRun * kProducts * b.channels;
    b.bias = bias_.data() + run * kRun;
    for (std::size_t vector = 0; vector < count; ++vector) {
      b.v = values + vector * kProducts * b.channels * lanes_;
      b.out = staged + vector * lanes_;
      kernels.winograd_4x4_conv_block(b);
    }
    const std::size_t filters = std::min(b.runs * kRun, group_filters() - first * kRun);
    for (std::size_t i = 0; i < filters * block.frames; ++i) {
      const std::size_t f = i % filters, frame = i / filters;
      leave(kernels, block, staged + f * kTile * kTile * places_ + frame * frame_places(),
            out.of(group * group_filters() + first * kRun + f, block.first_frame + frame));
    }
  }
}

void WinogradConvolution::run(const Exec& exec, const float* const* in, float* const* out,
                              State&) const {
  run_batch(exec, 1, in[0], 0, out[0], 0);
}

void WinogradConvolution::run_batch(const Exec& exec, std::size_t frames, const float* in,
                                    std::size_t in_step, float* out, std::size_t out_step) const {
  const int threads = threads_for(exec, cost_ * static_cast<double>(frames));
  const Maps<const float> x{in, in_step, depth(), o_.input[kRows] * o_.input[kCols]};
  const Maps<float> y{out, out_step, depth(), o_.output[kRows] * o_.output[kCols]};
  const std::size_t batches = tiles(frames * depth(), frames_);
  const std::size_t blocks = row_blocks_ * col_blocks_ * batches;
  const FilterSplit split = split_filters(group_runs(), blocks * o_.groups, kPieceRuns, threads);
  parallel_tasks(threads, blocks * o_.groups * split.runs, [&](std::size_t part, Tasks& tasks) {
    float* planes = exec.scratch_of(part);
    float* values = planes + planes_;
    std::size_t transformed = blocks * o_.groups;
    for (std::size_t task = 0; tasks.next(task);) {
      const std::size_t at = task / split.runs, group = at % o_.groups;
      Block b = block(at / o_.groups / batches);
      b.first_frame = at / o_.groups % batches * frames_;
      b.frames = std::min(frames_, frames * depth() - b.first_frame);
      if (at != transformed) transform(*exec.kernels, b, group, x, planes, values);
      transformed = at;
      const std::size_t first = task % split.runs * split.step;
      compute(*exec.kernels, b, group, first, std::min(split.step, group_runs() - first), values,
              values + values_, y);
    }
  });
}

std::string WinogradConvolution::kernel(const Exec& exec) const {
  return std::string("winograd 4x4 ") + exec.kernels->name;
}

}  // namespace cn
