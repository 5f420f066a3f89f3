#include "layers/plane_convolution.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {
namespace {

enum { kDepth, kRows, kCols };

// What a block packs should stay in L2 while all filters pass, and what a run of filters computes
// in L1 until it leaves.
constexpr std::size_t kPackedFloats = 48 * 1024;
constexpr std::size_t kMostPlaces = 1024;
// Fewer places than this leave the register tiles half empty.
constexpr std::size_t kLeastPlaces = 192;

std::ptrdiff_t floor_div(std::ptrdiff_t a, std::ptrdiff_t b) {
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}

std::ptrdiff_t signed_(std::size_t n) { return static_cast<std::ptrdiff_t>(n); }

std::size_t count_of(std::size_t total, std::size_t part) { return (total + part - 1) / part; }

}  // namespace

PlaneConvolution::PlaneConvolution(const PlaneConvolutionOptions& options,
                                   const KernelTable& kernels, const float* kernel,
                                   const float* bias)
    : o_(options), rows_(split(o_.axes[kRows])), cols_(split(o_.axes[kCols])) {
  choose_blocks();
  // An odd number of cache lines: planes of sizes like 64 x 64 do not fall on the same sets.
  plane_ = round_up(places() + rows_.reach * pitch_ + cols_.reach, kAlignedFloats);
  if (plane_ / kAlignedFloats % 2 == 0) plane_ += kAlignedFloats;
  packed_ = checked_mul(planes(), plane_);
  staged_ = kernels.conv_filters * places();
  list_taps();
  pack_weights(kernels, kernel, bias);
}

PlaneConvolution::Split PlaneConvolution::split(const TapAxis& axis) {
  Split s;
  const std::ptrdiff_t stride = signed_(axis.stride);
  std::vector<std::ptrdiff_t> quotients;
  for (const std::ptrdiff_t tap : axis.taps) {
    const std::ptrdiff_t quotient = floor_div(tap, stride);
    const auto phase = static_cast<std::size_t>(tap - quotient * stride);
    quotients.push_back(quotient);
    s.phase_of.push_back(phase);
    if (std::find(s.phases.begin(), s.phases.end(), phase) == s.phases.end()) {
      s.phases.push_back(phase);
    }
  }
  if (quotients.empty()) return s;  // nothing is read: the bias alone
  std::sort(s.phases.begin(), s.phases.end());
  const auto [least, most] = std::minmax_element(quotients.begin(), quotients.end());
  s.first = *least;
  s.reach = static_cast<std::size_t>(*most - *least);
  for (std::size_t k = 0; k < quotients.size(); ++k) {
    const auto at = std::find(s.phases.begin(), s.phases.end(), s.phase_of[k]);
    s.phase_of[k] = static_cast<std::size_t>(at - s.phases.begin());
    s.shift_of.push_back(static_cast<std::size_t>(quotients[k] - s.first));
  }
  return s;
}

std::size_t PlaneConvolution::planes() const {
  const std::size_t depth = o_.axes[kDepth].taps.size();
  return checked_mul(checked_mul(group_channels(), depth),
                     rows_.phases.size() * cols_.phases.size());
}

// Whole rows where the packed planes of a few of them are small enough, or where the map is small.
void PlaneConvolution::choose_blocks() {
  const TapAxis &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  const auto floats = [&](std::size_t block_rows, std::size_t block_cols) {
    const std::size_t pitch = block_cols + cols_.reach;
    return checked_mul(planes(), checked_mul(block_rows + rows_.reach, pitch));
  };
  block_cols_ = std::min(cols.places, kMostPlaces);
  while (block_cols_ > kLeastPlaces && floats(1, block_cols_) > kPackedFloats) {
    block_cols_ = std::max(round_up(block_cols_ / 2, kConvPlaces), kLeastPlaces);
  }
  choose_pitch();
  block_rows_ = std::min(rows.places, std::max<std::size_t>(kMostPlaces / pitch_, 1));
  while (block_rows_ > 1 && (block_rows_ - 1) * pitch_ >= kLeastPlaces &&
         floats(block_rows_, block_cols_) > kPackedFloats) {
    --block_rows_;
  }
  // Blocks of the same size, as near as rows allow.
  block_rows_ = count_of(rows.places, count_of(rows.places, block_rows_));
  block_cols_ = count_of(cols.places, count_of(cols.places, block_cols_));
  choose_pitch();
}

