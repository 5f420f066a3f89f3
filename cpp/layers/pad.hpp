// A frame with places put around it, or cut off.
#pragma once

#include "layers/layer.hpp"

namespace cn {

// y = x with before[i] places of `value` in front of axis i and after[i] behind it; negative
// numbers cut places off.
class Pad : public Layer {
 public:
  Pad(const Shape& input, const std::vector<std::ptrdiff_t>& before,
      const std::vector<std::ptrdiff_t>& after, float value);

  const Shape& output() const { return output_; }

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;

 private:
  // Axes that are left alone are part of the one before them.
  struct Axis {
    std::size_t input, output;
    std::ptrdiff_t before;
  };
  const float* row_of(const float* x, std::size_t row) const;

  Shape output_;
  std::vector<Axis> axes_;
  float value_;
};

}  // namespace cn
