#include "layers/convolution.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "layers/cost.hpp"
#include "layers/depthwise_convolution.hpp"
#include "layers/winograd_convolution.hpp"

namespace cn {
namespace {

void check(const ConvolutionOptions& o) {
  const auto expect = [](std::size_t size, std::size_t least) {
    if (size < least || size > kLargestLength) {
      throw UnsupportedError("convolution: expected sizes of " + std::to_string(least) + " to " +
                             std::to_string(kLargestLength) + ", found " + std::to_string(size));
    }
  };
  for (const std::size_t size : {o.channels, o.filters, o.groups}) expect(size, 1);
  for (const Size3& sizes : {o.input, o.kernel, o.strides, o.dilation, o.output}) {
    for (const std::size_t size : sizes) expect(size, 1);
  }
  for (const std::size_t size : o.before) expect(size, 0);
  if (o.channels % o.groups != 0 || o.filters % o.groups != 0) {
    throw UnsupportedError("convolution: expected groups that divide channels and filters");
  }
}

PlaneConvolutionOptions planes_of(const ConvolutionOptions& o) {
  check(o);
  PlaneConvolutionOptions planes;
  planes.channels = o.channels;
  planes.filters = o.filters;
  planes.groups = o.groups;
  planes.activation = o.activation;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    TapAxis& a = planes.axes[axis];
    a.input = o.input[axis];
    a.output = a.places = o.output[axis];
    a.stride = o.strides[axis];
    a.taps.clear();
    for (std::size_t k = 0; k < o.kernel[axis]; ++k) {
      a.taps.push_back(static_cast<std::ptrdiff_t>(k * o.dilation[axis]) -
                       static_cast<std::ptrdiff_t>(o.before[axis]));
    }
  }
  return planes;
}

// The outputs of one axis that have the same remainder: where they are, and the numbers k of their
// taps with the input that each reads.
struct Remainder {
  TapAxis axis;
  std::vector<std::size_t> kernel;
};

std::vector<Remainder> remainders(const ConvolutionOptions& o, std::size_t axis) {
  std::vector<Remainder> found;
  const auto stride = static_cast<std::ptrdiff_t>(o.strides[axis]);
  for (std::size_t first = 0; first < std::min(o.strides[axis], o.output[axis]); ++first) {
    Remainder r;
    r.axis.input = o.input[axis];
    r.axis.output = o.output[axis];
    r.axis.first = first;
    r.axis.step = o.strides[axis];
    r.axis.places = (o.output[axis] - first - 1) / o.strides[axis] + 1;
    r.axis.taps.clear();
    for (std::size_t k = 0; k < o.kernel[axis]; ++k) {
      const auto reach = static_cast<std::ptrdiff_t>(first + o.before[axis]) -
                         static_cast<std::ptrdiff_t>(k * o.dilation[axis]);
      if (reach % stride != 0) continue;
      r.axis.taps.push_back(reach / stride);
      r.kernel.push_back(k);
    }
    found.push_back(r);
  }
  return found;
}

}  // namespace

Convolution::Convolution(const ConvolutionOptions& options, const KernelTable& kernels,
                         const float* kernel, const float* bias, std::string choice)
    : planes_(planes_of(options), kernels, kernel, bias), choice_(std::move(choice)) {}

double Convolution::cost(const ConvolutionOptions& o) {
  double places = 1.0, taps = 1.0, pixels = 1.0;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    places *= static_cast<double>(o.output[axis]);
    taps *= static_cast<double>(o.kernel[axis]);
    pixels *= static_cast<double>(o.input[axis]);
  }
  const auto channels = static_cast<double>(o.channels), filters = static_cast<double>(o.filters);
  // Products at four fifths of the peak; a pixel on the way in, an output on the way out.
  constexpr double kProduct = 1.25, kInput = 10.0, kOutput = 20.0;
  const double products = kProduct * places * taps * channels * filters;
  return products / static_cast<double>(o.groups) + kInput * pixels * channels +
         kOutput * places * filters;
}

void Convolution::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  planes_.run(exec, in[0], out[0]);
}

std::string Convolution::kernel(const Exec& exec) const {
  return std::string("direct ") + exec.kernels->name;
}