// The zeros behind one row serve as the zeros before the next where a block holds whole rows.
void PlaneConvolution::choose_pitch() {
  const TapAxis& cols = o_.axes[kCols];
  pitch_ = block_cols_ + cols_.reach;
  if (cols.stride != 1 || block_cols_ < cols.places) return;
  const std::ptrdiff_t before = std::max<std::ptrdiff_t>(-cols_.first, 0);
  const std::ptrdiff_t last = signed_(cols.places - 1 + cols_.reach) + cols_.first;
  const std::ptrdiff_t behind = std::max<std::ptrdiff_t>(last - signed_(cols.input - 1), 0);
  if (cols_.first > 0) return;
  const std::size_t shared = cols.input + static_cast<std::size_t>(std::max(before, behind));
  pitch_ = std::min(pitch_, std::max(shared, block_cols_));
}

void PlaneConvolution::list_taps() {
  const std::size_t depth = o_.axes[kDepth].taps.size();
  const std::size_t row_phases = rows_.phases.size(), col_phases = cols_.phases.size();
  for (std::size_t slice = 0; slice < group_channels() * depth; ++slice) {
    for (std::size_t ky = 0; ky < rows_.phase_of.size(); ++ky) {
      for (std::size_t kx = 0; kx < cols_.phase_of.size(); ++kx) {
        const std::size_t plane =
            (slice * row_phases + rows_.phase_of[ky]) * col_phases + cols_.phase_of[kx];
        offsets_.push_back(
            signed_(plane * plane_ + rows_.shift_of[ky] * pitch_ + cols_.shift_of[kx]));
      }
    }
  }
}

void PlaneConvolution::pack_weights(const KernelTable& kernels, const float* kernel,
                                    const float* bias) {
  std::size_t size = kernels.conv_filters;
  for (std::size_t first = 0; first < group_filters();) {
    while (size > group_filters() - first) size /= 2;
    runs_.push_back({first, size});
    first += size;
  }
  const std::size_t taps = o_.taps();
  weights_ = Buffer(checked_mul(o_.filters, taps));
  bias_ = Buffer(o_.filters);
  std::copy_n(bias, o_.filters, bias_.data());
  float* to = weights_.data();
  for (std::size_t group = 0; group < o_.groups; ++group) {
    for (const Run& run : runs_) {
      const float* from = kernel + (group * group_filters() + run.first) * taps;
      for (std::size_t k = 0; k < taps; ++k) {
        for (std::size_t f = 0; f < run.count; ++f) *to++ = from[f * taps + k];
      }
    }
  }
}

PlaneConvolution::Block PlaneConvolution::block(std::size_t index) const {
  const TapAxis &depth = o_.axes[kDepth], &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  const std::size_t col_blocks = count_of(cols.places, block_cols_);
  const std::size_t row_blocks = count_of(rows.places, block_rows_);
  Block b{};
  b.col = index % col_blocks * block_cols_;
  index /= col_blocks;
  b.row = index % row_blocks * block_rows_;
  index /= row_blocks;
  b.depth = index % depth.places;
  b.group = index / depth.places;
  b.rows = std::min(block_rows_, rows.places - b.row);
  b.cols = std::min(block_cols_, cols.places - b.col);
  return b;
}

void PlaneConvolution::pack(const KernelTable& kernels, const Block& block, const float* x,
                            float* planes) const {
  const TapAxis &depth = o_.axes[kDepth], &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  const std::size_t map = rows.input * cols.input;
  const std::size_t packed_rows = block.rows + rows_.reach;
  float* to = planes;
  for (std::size_t c = 0; c < group_channels(); ++c) {
    const float* channel = x + (block.group * group_channels() + c) * depth.input * map;
    for (const std::ptrdiff_t tap : depth.taps) {
      const std::ptrdiff_t slice = signed_(block.depth * depth.stride) + tap;
      const bool inside = slice >= 0 && slice < signed_(depth.input);
      const float* from = inside ? channel + slice * signed_(map) : nullptr;
      for (const std::size_t phase : rows_.phases) {
        for (std::size_t i = 0; i < packed_rows; ++i) {
          const std::ptrdiff_t quotient = signed_(block.row + i) + rows_.first;
          const std::ptrdiff_t row = quotient * signed_(rows.stride) + signed_(phase);
          const bool there = inside && row >= 0 && row < signed_(rows.input);
          pack_row(kernels, there ? from + row * signed_(cols.input) : nullptr, block,
                   to + i * pitch_);
        }
        for (std::size_t k = 0; k < cols_.phases.size(); ++k, to += plane_) {
          std::fill(to + packed_rows * pitch_, to + plane_, 0.0F);
        }
      }
    }
  }
}

