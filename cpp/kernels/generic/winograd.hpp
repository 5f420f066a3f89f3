// One-dimensional Winograd transforms for F(4, 3): four outputs of a three-tap filter from six
// inputs by six products instead of twelve (Winograd 1980; Lavin and Gray 2016 for images).
//
// The interpolation points are 0, +-a, +-b and infinity with a = 1/sqrt(2), b = sqrt(2). They are
// closer to one in magnitude than the usual +-1, +-2, which keeps rounding near that of a direct
// convolution; and a * b = 1 saves multiplications.
#pragma once

#include <cstddef>

namespace cn {

inline constexpr std::size_t kTile = 4;    // outputs a tile, along one axis
inline constexpr std::size_t kPoints = 6;  // products a tile, along one axis
inline constexpr double kPointA = 0.70710678118654752440;
inline constexpr double kPointB = 1.41421356237309504880;

// v = B^T d. With a^2 = 1/2, b^2 = 2: six results from twelve operations.
template <class V>
inline void winograd_input(const V (&d)[kPoints], V (&v)[kPoints]) {
  const V a = V::broadcast(static_cast<float>(kPointA));
  const V b = V::broadcast(static_cast<float>(kPointB));
  const V minus_a = V::broadcast(static_cast<float>(-kPointA));
  const V minus_b = V::broadcast(static_cast<float>(-kPointB));
  const V minus_2 = V::broadcast(-2.0F);
  const V minus_half = V::broadcast(-0.5F);
  const V minus_5_halves = V::broadcast(-2.5F);
  const V even_a = V::fma(minus_2, d[2], d[4]);
  const V odd_a = V::fma(minus_2, d[1], d[3]);
  const V even_b = V::fma(minus_half, d[2], d[4]);
  const V odd_b = V::fma(minus_half, d[1], d[3]);
  v[0] = V::fma(minus_5_halves, d[2], d[0] + d[4]);
  v[1] = V::fma(a, odd_a, even_a);
  v[2] = V::fma(minus_a, odd_a, even_a);
  v[3] = V::fma(b, odd_b, even_b);
  v[4] = V::fma(minus_b, odd_b, even_b);
  v[5] = V::fma(minus_5_halves, d[3], d[1] + d[5]);
}

// o = A^T m: o[k] = sum over points p of p^k * m[p], infinity joining the last.
template <class V>
inline void winograd_output(const V (&m)[kPoints], V (&o)[kTile]) {
  const V a = V::broadcast(static_cast<float>(kPointA));
  const V b = V::broadcast(static_cast<float>(kPointB));
  const V half = V::broadcast(0.5F);
  const V two = V::broadcast(2.0F);
  const V sum_a = m[1] + m[2];
  const V sum_b = m[3] + m[4];
  const V odd_a = a * (m[1] - m[2]);
  const V odd_b = b * (m[3] - m[4]);
  o[0] = m[0] + sum_a + sum_b;
  o[1] = odd_a + odd_b;
  o[2] = V::fma(half, sum_a, two * sum_b);
  o[3] = V::fma(half, odd_a, V::fma(two, odd_b, m[5]));
}

}  // namespace cn
