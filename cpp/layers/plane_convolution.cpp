#include "layers/plane_convolution.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {
namespace {

enum { kDepth, kRows, kCols };

// What a block packs and what a piece of the filters computes stay in L2 together.
constexpr std::size_t kPackedFloats = 48 * 1024;
constexpr std::size_t kStagedFloats = 32 * 1024;
constexpr std::size_t kPieceFilters = 64;
// Fewer places than this leave the register tiles half empty; more gain nothing.
constexpr std::size_t kLeastPlaces = 192;
constexpr std::size_t kMostPlaces = 2048;
// What a register tile reads of x while it sums without a break: in L1 for all filters of a piece.
constexpr std::size_t kTileBytes = 18 * 1024;

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
  piece_ = round_up(std::min(group_filters(), kPieceFilters), kernels.conv_filters);
  spread_columns();
  choose_blocks();
  plane_ = odd_lines(places() + rows_.reach * pitch_ + cols_.reach);
  packed_ = checked_mul(checked_mul(slices(), slice_planes()), plane_);
  // Behind the last place a vector that may be read but is not used.
  staged_ = checked_mul(std::min(piece_, group_filters()), odd_lines(places())) + kConvPlaces * 4;
  // A tap row of a tile: the vectors, what its taps reach beyond, and lines cut at both ends.
  const std::size_t row_bytes = 256 + cols_.reach * sizeof(float);
  const std::size_t slice_bytes =
      std::max<std::size_t>(row_bytes * rows_.shift_of.size() * cols_.phases.size(), 1);
  const std::size_t steps = count_of(slices() * slice_bytes, kTileBytes);
  sum_step_ = std::max<std::size_t>(count_of(slices(), std::max<std::size_t>(steps, 1)), 1);
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
  s.origin = *least * stride;
  s.reach = static_cast<std::size_t>(*most - *least);
  for (std::size_t k = 0; k < quotients.size(); ++k) {
    const auto at = std::find(s.phases.begin(), s.phases.end(), s.phase_of[k]);
    s.phase_of[k] = static_cast<std::size_t>(at - s.phases.begin());
    s.shift_of.push_back(static_cast<std::size_t>(quotients[k] - *least));
  }
  return s;
}

// Where taps read behind the last place of a row, rows lie further apart: as much more is computed
// in vain and left out on the way to the output. Not so where every tap has its own plane. That
// pays (measured) for one plane more than there are phases, where many filters read it.
void PlaneConvolution::spread_columns() {
  const TapAxis &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  const std::size_t taps = cols.taps.size();
  if (cols_.reach == 0 || (cols.stride != 2 && cols.stride != 4) || taps != cols.stride + 1) return;
  if (cols.taps[taps - 1] - cols.taps[0] != signed_(taps - 1)) return;
  if (group_filters() * cols_.reach < 2 * cols.places) return;
  const std::size_t most = rows.places * (cols.places + cols_.reach) - cols_.reach;
  if (count_of(rows.places * cols.places, kConvPlaces) == count_of(most, kConvPlaces)) return;
  cols_ = {};
  cols_.origin = cols.taps[0];
  cols_.shift_of.assign(taps, 0);
  for (std::size_t k = 0; k < taps; ++k) {
    cols_.phases.push_back(k);
    cols_.phase_of.push_back(k);
  }
}

std::size_t PlaneConvolution::blocks() const {
  const TapAxis &depth = o_.axes[kDepth], &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  return o_.groups * depth.places * count_of(rows.places, block_rows_) *
         count_of(cols.places, block_cols_);
}