std::unique_ptr<Layer> make_convolution(const ConvolutionOptions& o, bool allow_winograd,
                                        const KernelTable& kernels, const float* kernel,
                                        const float* bias) {
  check(o);
  if (DepthwiseConvolution::fits(o)) {
    return std::make_unique<DepthwiseConvolution>(o, kernel, bias);
  }
  std::string choice;
  if (allow_winograd && WinogradConvolution::fits(o, kernels)) {
    const double winograd = WinogradConvolution::cost(o, kernels), direct = Convolution::cost(o);
    const std::string first = "winograd 4x4: " + millions(winograd);
    const std::string second = "direct: " + millions(direct);
    if (winograd < direct) {
      return std::make_unique<WinogradConvolution>(o, kernels, kernel, bias,
                                                   first + " against " + second);
    }
    choice = second + " against " + first;
  }
  return std::make_unique<Convolution>(o, kernels, kernel, bias, choice);
}

MapPhases ConvolutionOptions::input_phases() const {
  return {channels, input[1], input[2], dilation[1], dilation[2]};
}

MapPhases ConvolutionOptions::output_phases() const {
  return {filters, output[1], output[2], dilation[1], dilation[2]};
}

ConvolutionOptions dilated_apart(const ConvolutionOptions& options) {
  ConvolutionOptions o = options;
  o.input[0] = o.output[0] = o.dilation[1] * o.dilation[2];
  for (const std::size_t axis : {1U, 2U}) {
    for (Size3* sizes : {&o.input, &o.before, &o.output}) (*sizes)[axis] /= o.dilation[axis];
    o.dilation[axis] = 1;
  }
  return o;
}

bool pays_apart(const ConvolutionOptions& o, bool allow_winograd, const KernelTable& kernels) {
  check(o);
  if (!allow_winograd || o.input[0] != 1 || o.output[0] != 1 || DepthwiseConvolution::fits(o)) {
    return false;
  }
  if (o.dilation[1] * o.dilation[2] == 1) return false;
  for (const std::size_t axis : {1U, 2U}) {
    for (const Size3* sizes : {&o.input, &o.before, &o.output}) {
      if ((*sizes)[axis] % o.dilation[axis] != 0) return false;
    }
  }
  const ConvolutionOptions apart = dilated_apart(o);
  if (!WinogradConvolution::fits(apart, kernels)) return false;
  // A pixel on its way to its phase, or back.
  constexpr double kMoved = 20.0;
  const double moved = static_cast<double>(o.channels * o.input[1] * o.input[2]) +
                       static_cast<double>(o.filters * o.output[1] * o.output[2]);
  return WinogradConvolution::cost(apart, kernels) + kMoved * moved < Convolution::cost(o);
}

