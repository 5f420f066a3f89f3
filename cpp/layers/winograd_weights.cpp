#include "layers/winograd_weights.hpp"

namespace cn {
namespace {

// G of the transform U = G g G^T for the points 0, +-1/sqrt(2), +-sqrt(2), infinity: row p is
// (1, p, p^2, ...) over the product of its distances to the other finite points, the last row the
// last tap. The same points as in kernels/generic/winograd.hpp, which also says why some rows are
// scaled.
constexpr double kA = 0.70710678118654752440, kB = 1.41421356237309504880;
constexpr double kPoint[kPoints - 1] = {0.0, kA, -kA, kB, -kB};
constexpr double kDistances[kPoints - 1] = {1.0, -1.5, -1.5, 6.0, 6.0};
constexpr double kScale[kPoints - 1] = {1.0, 0.5, 0.5, 1.0, 1.0};

double g(std::size_t row, std::size_t tap, std::size_t taps) {
  if (row == kPoints - 1) return tap == taps - 1 ? (taps == 3 ? kB : 1.0) : 0.0;
  double power = 1.0;
  for (std::size_t i = 0; i < tap; ++i) power *= kPoint[row];
  return kScale[row] * power / kDistances[row];
}

}  // namespace

WinogradWeights::WinogradWeights(const KernelTable& kernels, std::size_t channels)
    : channels_(channels),
      row_step_(kernels.winograd_rows_inside ? kLanes : channels * kLanes),
      channel_step_(kernels.winograd_rows_inside ? kPoints * kLanes : kLanes) {}

void WinogradWeights::transform(const float* kernel, std::size_t taps, std::size_t run,
                                std::size_t channel, std::size_t lane, float* weights) const {
  float* to = weights + run * run_floats() + channel * channel_step_ + lane;
  for (std::size_t col = 0; col < kPoints; ++col) {
    for (std::size_t row = 0; row < kPoints; ++row) {
      double sum = 0.0;
      for (std::size_t y = 0; y < taps; ++y) {
        for (std::size_t x = 0; x < taps; ++x) {
          sum += g(row, y, taps) * g(col, x, taps) * static_cast<double>(kernel[y * taps + x]);
        }
      }
      to[col * kPoints * channels_ * kLanes + row * row_step_] = static_cast<float>(sum);
    }
  }
}

}  // namespace cn
