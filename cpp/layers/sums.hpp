// Sums in an order that depends on nothing but their length. The loops have no branches and fixed
// widths, so that the compiler makes vectors of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace cn {

// Terms added in float before the sum goes on in double: lanes of at most 64 each, so that a sum of
// any length has the error of a short one.
inline constexpr std::size_t kSumLanes = 16;
inline constexpr std::size_t kSumBlock = 64 * kSumLanes;

// term(0) + ... + term(count - 1)
template <class Term>
double sum_of(std::size_t count, Term term) {
  double total = 0.0;
  for (std::size_t first = 0; first < count; first += kSumBlock) {
    const std::size_t last = std::min(first + kSumBlock, count);
    float lanes[kSumLanes] = {};
    std::size_t i = first;
    for (; i + kSumLanes <= last; i += kSumLanes) {
      for (std::size_t k = 0; k < kSumLanes; ++k) lanes[k] += term(i + k);
    }
    for (std::size_t k = 0; i < last; ++i, ++k) lanes[k] += term(i);
    double block = 0.0;
    for (const float lane : lanes) block += static_cast<double>(lane);
    total += block;
  }
  return total;
}

// The largest of x[0], ..., x[count - 1].
inline float largest_of(const float* x, std::size_t count) {
  float lanes[kSumLanes];
  std::fill_n(lanes, kSumLanes, x[0]);
  std::size_t i = 0;
  for (; i + kSumLanes <= count; i += kSumLanes) {
    for (std::size_t k = 0; k < kSumLanes; ++k)
      lanes[k] = x[i + k] > lanes[k] ? x[i + k] : lanes[k];
  }
  for (; i < count; ++i) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
  return *std::max_element(lanes, lanes + kSumLanes);
}

// exp(x) for x <= 0, within 2e-7 of it; below -87, where float32 ends, exp(-87). No branch, so that
// a loop of it becomes one of vectors.
inline float exp_of_negative(float x) {
  const float bounded = x > -87.0F ? x : -87.0F;
  // x = n log 2 + r, |r| <= log(2) / 2: the magic number leaves n in the last bits.
  constexpr float kMagic = 12582912.0F;  // 1.5 * 2^23
  const float magic = bounded * 1.44269504F + kMagic;
  const float n = magic - kMagic;
  // log 2 in two parts, the first short enough for an exact product.
  const float r = (bounded - n * 0.693359375F) + n * 2.12194440e-4F;
  // Taylor's polynomial; its first term left out is below 1e-8 of the result.
  float p = 1.0F / 5040.0F;
  p = p * r + 1.0F / 720.0F;
  p = p * r + 1.0F / 120.0F;
  p = p * r + 1.0F / 24.0F;
  p = p * r + 1.0F / 6.0F;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  std::int32_t bits;
  std::memcpy(&bits, &magic, sizeof bits);
  std::int32_t power =
      static_cast<std::int32_t>(static_cast<std::uint32_t>(bits) << 23) + 0x3f800000;
  float scale;
  std::memcpy(&scale, &power, sizeof scale);
  return p * scale;
}

}  // namespace cn