// Whole rows where the packed planes of a few of them are small enough, or where the map is small.
void PlaneConvolution::choose_blocks() {
  const TapAxis &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  const std::size_t planes = checked_mul(slices(), slice_planes());
  const auto floats = [&](std::size_t block_rows, std::size_t block_cols) {
    return checked_mul(planes, checked_mul(block_rows + rows_.reach, block_cols + cols_.reach));
  };
  const std::size_t staged = kStagedFloats / std::min(piece_, group_filters());
  const std::size_t most = std::clamp(staged, kLeastPlaces, kMostPlaces);
  block_cols_ = std::min(cols.places, most);
  while (block_cols_ > kLeastPlaces && floats(1, block_cols_) > kPackedFloats) {
    block_cols_ = std::max(round_up(block_cols_ / 2, kConvPlaces), kLeastPlaces);
  }
  choose_pitch();
  block_rows_ = std::min(rows.places, std::max<std::size_t>(most / pitch_, 1));
  while (block_rows_ > 1 && (block_rows_ - 1) * pitch_ >= kLeastPlaces &&
         floats(block_rows_, block_cols_) > kPackedFloats) {
    --block_rows_;
  }
  // Blocks of the same size, as near as rows and vectors allow.
  block_rows_ = count_of(rows.places, count_of(rows.places, block_rows_));
  if (block_cols_ < cols.places) {
    const std::size_t even = count_of(cols.places, count_of(cols.places, block_cols_));
    block_cols_ = std::min(block_cols_, round_up(even, kConvPlaces));
  }
  choose_pitch();
  if (!maps_in_a_row()) return;
  // Blocks of whole vectors need not leave by way of the stage.
  std::size_t step = 1;
  while (step * pitch_ % kConvPlaces != 0) step *= 2;
  const std::size_t whole = std::min(rows.places, round_up(block_rows_, step));
  if (whole * pitch_ <= 2 * most && floats(whole, block_cols_) <= 2 * kPackedFloats) {
    block_rows_ = whole;
  }
}

// The zeros behind one row serve as the zeros before the next where a block holds whole rows.
void PlaneConvolution::choose_pitch() {
  const TapAxis& cols = o_.axes[kCols];
  pitch_ = block_cols_ + cols_.reach;
  if (cols.stride != 1 || block_cols_ < cols.places) return;
  const std::ptrdiff_t before = std::max<std::ptrdiff_t>(-cols_.origin, 0);
  const std::ptrdiff_t last = signed_(cols.places - 1 + cols_.reach) + cols_.origin;
  const std::ptrdiff_t behind = std::max<std::ptrdiff_t>(last - signed_(cols.input - 1), 0);
  if (cols_.origin > 0) return;
  const std::size_t shared = cols.input + static_cast<std::size_t>(std::max(before, behind));
  pitch_ = std::min(pitch_, std::max(shared, block_cols_));
}

void PlaneConvolution::list_taps() {
  for (std::size_t slice = 0; slice < slices(); ++slice) {
    for (std::size_t ky = 0; ky < rows_.phase_of.size(); ++ky) {
      for (std::size_t kx = 0; kx < cols_.phase_of.size(); ++kx) {
        const std::size_t plane =
            slice * slice_planes() + rows_.phase_of[ky] * cols_.phases.size() + cols_.phase_of[kx];
        offsets_.push_back(
            signed_(plane * plane_ + rows_.shift_of[ky] * pitch_ + cols_.shift_of[kx]));
      }
    }
  }
}

