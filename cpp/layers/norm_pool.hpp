// Normalization along one axis and pooling over three, in one pass over a frame.
#pragma once

#include <optional>
#include <vector>

#include "layers/layer.hpp"

namespace cn {

struct Norm {
  std::size_t axis;  // of planes, rows, cols
  std::vector<float> scale, shift;
};

struct Pool {
  Size3 window{1, 1, 1};
  Size3 strides{1, 1, 1};
  bool same = false;  // Keras' padding='same'; 'valid' otherwise
  bool mean = false;  // of the places inside the frame; otherwise their maximum
};

// y = max, or mean, over the window of (x * scale + shift); either part may be missing. The layer
// of BatchNormalization and the poolings, and the pass in which a ConvLSTM writes its frame.
class NormPool : public Layer {
 public:
  NormPool(Size3 input, std::optional<Norm> norm, std::optional<Pool> pool);

  bool checks_inputs() const override;
  const Size3& output() const { return output_; }

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;

  // True when it changes nothing.
  bool plain() const;

  // Rows of input, inside the plane, that row `row` of each output plane looks at.
  struct Span {
    std::size_t begin, count;
  };
  Span rows_of(std::size_t row) const;
  // Computes one row of one plane, for layers that make their rows as they go; the window must
  // be one plane deep. `rows` is the first of rows_of(row), `stride` floats apart.
  void run_row(const KernelTable& kernels, std::size_t plane, std::size_t row, const float* rows,
               std::size_t stride, float* out) const;

  std::string kernel(const Exec& exec) const override;

 private:
  // Rows from number `row` on, up to `end`, whose windows are all cut alike.
  std::size_t alike(std::size_t row, std::size_t end) const;
  // `count` rows of the result; x is the first that they look at.
  bool run_rows(const KernelTable& kernels, const Span& planes, const Span& rows, std::size_t count,
                const float* x, std::size_t plane_stride, std::size_t row_stride, float* out) const;

  Size3 input_, output_;
  std::optional<Norm> norm_;
  Pool pool_;
  Size3 before_{0, 0, 0};           // padding in front of each axis
  std::vector<float> window_cols_;  // of the mean, as of NormPoolRows
};

// Output length and the padding in front, by Keras' rules for 'same' and 'valid'.
// `reach` is the extent of the window: (kernel - 1) * dilation + 1.
struct Window {
  std::size_t output;
  std::size_t before;
};
Window window(std::size_t length, std::size_t reach, std::size_t stride, bool same);

}  // namespace cn
