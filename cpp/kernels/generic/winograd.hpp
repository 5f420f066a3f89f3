// One-dimensional Winograd transforms for F(4, 3): four outputs of a three-tap filter from six
// inputs by six products instead of twelve (Winograd 1980; Lavin and Gray 2016 for images).
//
// The interpolation points are 0, +-a, +-b and infinity with a = 1/sqrt(2), b = sqrt(2). They are
// closer to one in magnitude than the usual +-1, +-2, which keeps rounding near that of a direct
// convolution; and a * b = 1 saves multiplications.
#pragma once

#include <cstddef>

#include "kernels/generic/inline.hpp"

namespace cn {

inline constexpr std::size_t kPoints = 6;  // products of a tile, along one axis
inline constexpr std::size_t kProducts = kPoints * kPoints;
inline constexpr double kPointA = 0.70710678118654752440;
inline constexpr double kPointB = 1.41421356237309504880;

// v = B^T d. With a^2 = 1/2 and b^2 = 2 the last row is the first, one tap on.
template <class V>
CN_INLINE V winograd_input_0(V d0, V d2, V d4) {
  return V::fma(V::broadcast(-2.5F), d2, d0 + d4);
}
template <class V>
CN_INLINE void winograd_input_12(V d1, V d2, V d3, V d4, V& v1, V& v2) {
  const V minus_2 = V::broadcast(-2.0F);
  const V even = V::fma(minus_2, d2, d4);
  const V odd = V::fma(minus_2, d1, d3);
  const V part = V::broadcast(static_cast<float>(kPointA)) * odd;
  v1 = even + part;
  v2 = even - part;
}
template <class V>
CN_INLINE void winograd_input_34(V d1, V d2, V d3, V d4, V& v3, V& v4) {
  const V minus_half = V::broadcast(-0.5F);
  const V even = V::fma(minus_half, d2, d4);
  const V odd = V::fma(minus_half, d1, d3);
  const V part = V::broadcast(static_cast<float>(kPointB)) * odd;
  v3 = even + part;
  v4 = even - part;
}
template <class V>
CN_INLINE void winograd_input(const V (&d)[kPoints], V (&v)[kPoints]) {
  v[0] = winograd_input_0(d[0], d[2], d[4]);
  winograd_input_12(d[1], d[2], d[3], d[4], v[1], v[2]);
  winograd_input_34(d[1], d[2], d[3], d[4], v[3], v[4]);
  v[5] = winograd_input_0(d[1], d[3], d[5]);
}

// o = A^T m: o[k] = sum over points p of p^k * m[p], infinity joining the last. Weights are scaled
// so that little is left to multiply here (layers/winograd_weights.cpp): m[1] and m[2] by 1/2, m[5]
// by b; and o[1] and o[3] leave without their factors kOutputScale.
template <class V>
CN_INLINE void winograd_output(const V (&m)[kPoints], V (&o)[4]) {
  const V sum_a = m[1] + m[2];
  const V sum_b = m[3] + m[4];
  const V difference_a = m[1] - m[2];
  const V difference_b = m[3] - m[4];
  o[0] = V::fma(V::broadcast(2.0F), sum_a, m[0] + sum_b);
  o[1] = difference_a + difference_b;
  o[2] = V::fma(V::broadcast(2.0F), sum_b, sum_a);
  o[3] = V::fma(V::broadcast(4.0F), difference_b, difference_a + m[5]);
}
inline constexpr double kOutputScale[4] = {1.0, kPointB, 1.0, kPointA};

// The same for the two outputs of F(2, 5), which lack no factors.
template <class V>
CN_INLINE void winograd_output(const V (&m)[kPoints], V (&o)[2]) {
  const V b = V::broadcast(static_cast<float>(kPointB));
  o[0] = V::fma(V::broadcast(2.0F), m[1] + m[2], m[0] + (m[3] + m[4]));
  o[1] = V::fma(b, (m[1] - m[2]) + (m[3] - m[4]), m[5]);
}

// What pixel `col` of row `row` of a tile lacks after both directions.
template <std::size_t Tile>
constexpr float winograd_scale(std::size_t row, std::size_t col) {
  return Tile == 4 ? static_cast<float>(kOutputScale[row] * kOutputScale[col]) : 1.0F;
}
// To be a static of functions over a vector type: others would be shared between instruction sets.
template <std::size_t Tile>
struct WinogradScales {
  float of[Tile][Tile];
  constexpr WinogradScales() : of{} {
    for (std::size_t row = 0; row < Tile; ++row) {
      for (std::size_t col = 0; col < Tile; ++col) of[row][col] = winograd_scale<Tile>(row, col);
    }
  }
};
}  // namespace cn
