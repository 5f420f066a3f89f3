// Activation functions over vectors.
#pragma once

#include <cstddef>

#include "kernels/activation.hpp"

namespace cn {

// tanh as x * P4(x^2) / Q4(x^2), fitted on |x| <= 9.02 for the least maximal absolute error
// (iteratively reweighted least squares, P(0) = Q(0) = 1): 2.1e-8 in exact arithmetic,
// below 2.5e-7 in float with fused multiply-adds, 4.5e-7 without. Beyond 9.02 tanh
// is 1 to within 3e-8. Near zero the relative error is that of the arithmetic alone.
template <class V>
inline V tanh(V x) {
  const V limit = V::broadcast(9.02F);
  const V one = V::broadcast(1.0F);
  const V minus_one = V::broadcast(-1.0F);
  x = V::min(limit, V::max(V::broadcast(-9.02F), x));
  const V u = x * x;
  V p = V::broadcast(1.3302489812271227e-08F);
  p = V::fma(p, u, V::broadcast(2.0570483428307047e-05F));
  p = V::fma(p, u, V::broadcast(3.493204268245698e-03F));
  p = V::fma(p, u, V::broadcast(1.3379009311326917e-01F));
  p = V::fma(p, u, one);
  V q = V::broadcast(7.754923713968235e-07F);
  q = V::fma(q, u, V::broadcast(3.281762085983723e-04F));
  q = V::fma(q, u, V::broadcast(2.5867880525141493e-02F));
  q = V::fma(q, u, V::broadcast(4.6712326425370826e-01F));
  q = V::fma(q, u, one);
  return V::min(one, V::max(minus_one, x * p / q));
}

// 1 / (1 + exp(-x)) = 0.5 + 0.5 tanh(x / 2): half the absolute error of tanh.
template <class V>
inline V sigmoid(V x) {
  const V half = V::broadcast(0.5F);
  return V::fma(half, tanh(half * x), half);
}

template <class V>
inline V hard_sigmoid(const Activation& f, V x) {
  const V line = V::fma(V::broadcast(f.p[0]), x, V::broadcast(f.p[1]));
  return V::min(V::broadcast(1.0F), V::max(V::broadcast(0.0F), line));
}

template <class V>
inline V leaky_relu(const Activation& f, V x) {
  // The bound keeps -inf times a slope of zero from becoming NaN; a real NaN passes.
  const V bounded = V::max(V::broadcast(-3.402823466e+38F), x);
  const V below = V::broadcast(f.p[0]) * (bounded - V::broadcast(f.p[2]));
  const V above = V::min(V::broadcast(f.p[1]), x);
  return V::where_ge(V::broadcast(f.p[2]), x, below, above);
}

template <class V>
inline V lane_by_lane(const Activation& f, V x) {
  float lanes[V::width];
  x.store(lanes);
  for (float& lane : lanes) lane = f.scalar(lane, f.p);
  return V::load(lanes);
}

// The switch costs one well-predicted jump a vector.
template <class V>
inline V apply(const Activation& f, V x) {
  using Kind = Activation::Kind;
  switch (f.kind) {
    case Kind::linear:
      return x;
    case Kind::relu:
      return V::max(V::broadcast(0.0F), x);
    case Kind::leaky_relu:
      return leaky_relu(f, x);
    case Kind::hard_sigmoid:
      return hard_sigmoid(f, x);
    case Kind::hard_silu:
      return x * hard_sigmoid(f, x);
    case Kind::sigmoid:
      return sigmoid(x);
    case Kind::tanh:
      return tanh(x);
    case Kind::silu:
      return x * sigmoid(x);
    case Kind::softsign:
      return x / (V::broadcast(1.0F) + V::abs(x));
    case Kind::scalar:
      return lane_by_lane(f, x);
  }
  return x;
}

template <class V>
void activate(const Activation& f, const float* x, float* out, std::size_t count) {
  std::size_t i = 0;
  for (; i + V::width <= count; i += V::width) apply(f, V::load(x + i)).store(out + i);
  if (i == count) return;
  // The tail goes through a padded copy, so that every element meets the same arithmetic.
  float tail[V::width] = {};
  for (std::size_t k = 0; i + k < count; ++k) tail[k] = x[i + k];
  apply(f, V::load(tail)).store(tail);
  for (std::size_t k = 0; i + k < count; ++k) out[i + k] = tail[k];
}

}  // namespace cn
