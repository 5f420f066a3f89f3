// A map of another size, by weighted sums along its rows and columns.
#pragma once

#include "layers/layer.hpp"

namespace cn {

// How an axis becomes one of another length:
//   y[j] = sum over k < taps of weights[j * taps + k] * x[indices[j * taps + k]]
// With one tap the weights are empty and stand for 1. Without indices the axis stays as it is.
struct Interpolation {
  std::size_t taps = 1;
  std::vector<std::size_t> indices = {};
  std::vector<float> weights = {};

  bool none() const { return indices.empty(); }
  std::size_t output(std::size_t length) const { return none() ? length : indices.size() / taps; }
};

// The axes `rows` and `cols` of a frame (outer, rows, cols, inner), each by its own table.
class Resize : public Layer {
 public:
  struct Planes {
    std::size_t outer, rows, cols, inner;
  };
  Resize(const Planes& input, Interpolation rows, Interpolation cols);

  const Planes& output() const { return output_; }

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  std::size_t scratch_floats() const override;

 private:
  const float* join_rows(const float* plane, std::size_t row, float* to) const;
  void join_cols(const float* row, float* to) const;

  Planes input_, output_;
  Interpolation rows_, cols_;
  std::size_t repeats_ = 0;  // of each column in a row, where that is all
};

}  // namespace cn
