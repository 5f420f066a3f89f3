// Activation functions over vectors.
#pragma once

#include <cstddef>

#include "kernels/activation.hpp"
#include "kernels/generic/finite.hpp"

namespace cn {

// Functions of N vectors at a time, in place. A chain of dependent operations leaves most of a core
// idle; with each step written for all N before the next, N chains overlap.

// c[0] + c[1] u + ... + c[D] u^D by Horner's rule.
template <class V, std::size_t N, std::size_t Terms>
CN_INLINE void polynomial(const float (&c)[Terms], const V (&u)[N], V (&y)[N]) {
  const V highest = V::broadcast_once(c[Terms - 1]);
  unroll<N>([&](auto n) CN_LAMBDA { y[n] = highest; });
  for (std::size_t k = Terms - 1; k-- > 0;) {
    const V term = V::broadcast_once(c[k]);
    unroll<N>([&](auto n) CN_LAMBDA { y[n] = V::fma(y[n], u[n], term); });
  }
}

// tanh(s x) * s for s = 2^-Halvings, as x * P4(x^2) / Q4(x^2) fitted on |s x| <= 9.02 for the least
// maximal absolute error (iteratively reweighted least squares, P(0) = Q(0) = 1): of tanh 2.1e-8 in
// exact arithmetic, below 2.5e-7 in float with fused multiply-adds, 4.5e-7 without. Beyond 9.02
// tanh is 1 to within 3e-8. Near zero the relative error is that of the arithmetic alone. Powers of
// two scale the coefficients without rounding.
template <std::size_t Halvings, class V, std::size_t N>
CN_INLINE void scaled_tanh(V (&x)[N]) {
  constexpr float kScale = 1.0F / (1 << Halvings), kSquare = kScale * kScale;
  constexpr auto kScaled = [](float c, std::size_t power) {
    for (; power > 0; --power) c *= kSquare;
    return c;
  };
  constexpr float kP[] = {kScaled(1.0F, Halvings), kScaled(1.3379009311326917e-01F, 1 + Halvings),
                          kScaled(3.493204268245698e-03F, 2 + Halvings),
                          kScaled(2.0570483428307047e-05F, 3 + Halvings),
                          kScaled(1.3302489812271227e-08F, 4 + Halvings)};
  constexpr float kQ[] = {1.0F, kScaled(4.6712326425370826e-01F, 1),
                          kScaled(2.5867880525141493e-02F, 2), kScaled(3.281762085983723e-04F, 3),
                          kScaled(7.754923713968235e-07F, 4)};
  const V limit = V::broadcast_once(9.02F / kScale);
  const V minus_limit = V::broadcast_once(-9.02F / kScale);
  unroll<N>([&](auto n) CN_LAMBDA { x[n] = V::min(limit, V::max(minus_limit, x[n])); });
  V u[N], p[N], q[N];
  unroll<N>([&](auto n) CN_LAMBDA { u[n] = x[n] * x[n]; });
  polynomial(kP, u, p);
  unroll<N>([&](auto n) CN_LAMBDA { p[n] = x[n] * p[n]; });
  polynomial(kQ, u, q);
  unroll<N>([&](auto n) CN_LAMBDA { x[n] = p[n] / q[n]; });
  const V most = V::broadcast_once(kScale), least = V::broadcast_once(-kScale);
  unroll<N>([&](auto n) CN_LAMBDA { x[n] = V::min(most, V::max(least, x[n])); });
}

template <class V, std::size_t N>
CN_INLINE void tanh(V (&x)[N]) {
  scaled_tanh<0>(x);
}

// 1 / (1 + exp(-x)) = 0.5 + 0.5 tanh(x / 2): half the absolute error of tanh.
template <class V, std::size_t N>
CN_INLINE void sigmoid(V (&x)[N]) {
  scaled_tanh<1>(x);
  unroll<N>([&](auto n) CN_LAMBDA { x[n] = V::broadcast(0.5F) + x[n]; });
}

template <class V, std::size_t N>
CN_INLINE void hard_sigmoid(const Activation& f, V (&x)[N]) {
  const V slope = V::broadcast(f.p[0]);
  const V offset = V::broadcast(f.p[1]);
  const V zero = V::broadcast(0.0F);
  const V one = V::broadcast(1.0F);
  unroll<N>([&](auto n) CN_LAMBDA { x[n] = V::fma(slope, x[n], offset); });
  unroll<N>([&](auto n) CN_LAMBDA { x[n] = V::min(one, V::max(zero, x[n])); });
}

template <class V, std::size_t N>
CN_INLINE void relu(V (&x)[N]) {
  for (V& v : x) v = V::max(V::broadcast(0.0F), v);
}

template <class V, std::size_t N>
CN_INLINE void leaky_relu(const Activation& f, V (&x)[N]) {
  for (V& v : x) {
    // The bound keeps -inf times a slope of zero from becoming NaN; a real NaN passes.
    const V bounded = V::max(V::broadcast(-3.402823466e+38F), v);
    const V below = V::broadcast(f.p[0]) * (bounded - V::broadcast(f.p[2]));
    const V above = V::min(V::broadcast(f.p[1]), v);
    v = V::where_ge(V::broadcast(f.p[2]), v, below, above);
  }
}

template <class V, std::size_t N>
CN_INLINE void softsign(V (&x)[N]) {
  for (V& v : x) v = v / (V::broadcast(1.0F) + V::abs(v));
}

template <class V, std::size_t N>
CN_INLINE void lane_by_lane(const Activation& f, V (&x)[N]) {
  for (V& v : x) {
    float lanes[V::width];
    v.store(lanes);
    for (float& lane : lanes) lane = f.scalar(lane, f.p);
    v = V::load(lanes);
  }
}

// x[n] * gate(x[n]), for activations of that form.
template <class V, std::size_t N, class Gate>
CN_INLINE void times_gate(V (&x)[N], Gate gate) {
  V g[N];
  unroll<N>([&](auto n) CN_LAMBDA { g[n] = x[n]; });
  gate(g);
  unroll<N>([&](auto n) CN_LAMBDA { x[n] = x[n] * g[n]; });
}

// body(function), where function(x) is f of some vectors in place, whatever their number.
template <class Body>
CN_INLINE auto with_function(const Activation& f, Body body) {
  using Kind = Activation::Kind;
  switch (f.kind) {
    case Kind::relu:
      return body([](auto& x) CN_LAMBDA { relu(x); });
    case Kind::leaky_relu:
      return body([&f](auto& x) CN_LAMBDA { leaky_relu(f, x); });
    case Kind::hard_sigmoid:
      return body([&f](auto& x) CN_LAMBDA { hard_sigmoid(f, x); });
    case Kind::hard_silu:
      return body([&f](auto& x) CN_LAMBDA {
        times_gate(x, [&f](auto& g) CN_LAMBDA { hard_sigmoid(f, g); });
      });
    case Kind::sigmoid:
      return body([](auto& x) CN_LAMBDA { sigmoid(x); });
    case Kind::tanh:
      return body([](auto& x) CN_LAMBDA { tanh(x); });
    case Kind::silu:
      return body([](auto& x) CN_LAMBDA { times_gate(x, [](auto& g) CN_LAMBDA { sigmoid(g); }); });
    case Kind::softsign:
      return body([](auto& x) CN_LAMBDA { softsign(x); });
    case Kind::scalar:
      return body([&f](auto& x) CN_LAMBDA { lane_by_lane(f, x); });
    case Kind::linear:
      break;
  }
  return body([](auto&) CN_LAMBDA {});
}

// The switch costs one well-predicted jump for N vectors.
template <class V, std::size_t N>
CN_INLINE void apply(const Activation& f, V (&x)[N]) {
  with_function(f, [&x](auto function) CN_LAMBDA { function(x); });
}

template <class V, class Function>
CN_INLINE bool activate_by(Function function, const float* x, float* out, std::size_t count) {
  std::size_t i = 0;
  constexpr std::size_t kVectors = 4;
  FiniteCheck<V, kVectors> check;
  for (; i + kVectors * V::width <= count; i += kVectors * V::width) {
    V four[kVectors];
    unroll<kVectors>([&](auto k) CN_LAMBDA { four[k] = V::load_once(x + i + k * V::width); });
    unroll<kVectors>([&](auto k) CN_LAMBDA { check.template look<k>(four[k]); });
    function(four);
    unroll<kVectors>([&](auto k) CN_LAMBDA { four[k].store(out + i + k * V::width); });
  }
  // The tail goes through zeros behind its end, so that every element meets the same arithmetic.
  for (; i < count; i += V::width) {
    V v[1] = {load_until<V>(x + i, x + count)};
    check.template look<0>(v[0]);
    function(v);
    store_until(v[0], out + i, out + count);
  }
  return check.all_finite();
}

// A loop for each function: in one loop for all, beside a call for single numbers, vectors that
// have room in registers would go to memory in every turn.
template <class V>
bool activate(const Activation& f, const float* x, float* out, std::size_t count) {
  return with_function(
      f, [&](auto function) CN_LAMBDA { return activate_by<V>(function, x, out, count); });
}

}  // namespace cn
