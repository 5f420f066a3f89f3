// A map as several small ones, of every n-th row and column.
#pragma once

#include "layers/layer.hpp"

namespace cn {

// (channels, height, width) as (channels, rows * cols, height / rows, width / cols): map
// (row * cols + col) has the rows row + i * rows and the columns col + j * cols. A convolution with
// this dilation is one without any on each of them. `rows` and `cols` divide height and width.
struct MapPhases {
  std::size_t channels, height, width;
  std::size_t rows, cols;
  Shape apart() const { return {channels, rows * cols, height / rows, width / cols}; }
  Shape joined() const { return {channels, 1, height, width}; }
};

class SplitPhases : public Layer {
 public:
  explicit SplitPhases(const MapPhases& phases) : phases_(phases) {}
  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;

 private:
  MapPhases phases_;
};

// Back again.
class JoinPhases : public Layer {
 public:
  explicit JoinPhases(const MapPhases& phases) : phases_(phases) {}
  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;

 private:
  MapPhases phases_;
};

}  // namespace cn
