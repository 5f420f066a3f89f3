#include "layers/dense.hpp"

#include <Eigen/Core>
#include <algorithm>

#include "base/parallel.hpp"

namespace cn {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::Matrix<float, Eigen::Dynamic, 1>;

// Units handed to one product. Fixed, so that the split, and with it every rounding, is the
// same for any number of threads.
constexpr std::size_t kUnitsPerTask = 64;

Eigen::Index index(std::size_t i) { return static_cast<Eigen::Index>(i); }

}  // namespace

Dense::Dense(std::size_t rows, std::size_t inputs, std::size_t units, const float* kernel,
             const float* bias, const Activation& activation)
    : rows_(rows),
      inputs_(inputs),
      units_(units),
      weights_(checked_mul(inputs, units)),
      bias_(units),
      activation_(activation) {
  Eigen::Map<Matrix>(weights_.data(), index(units), index(inputs)) =
      Eigen::Map<const Matrix>(kernel, index(inputs), index(units)).transpose();
  std::copy_n(bias, units, bias_.data());
}

void Dense::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const std::size_t tasks_a_row = (units_ + kUnitsPerTask - 1) / kUnitsPerTask;
  const int threads = threads_for(exec, static_cast<double>(rows_ * inputs_ * units_));
  parallel_for(threads, rows_ * tasks_a_row, [&](std::size_t begin, std::size_t end) {
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t row = task / tasks_a_row;
      const std::size_t unit = task % tasks_a_row * kUnitsPerTask;
      const std::size_t count = std::min(kUnitsPerTask, units_ - unit);
      const Eigen::Map<const Matrix> weights(weights_.data() + unit * inputs_, index(count),
                                             index(inputs_));
      const Eigen::Map<const Vector> x(in[0] + row * inputs_, index(inputs_));
      float* y = out[0] + row * units_ + unit;
      Eigen::Map<Vector>(y, index(count)) =
          Eigen::Map<const Vector>(bias_.data() + unit, index(count));
      Eigen::Map<Vector>(y, index(count)).noalias() += weights * x;
      exec.kernels->activate(activation_, y, y, count);
    }
  });
}

}  // namespace cn
