#include "layers/depthwise_convolution.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/parallel.hpp"

namespace cn {
namespace {

enum { kDepth, kRows, kCols };

constexpr std::size_t kMostPlaces = 4096;

// Where tap k of an axis reads, from the place it is read for.
std::ptrdiff_t shift(const ConvolutionOptions& o, std::size_t axis, std::size_t k) {
  return static_cast<std::ptrdiff_t>(k * o.dilation[axis]) -
         static_cast<std::ptrdiff_t>(o.before[axis]);
}

}  // namespace

bool DepthwiseConvolution::fits(const ConvolutionOptions& o) {
  const Size3 one{1, 1, 1};
  const std::size_t places = o.input[kRows] * o.input[kCols];
  const std::size_t last_row = (o.kernel[kRows] - 1) * o.dilation[kRows];
  const std::size_t last_col = (o.kernel[kCols] - 1) * o.dilation[kCols];
  return o.groups == o.channels && o.groups == o.filters && o.strides == one &&
         o.output == o.input && o.input[kDepth] == 1 && o.kernel[kDepth] == 1 &&
         o.before[kDepth] == 0 && places >= kConvPlaces && places <= kMostPlaces &&
         std::max(last_row, o.before[kRows]) < o.input[kRows] &&
         std::max(last_col, o.before[kCols]) < o.input[kCols];
}

DepthwiseConvolution::DepthwiseConvolution(const ConvolutionOptions& o, const float* kernel,
                                           const float* bias)
    : activation_(o.activation),
      channels_(o.channels),
      places_(o.input[kRows] * o.input[kCols]),
      tap_rows_(o.kernel[kRows]),
      tap_cols_(o.kernel[kCols]),
      weights_(channels_ * tap_rows_ * tap_cols_),
      bias_(channels_) {
  const auto cols = static_cast<std::ptrdiff_t>(o.input[kCols]);
  for (std::size_t col = 0; col < tap_cols_; ++col) {
    const std::ptrdiff_t right = shift(o, kCols, col);
    std::vector<std::uint32_t> mask;
    for (std::size_t place = 0; right != 0 && place < places_; ++place) {
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(place) % cols + right;
      mask.push_back(at >= 0 && at < cols ? ~std::uint32_t{0} : 0);
    }
    masks_.push_back(std::move(mask));
    for (std::size_t row = 0; row < tap_rows_; ++row) {
      offsets_.push_back(shift(o, kRows, row) * cols + right);
      reach_ = std::max(reach_, static_cast<std::size_t>(std::abs(offsets_.back())));
    }
  }
  for (const auto& mask : masks_) mask_pointers_.push_back(mask.empty() ? nullptr : mask.data());
  for (std::size_t c = 0; c < channels_; ++c) {
    for (std::size_t k = 0; k < tap_rows_ * tap_cols_; ++k) {
      weights_.data()[(c * tap_cols_ + k % tap_cols_) * tap_rows_ + k / tap_cols_] =
          kernel[c * tap_rows_ * tap_cols_ + k];
    }
  }
  std::copy_n(bias, channels_, bias_.data());
}

void DepthwiseConvolution::run(const Exec& exec, const float* const* in, float* const* out,
                               State&) const {
  const std::size_t taps = tap_rows_ * tap_cols_;
  const int threads = threads_for(exec, 2.0 * static_cast<double>(channels_ * places_ * taps));
  parallel_for(threads, channels_, [&](std::size_t part, std::size_t begin, std::size_t end) {
    DepthwiseBlock b{};
    b.x = in[0] + begin * places_;
    b.channels = end - begin;
    b.places = places_;
    b.weights = weights_.data() + begin * taps;
    b.bias = bias_.data() + begin;
    b.tap_rows = tap_rows_;
    b.tap_cols = tap_cols_;
    b.offsets = offsets_.data();
    b.masks = mask_pointers_.data();
    b.reach = reach_;
    b.relu = activation_.kind == Activation::Kind::relu;
    b.padded = exec.scratch_of(part);
    b.out = out[0] + begin * places_;
    exec.kernels->depthwise_block(b);
    if (b.relu || activation_.kind == Activation::Kind::linear) return;
    exec.kernels->activate(activation_, b.out, b.out, b.channels * places_);
  });
}

std::string DepthwiseConvolution::kernel(const Exec& exec) const {
  return std::string("depthwise ") + exec.kernels->name;
}

}  // namespace cn
