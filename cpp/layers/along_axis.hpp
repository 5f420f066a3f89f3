// Layers that look along one axis of a frame: sums and maxima over it, then each element by them.
#pragma once

#include <optional>
#include <vector>

#include "layers/layer.hpp"

namespace cn {

// A frame seen around one axis: element (o, a, i) is at (o * axis + a) * inner + i.
struct AroundAxis {
  std::size_t outer, axis, inner;
  std::size_t count() const { return outer * axis * inner; }
};

// exp(x - m) / sum exp(x - m) along the axis, m the maximum there; or the logarithm of it.
class Softmax : public Layer {
 public:
  Softmax(const AroundAxis& frame, bool logarithm) : frame_(frame), logarithm_(logarithm) {}
  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  bool checks_inputs() const override { return true; }
  std::string kernel(const Exec& exec) const override;

 private:
  // Rows of a few numbers, turned into columns: a vector's lanes belong to as many rows.
  // False when a number of x is not finite.
  bool short_rows(const KernelTable& kernels, const float* x, std::size_t rows, float* y) const;

  AroundAxis frame_;
  bool logarithm_;
};

// y = (x - c) * f * scale + shift along the axis, with m the mean and v the variance there:
//
//   layer      c = m   f = 1 / sqrt(v + epsilon)
//   variance   c = 0   f = 1 / sqrt(v + epsilon)
//   rms        c = 0   f = 1 / sqrt(mean(x^2) + epsilon)
//   unit       c = 0   f = 1 / sqrt(max(sum(x^2), epsilon))
//
// The variance is the mean of (x - m)^2, in a second pass over x.
class LayerNorm : public Layer {
 public:
  enum class Kind { layer, variance, rms, unit };
  // `scale` and `shift` have a number for each place on the axis, or none.
  LayerNorm(const AroundAxis& frame, Kind kind, double epsilon, std::vector<float> scale,
            std::vector<float> shift);
  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  std::size_t scratch_floats() const override;

 private:
  // Whether squares are of distances from the mean.
  bool about_mean() const { return kind_ == Kind::layer || kind_ == Kind::variance; }
  float center(double sum) const;  // from which they are
  float factor(double squares) const;
  void apply(const float* x, float center, float factor, std::size_t first, std::size_t count,
             float* y) const;
  void row(const float* x, float* y) const;
  void columns(const float* x, float* y, std::size_t count) const;
  void run_long_row(const Exec& exec, const float* x, float* y) const;

  AroundAxis frame_;
  Kind kind_;
  double epsilon_;
  std::vector<float> scale_, shift_;
};

}  // namespace cn