namespace {

// The kernel (filters, channels, taps) of one remainder.
std::vector<float> kernel_of(const ConvolutionOptions& o, const float* kernel, const Remainder& d,
                             const Remainder& r, const Remainder& c) {
  const std::size_t taps = o.kernel[0] * o.kernel[1] * o.kernel[2];
  std::vector<float> weights;
  for (std::size_t f = 0; f < o.filters; ++f) {
    for (std::size_t channel = 0; channel < o.channels; ++channel) {
      const float* from = kernel + (channel * o.filters + f) * taps;
      for (const std::size_t kd : d.kernel) {
        for (const std::size_t kr : r.kernel) {
          for (const std::size_t kc : c.kernel) {
            weights.push_back(from[(kd * o.kernel[1] + kr) * o.kernel[2] + kc]);
          }
        }
      }
    }
  }
  return weights;
}

// The taps that any of the remainders has, in order.
TapAxis all_taps(const std::vector<Remainder>& phases) {
  TapAxis axis = phases[0].axis;
  for (const Remainder& phase : phases) {
    axis.taps.insert(axis.taps.end(), phase.axis.taps.begin(), phase.axis.taps.end());
  }
  std::sort(axis.taps.begin(), axis.taps.end());
  axis.taps.erase(std::unique(axis.taps.begin(), axis.taps.end()), axis.taps.end());
  return axis;
}

// Number k of the kernel that reads this tap in a phase, or kNoTap.
constexpr std::size_t kNoTap = static_cast<std::size_t>(-1);
std::size_t tap_of(const Remainder& phase, std::ptrdiff_t tap) {
  const auto at = std::find(phase.axis.taps.begin(), phase.axis.taps.end(), tap);
  if (at == phase.axis.taps.end()) return kNoTap;
  return phase.kernel[static_cast<std::size_t>(at - phase.axis.taps.begin())];
}

// All remainders of rows and columns as filters of one convolution, with zeros for the taps that
// only others have: a few filters alone leave the register tiles of the kernel half empty. An
// infinity in x becomes NaN where such a zero meets it.
PlaneConvolution joined(const ConvolutionOptions& o, const KernelTable& kernels,
                        const float* kernel, const float* bias, PlaneConvolutionOptions planes) {
  const std::vector<Remainder> rows = remainders(o, 1), cols = remainders(o, 2);
  planes.axes[1] = all_taps(rows);
  planes.axes[2] = all_taps(cols);
  planes.row_phases = rows.size();
  planes.col_phases = cols.size();
  planes.filters = o.filters * rows.size() * cols.size();
  std::vector<float> weights, biases;
  for (std::size_t filter = 0; filter < planes.filters; ++filter) {
    const std::size_t f = filter / (rows.size() * cols.size());
    const Remainder &row = rows[filter / cols.size() % rows.size()],
                    &col = cols[filter % cols.size()];
    biases.push_back(bias[f]);
    for (std::size_t channel = 0; channel < o.channels; ++channel) {
      const float* from = kernel + (channel * o.filters + f) * o.kernel[1] * o.kernel[2];
      for (const std::ptrdiff_t y : planes.axes[1].taps) {
        for (const std::ptrdiff_t x : planes.axes[2].taps) {
          const std::size_t kr = tap_of(row, y), kc = tap_of(col, x);
          const bool none = kr == kNoTap || kc == kNoTap;
          weights.push_back(none ? 0.0F : from[kr * o.kernel[2] + kc]);
        }
      }
    }
  }
  return {planes, kernels, weights.data(), biases.data()};
}

// True where joined() pays and its rows can be put together from two or four phases.
bool joins(const ConvolutionOptions& o, const KernelTable& kernels) {
  const std::size_t phases = o.strides[2];
  return o.input[0] == 1 && o.output[0] == 1 && o.kernel[0] == 1 && o.before[0] == 0 &&
         (phases == 2 || phases == 4) && kernels.conv_filters % phases == 0 &&
         o.output[2] >= phases && o.output[1] >= o.strides[1] &&
         2 * o.filters <= kernels.conv_filters;
}

}  // namespace

ConvolutionTranspose::ConvolutionTranspose(const ConvolutionOptions& o, const KernelTable& kernels,
                                           const float* kernel, const float* bias) {
  check(o);
  if (o.groups != 1) throw UnsupportedError("transposed convolution: expected one group");
  PlaneConvolutionOptions planes;
  planes.channels = o.channels;
  planes.filters = o.filters;
  planes.activation = o.activation;
  phases_ = remainders(o, 0).size() * remainders(o, 1).size() * remainders(o, 2).size();
  if (joins(o, kernels)) {
    parts_.push_back(joined(o, kernels, kernel, bias, planes));
    return;
  }
  for (const Remainder& d : remainders(o, 0)) {
    for (const Remainder& r : remainders(o, 1)) {
      for (const Remainder& c : remainders(o, 2)) {
        planes.axes = {d.axis, r.axis, c.axis};
        parts_.emplace_back(planes, kernels, kernel_of(o, kernel, d, r, c).data(), bias);
      }
    }
  }
}

void ConvolutionTranspose::run(const Exec& exec, const float* const* in, float* const* out,
                               State&) const {
  for (const PlaneConvolution& part : parts_) part.run(exec, in[0], out[0]);
}

std::size_t ConvolutionTranspose::scratch_floats() const {
  std::size_t most = 0;
  for (const PlaneConvolution& part : parts_) most = std::max(most, part.scratch_floats());
  return most;
}

std::string ConvolutionTranspose::kernel(const Exec& exec) const {
  return std::string("direct ") + exec.kernels->name + ", " + std::to_string(phases_) + " phases" +
         (parts_.size() == phases_ ? "" : " at once");
}

}  // namespace cn
