#include <cmath>

#include "base/error.hpp"
#include "base/parallel.hpp"
#include "layers/along_axis.hpp"
#include "layers/sums.hpp"

namespace cn {
namespace {

// Columns that are handled side by side, and rows of them whose sums are taken in float before they
// go on in double.
constexpr std::size_t kColumns = 128;
constexpr std::size_t kRows = 16;
// A row longer than this is shared by all threads, in parts of this length.
constexpr std::size_t kPart = 16384;

std::size_t parts(std::size_t count, std::size_t size) { return (count + size - 1) / size; }

// sums[i] = sum over a of term(a, i), for a block of columns.
template <class Term>
void sum_columns(std::size_t rows, std::size_t count, double* sums, Term term) {
  std::fill_n(sums, count, 0.0);
  for (std::size_t first = 0; first < rows; first += kRows) {
    float block[kColumns] = {};
    for (std::size_t a = first; a < std::min(first + kRows, rows); ++a) {
      for (std::size_t i = 0; i < count; ++i) block[i] += term(a, i);
    }
    for (std::size_t i = 0; i < count; ++i) sums[i] += static_cast<double>(block[i]);
  }
}

float square(float x) { return x * x; }

}  // namespace

LayerNorm::LayerNorm(const AroundAxis& frame, Kind kind, double epsilon, std::vector<float> scale,
                     std::vector<float> shift)
    : frame_(frame),
      kind_(kind),
      epsilon_(epsilon),
      scale_(std::move(scale)),
      shift_(std::move(shift)) {
  for (const std::vector<float>* array : {&scale_, &shift_}) {
    if (!array->empty() && array->size() != frame_.axis) {
      throw UnsupportedError("normalization: expected " + std::to_string(frame_.axis) +
                             " scales and shifts, found " + std::to_string(array->size()));
    }
  }
}

float LayerNorm::center(double sum) const {
  return about_mean() ? static_cast<float>(sum / static_cast<double>(frame_.axis)) : 0.0F;
}

float LayerNorm::factor(double squares) const {
  const double mean = squares / static_cast<double>(frame_.axis);
  const double root = kind_ == Kind::unit ? std::max(squares, epsilon_) : mean + epsilon_;
  return static_cast<float>(1.0 / std::sqrt(root));
}

// Places `first` on of the axis.
void LayerNorm::apply(const float* x, float center, float factor, std::size_t first,
                      std::size_t count, float* y) const {
  const float c = kind_ == Kind::layer ? center : 0.0F;
  const float* scale = scale_.empty() ? nullptr : scale_.data() + first;
  const float* shift = shift_.empty() ? nullptr : shift_.data() + first;
  if (scale != nullptr && shift != nullptr) {
    for (std::size_t i = 0; i < count; ++i) y[i] = (x[i] - c) * factor * scale[i] + shift[i];
  } else if (scale != nullptr) {
    for (std::size_t i = 0; i < count; ++i) y[i] = (x[i] - c) * factor * scale[i];
  } else if (shift != nullptr) {
    for (std::size_t i = 0; i < count; ++i) y[i] = (x[i] - c) * factor + shift[i];
  } else {
    for (std::size_t i = 0; i < count; ++i) y[i] = (x[i] - c) * factor;
  }
}

void LayerNorm::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  const std::size_t row_floats = frame_.axis * frame_.inner;
  if (frame_.inner == 1 && frame_.axis > kPart) {
    for (std::size_t o = 0; o < frame_.outer; ++o) {
      run_long_row(exec, in[0] + o * row_floats, out[0] + o * row_floats);
    }
    return;
  }
  const std::size_t parts_a_row = parts(frame_.inner, kColumns);
  const int threads = threads_for(exec, 3.0 * static_cast<double>(frame_.count()));
  parallel_for(threads, frame_.outer * parts_a_row, [&](std::size_t begin, std::size_t end) {
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t first = task % parts_a_row * kColumns;
      const std::size_t at = task / parts_a_row * row_floats + first;
      if (frame_.inner == 1) {
        row(in[0] + at, out[0] + at);
      } else {
        columns(in[0] + at, out[0] + at, std::min(kColumns, frame_.inner - first));
      }
    }
  });
}

void LayerNorm::row(const float* x, float* y) const {
  const double sum = about_mean() ? sum_of(frame_.axis, [&](std::size_t i) { return x[i]; }) : 0.0;
  const float c = center(sum);
  const double squares = sum_of(frame_.axis, [&](std::size_t i) { return square(x[i] - c); });
  apply(x, c, factor(squares), 0, frame_.axis, y);
}

void LayerNorm::columns(const float* x, float* y, std::size_t count) const {
  const std::size_t rows = frame_.axis, step = frame_.inner;
  double sums[kColumns] = {};
  float c[kColumns], f[kColumns];
  if (about_mean()) {
    sum_columns(rows, count, sums, [&](std::size_t a, std::size_t i) { return x[a * step + i]; });
  }
  for (std::size_t i = 0; i < count; ++i) c[i] = center(sums[i]);
  sum_columns(rows, count, sums,
              [&](std::size_t a, std::size_t i) { return square(x[a * step + i] - c[i]); });
  for (std::size_t i = 0; i < count; ++i) {
    f[i] = factor(sums[i]);
    if (kind_ != Kind::layer) c[i] = 0.0F;
  }
  for (std::size_t a = 0; a < rows; ++a) {
    const float scale = scale_.empty() ? 1.0F : scale_[a];
    const float shift = shift_.empty() ? 0.0F : shift_[a];
    for (std::size_t i = 0; i < count; ++i) {
      y[a * step + i] = (x[a * step + i] - c[i]) * f[i] * scale + shift;
    }
  }
}

std::size_t LayerNorm::scratch_floats() const {
  return frame_.inner == 1 && frame_.axis > kPart ? parts(frame_.axis, kPart) : 0;
}

// The parts of a sum are always the same ones, added in their order.
void LayerNorm::run_long_row(const Exec& exec, const float* x, float* y) const {
  const std::size_t count = parts(frame_.axis, kPart);
  const int threads = threads_for(exec, static_cast<double>(frame_.axis));
  float* sums = exec.scratch_of(0);
  const auto sum = [&](auto term) {
    parallel_for(threads, count, [&](std::size_t begin, std::size_t end) {
      for (std::size_t part = begin; part < end; ++part) {
        const std::size_t first = part * kPart, length = std::min(kPart, frame_.axis - first);
        sums[part] =
            static_cast<float>(sum_of(length, [&](std::size_t i) { return term(x[first + i]); }));
      }
    });
    double total = 0.0;
    for (std::size_t part = 0; part < count; ++part) total += static_cast<double>(sums[part]);
    return total;
  };
  const float c = center(about_mean() ? sum([](float number) { return number; }) : 0.0);
  const float f = factor(sum([&](float number) { return square(number - c); }));
  parallel_for(threads, count, [&](std::size_t begin, std::size_t end) {
    const std::size_t first = begin * kPart, last = std::min(end * kPart, frame_.axis);
    apply(x + first, c, f, first, last - first, y + first);
  });
}

}  // namespace cn