void PlaneConvolution::pack_weights(const KernelTable& kernels, const float* kernel,
                                    const float* bias) {
  const std::size_t taps = o_.taps();
  weights_ = Buffer(checked_mul(o_.filters, taps));
  bias_ = Buffer(o_.filters);
  std::copy_n(bias, o_.filters, bias_.data());
  float* to = weights_.data();
  for (std::size_t group = 0; group < o_.groups; ++group) {
    const float* filters = kernel + group * group_filters() * taps;
    for (std::size_t begin = 0; begin < taps; begin += sum_step_ * slice_taps()) {
      const std::size_t end = std::min(begin + sum_step_ * slice_taps(), taps);
      std::size_t run = kernels.conv_filters;
      for (std::size_t first = 0; first < group_filters(); first += run) {
        while (run > group_filters() - first) run /= 2;
        for (std::size_t k = begin; k < end; ++k) {
          for (std::size_t f = first; f < first + run; ++f) *to++ = filters[f * taps + k];
        }
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
  const TapAxis& depth = o_.axes[kDepth];
  const std::size_t map = o_.axes[kRows].input * o_.axes[kCols].input;
  for (std::size_t c = 0; c < group_channels(); ++c) {
    const float* channel = x + (block.group * group_channels() + c) * depth.input * map;
    for (const std::ptrdiff_t tap : depth.taps) {
      const std::ptrdiff_t slice = signed_(block.depth * depth.stride) + tap;
      const bool inside = slice >= 0 && slice < signed_(depth.input);
      for (const std::size_t phase : rows_.phases) {
        std::fill_n(planes, cols_.phases.size() * plane_, 0.0F);
        if (inside) pack_rows(kernels, block, phase, channel + slice * signed_(map), planes);
        planes += cols_.phases.size() * plane_;
      }
    }
  }
}

// Every row of a slice that has this remainder and is inside.
void PlaneConvolution::pack_rows(const KernelTable& kernels, const Block& block, std::size_t phase,
                                 const float* x, float* planes) const {
  const TapAxis &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  const std::ptrdiff_t stride = signed_(rows.stride);
  const std::ptrdiff_t base = signed_(block.row) * stride + rows_.origin + signed_(phase);
  const std::ptrdiff_t begin = base >= 0 ? 0 : (-base + stride - 1) / stride;
  const std::ptrdiff_t end = std::min(signed_(block.rows + rows_.reach),
                                      floor_div(signed_(rows.input) - 1 - base, stride) + 1);
  if (begin >= end) return;
  const float* from = x + (base + begin * stride) * signed_(cols.input);
  const std::ptrdiff_t step = stride * signed_(cols.input);
  if (cols.stride == 1) {
    const std::ptrdiff_t left = signed_(block.col) + cols_.origin;
    const std::ptrdiff_t first = std::max<std::ptrdiff_t>(left, 0);
    const std::ptrdiff_t last = std::min(left + signed_(pitch_), signed_(cols.input));
    if (first >= last) return;
    kernels.copy_rows(from + first, static_cast<std::size_t>(step),
                      static_cast<std::size_t>(end - begin), static_cast<std::size_t>(last - first),
                      planes + begin * signed_(pitch_) + (first - left), pitch_);
    return;
  }
  for (std::ptrdiff_t i = begin; i < end; ++i, from += step) {
    pack_row(kernels, block, from, planes + i * signed_(pitch_));
  }
}

// The columns of a row, one plane a phase.
void PlaneConvolution::pack_row(const KernelTable& kernels, const Block& block, const float* x,
                                float* to) const {
  const TapAxis& cols = o_.axes[kCols];
  const std::ptrdiff_t stride = signed_(cols.stride);
  const std::ptrdiff_t base = signed_(block.col) * stride + cols_.origin, pitch = signed_(pitch_);
  const std::ptrdiff_t begin = std::max<std::ptrdiff_t>(base, 0);
  const std::ptrdiff_t end = std::min(base + pitch * stride, signed_(cols.input));
  const bool splits = cols_.phases.size() >= cols.stride && (stride == 2 || stride == 4);
  if (splits && begin < end) {
    kernels.split_phases(cols.stride, x + begin, static_cast<std::size_t>(end - begin),
                         static_cast<std::size_t>(begin - base), to, plane_);
  }
  // What is left: without split_phases all places, behind it the planes that are others, shifted.
  for (std::size_t k = splits ? cols.stride : 0; k < cols_.phases.size(); ++k) {
    const std::ptrdiff_t phase = base + signed_(cols_.phases[k]);
    float* place = to + k * plane_;
    std::ptrdiff_t j = phase >= 0 ? 0 : (stride - 1 - phase) / stride;
    if (splits) {
      const std::size_t shift = k / cols.stride, kept = pitch_ - std::min(shift, pitch_);
      kernels.copy_rows(place - shift * cols.stride * plane_ + shift, 0, 1, kept, place, 0);
      j = std::max(j, signed_(kept));
    }
    for (; j < pitch && phase + j * stride < signed_(cols.input); ++j) {
      place[j] = x[phase + j * stride];
    }
  }
}

bool PlaneConvolution::maps_in_a_row() const {
  const TapAxis &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  return !o_.joins_phases() && pitch_ == block_cols_ && pitch_ == cols.output &&
         cols.places == cols.output && rows.places == rows.output &&
         rows.places * pitch_ % kConvPlaces == 0;
}

bool PlaneConvolution::writes_places() const {
  return maps_in_a_row() && block_rows_ * pitch_ % kConvPlaces == 0;
}

// Rows of the filters from `filter` on that have all columns of some rows of the output.
void PlaneConvolution::join(const KernelTable& kernels, const Block& block, std::size_t filter,
                            const float* staged, std::size_t stride, float* out) const {
  const TapAxis &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  const std::size_t phases = o_.row_phases * o_.col_phases;
  const std::size_t first = filter % phases / o_.col_phases;
  const std::size_t count = std::min(block.cols * cols.step, cols.output - block.col * cols.step);
  float* map = out + filter / phases * rows.output * cols.output + block.col * cols.step;
  for (std::size_t i = 0; i < block.rows; ++i) {
    const std::size_t row = first + (block.row + i) * rows.step;
    if (row >= rows.output) return;
    kernels.join_phases(cols.step, staged + i * pitch_, stride, count, map + row * cols.output);
  }
}

void PlaneConvolution::compute(const KernelTable& kernels, const Block& block, const Piece& piece,
                               const float* planes, float* staged, float* out) const {
  const TapAxis &depth = o_.axes[kDepth], &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  const std::size_t filter = block.group * group_filters() + piece.first;
  const std::size_t map = rows.output * cols.output;
  float* to = out + (filter * depth.output + depth.first + block.depth * depth.step) * map +
              (rows.first + block.row * rows.step) * cols.output + cols.first +
              block.col * cols.step;
  const bool in_place = writes_places();
  ConvBlock b{};
  b.x = planes;
  b.bias = bias_.data() + filter;
  b.places = round_up((block.rows - 1) * pitch_ + block.cols, kConvPlaces);
  b.out = in_place ? to : staged;
  b.out_stride = in_place ? depth.output * map : odd_lines(b.places);
  b.filters = piece.count;
  const bool relu = o_.activation.kind == Activation::Kind::relu;
  const std::size_t taps = offsets_.size(), step = sum_step_ * slice_taps();
  for (std::size_t begin = 0; begin == 0 || begin < taps; begin += step, b.bias = nullptr) {
    b.offsets = offsets_.data() + begin;
    b.taps = std::min(step, taps - begin);
    b.weights = weights_.data() + block.group * group_filters() * taps + begin * group_filters() +
                piece.first * b.taps;
    b.relu = relu && begin + b.taps == taps;
    kernels.conv_block(b);
    if (step == 0) break;
  }
  for (std::size_t f = 0; f < piece.count; ++f, to += depth.output * map) {
    float* from = b.out + f * b.out_stride;
    if (!relu && o_.activation.kind != Activation::Kind::linear) {
      kernels.activate(o_.activation, from, from, b.places);
    }
    if (in_place) continue;
    if (o_.joins_phases()) {
      if ((f + 1) % o_.col_phases != 0) continue;
      const std::size_t begin = f + 1 - o_.col_phases;
      join(kernels, block, filter + begin, b.out + begin * b.out_stride, b.out_stride, out);
      continue;
    }
    if (cols.step == 1) {
      kernels.copy_rows(from, pitch_, block.rows, block.cols, to, rows.step * cols.output);
      continue;
    }
    for (std::size_t i = 0; i < block.rows; ++i) {
      float* row = to + i * rows.step * cols.output;
      for (std::size_t j = 0; j < block.cols; ++j) row[j * cols.step] = from[i * pitch_ + j];
    }
  }
}

void PlaneConvolution::run(const Exec& exec, const float* x, float* out) const {
  const TapAxis &depth = o_.axes[kDepth], &rows = o_.axes[kRows], &cols = o_.axes[kCols];
  const double places = static_cast<double>(depth.places * rows.places * cols.places);
  const double operations = places * static_cast<double>(o_.filters * (o_.taps() + 8));
  const int threads = threads_for(exec, operations);
  // Few blocks are cut further, by the filters; each thread then packs the block for itself.
  const std::size_t wanted = threads == 1 ? 1 : 4 * static_cast<std::size_t>(threads);
  const std::size_t run = exec.kernels->conv_filters, runs = count_of(group_filters(), run);
  const std::size_t cuts = std::max(count_of(wanted, blocks()), count_of(group_filters(), piece_));
  const std::size_t step = count_of(runs, std::min(cuts, runs)) * run;
  const std::size_t pieces = count_of(group_filters(), step);
  parallel_tasks(threads, blocks() * pieces, [&](std::size_t part, Tasks& tasks) {
    float* planes = exec.scratch_of(part);
    std::size_t packed = blocks();
    Block b{};
    for (std::size_t task = 0; tasks.next(task);) {
      if (task / pieces != packed) {
        packed = task / pieces;
        b = block(packed);
        pack(*exec.kernels, b, x, planes);
      }
      const std::size_t first = task % pieces * step;
      const Piece piece{first, std::min(step, group_filters() - first)};
      compute(*exec.kernels, b, piece, planes, planes + packed_, out);
    }
  });
}

}  // namespace cn
