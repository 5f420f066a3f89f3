// What an activation function is to the kernels. No standard header here: files compiled for
// one instruction set include it.
#pragma once

namespace cn {

// A function of one float with up to three parameters.
//   linear        x
//   relu          max(0, x)
//   leaky_relu    x > p2 ? min(x, p1) : p0 * (x - p2)   (slope, max value, threshold)
//   hard_sigmoid  clip(p0 * x + p1, 0, 1)
//   hard_silu     x * hard_sigmoid(x)
//   sigmoid       1 / (1 + exp(-x))
//   tanh
//   silu          x * sigmoid(x)
//   softsign      x / (1 + |x|)
//   scalar        any other: scalar(x, p), called lane by lane
struct Activation {
  enum class Kind {
    linear,
    relu,
    leaky_relu,
    hard_sigmoid,
    hard_silu,
    sigmoid,
    tanh,
    silu,
    softsign,
    scalar
  };
  Kind kind = Kind::linear;
  float p[3] = {0.0F, 0.0F, 0.0F};
  float (*scalar)(float x, const float* p) = nullptr;
};

}  // namespace cn