// The columns of a row, one plane a phase; place j of phase p holds column
// (j + block.col + first) * stride + p. A row of zeros where `x` is null.
void PlaneConvolution::pack_row(const KernelTable& kernels, const float* x, const Block& block,
                                float* to) const {
  const TapAxis& cols = o_.axes[kCols];
  const std::ptrdiff_t stride = signed_(cols.stride);
  const std::ptrdiff_t base = (signed_(block.col) + cols_.first) * stride;
  const std::ptrdiff_t begin = std::clamp<std::ptrdiff_t>(base, 0, signed_(cols.input));
  const std::ptrdiff_t end =
      std::clamp(base + signed_(pitch_) * stride, begin, signed_(cols.input));
  const bool all_phases = cols_.phases.size() == cols.stride;
  const bool whole = x != nullptr && begin == base && end - begin == signed_(pitch_) * stride;
  if (!whole) {
    for (std::size_t k = 0; k < cols_.phases.size(); ++k) {
      std::fill_n(to + k * plane_, pitch_, 0.0F);
    }
  }
  if (x == nullptr || begin == end) return;
  if (stride == 1) {
    std::copy(x + begin, x + end, to + (begin - base));
  } else if (all_phases && (stride == 2 || stride == 4)) {
    kernels.split_phases(cols.stride, x + begin, static_cast<std::size_t>(end - begin),
                         static_cast<std::size_t>(begin - base), to, plane_);
  } else {
    for (std::size_t k = 0; k < cols_.phases.size(); ++k) {
      const std::ptrdiff_t phase = base + signed_(cols_.phases[k]);
      std::ptrdiff_t j = phase >= begin ? 0 : (begin - phase + stride - 1) / stride;
      for (; phase + j * stride < end; ++j) to[signed_(k * plane_) + j] = x[phase + j * stride];
    }
  }
}

void PlaneConvolution::compute(const KernelTable& kernels, const Block& block, const Run& run,
                               const float* planes, float* staged, float* out) const {
  const std::size_t filter = block.group * group_filters() + run.first;
  ConvBlock b{};
  b.x = planes;
  b.offsets = offsets_.data();
  b.taps = offsets_.size();
  b.weights = weights_.data() + filter * offsets_.size();
  b.bias = bias_.data() + filter;
  b.places = round_up((block.rows - 1) * pitch_ + block.cols, kConvPlaces);
  b.out = staged;
  b.out_stride = b.places;
  b.filters = run.count;
  kernels.conv_block(b);
  if (o_.activation.kind != Activation::Kind::linear) {
    kernels.activate(o_.activation, staged, staged, run.count * b.places);
  }
  for (std::size_t f = 0; f < run.count; ++f) leave(block, filter + f, staged + f * b.places, out);
}

void PlaneConvolution::leave(const Block& block, std::size_t filter, const float* staged,
                             float* out) const {
  const TapAxis &depth = o_.axes[kDepth], &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  const std::size_t slice = filter * depth.output + depth.first + block.depth * depth.step;
  for (std::size_t i = 0; i < block.rows; ++i) {
    const std::size_t row = rows.first + (block.row + i) * rows.step;
    float* to =
        out + (slice * rows.output + row) * cols.output + cols.first + block.col * cols.step;
    const float* from = staged + i * pitch_;
    if (cols.step == 1) {
      std::memcpy(to, from, block.cols * sizeof(float));
    } else {
      for (std::size_t j = 0; j < block.cols; ++j) to[j * cols.step] = from[j];
    }
  }
}

void PlaneConvolution::run(const Exec& exec, const float* x, float* out) const {
  const TapAxis &depth = o_.axes[kDepth], &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  const std::size_t blocks = o_.groups * depth.places * count_of(rows.places, block_rows_) *
                             count_of(cols.places, block_cols_);
  const double places = static_cast<double>(depth.places * rows.places * cols.places);
  const double operations =
      places * (static_cast<double>(o_.filters * o_.taps()) + static_cast<double>(o_.channels));
  const int threads = threads_for(exec, operations);
  // Few blocks are cut further, by runs of filters; each thread then packs the block for itself.
  const std::size_t wanted =
      threads == 1 ? 1 : count_of(4 * static_cast<std::size_t>(threads), blocks);
  const std::size_t step = count_of(runs_.size(), std::min(wanted, runs_.size()));
  const std::size_t pieces = count_of(runs_.size(), step);
  parallel_tasks(threads, blocks * pieces, [&](std::size_t part, Tasks& tasks) {
    float* planes = exec.scratch_of(part);
    std::size_t packed = blocks;
    Block b{};
    for (std::size_t task = 0; tasks.next(task);) {
      if (task / pieces != packed) {
        packed = task / pieces;
        b = block(packed);
        pack(*exec.kernels, b, x, planes);
      }
      const std::size_t first = task % pieces * step;
      for (std::size_t r = first; r < std::min(first + step, runs_.size()); ++r) {
        compute(*exec.kernels, b, runs_[r], planes, planes + packed_, out);
      }
    }
  });
}

}  // namespace cn
