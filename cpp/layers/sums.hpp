// Sums in an order that depends on nothing but their length. The loops have no branches and fixed
// widths, so that the compiler makes vectors of them.
#pragma once

#include <algorithm>
#include <cstddef>

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

}  // namespace cn
