#include <cmath>

#include "base/parallel.hpp"
#include "layers/along_axis.hpp"
#include "layers/sums.hpp"

namespace cn {
namespace {

// Columns that are handled side by side.
constexpr std::size_t kColumns = 128;
// A multiply-add's worth of an exponential.
constexpr double kCost = 10.0;

}  // namespace

void Softmax::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const std::size_t parts = (frame_.inner + kColumns - 1) / kColumns;
  const int threads = threads_for(exec, kCost * static_cast<double>(frame_.count()));
  parallel_for(threads, frame_.outer * parts, [&](std::size_t begin, std::size_t end) {
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t first = task % parts * kColumns;
      const std::size_t at = task / parts * frame_.axis * frame_.inner + first;
      if (frame_.inner == 1) {
        row(in[0] + at, out[0] + at);
      } else {
        columns(in[0] + at, out[0] + at, std::min(kColumns, frame_.inner - first));
      }
    }
  });
}

void Softmax::row(const float* x, float* y) const {
  const std::size_t count = frame_.axis;
  const float largest = largest_of(x, count);
  for (std::size_t i = 0; i < count; ++i) y[i] = exp_of_negative(x[i] - largest);
  const double sum = sum_of(count, [&](std::size_t i) { return y[i]; });
  if (logarithm_) {
    const auto log_sum = static_cast<float>(std::log(sum));
    for (std::size_t i = 0; i < count; ++i) y[i] = (x[i] - largest) - log_sum;
  } else {
    const auto factor = static_cast<float>(1.0 / sum);
    for (std::size_t i = 0; i < count; ++i) y[i] *= factor;
  }
}

void Softmax::columns(const float* x, float* y, std::size_t count) const {
  const std::size_t step = frame_.inner;
  float largest[kColumns], sum[kColumns] = {};
  for (std::size_t i = 0; i < count; ++i) largest[i] = x[i];
  for (std::size_t a = 1; a < frame_.axis; ++a) {
    for (std::size_t i = 0; i < count; ++i) {
      largest[i] = x[a * step + i] > largest[i] ? x[a * step + i] : largest[i];
    }
  }
  for (std::size_t a = 0; a < frame_.axis; ++a) {
    for (std::size_t i = 0; i < count; ++i) {
      y[a * step + i] = exp_of_negative(x[a * step + i] - largest[i]);
    }
    for (std::size_t i = 0; i < count; ++i) sum[i] += y[a * step + i];
  }
  for (std::size_t i = 0; i < count; ++i) sum[i] = logarithm_ ? std::log(sum[i]) : 1.0F / sum[i];
  for (std::size_t a = 0; a < frame_.axis; ++a) {
    const float* from = x + a * step;
    float* to = y + a * step;
    if (logarithm_) {
      for (std::size_t i = 0; i < count; ++i) to[i] = (from[i] - largest[i]) - sum[i];
    } else {
      for (std::size_t i = 0; i < count; ++i) to[i] *= sum[i];
    }
  }
}

}  // namespace cn
