// The most multiply-adds a core can do: kernel_table.hpp says what for.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.hpp"

namespace cn {

// Ten chains: two a cycle with a latency of four or five cycles keep every unit busy.
template <class V>
double fma_burst(std::size_t rounds, float* sink) {
  constexpr std::size_t kChains = 10;
  const V a = V::broadcast(0.999F);
  const V b = V::broadcast(0.001F);
  V x[kChains];
  for (std::size_t k = 0; k < kChains; ++k) {
    x[k] = V::broadcast(1.0F + static_cast<float>(k) * 0.01F);
  }
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::size_t k = 0; k < kChains; ++k) x[k] = V::fma(x[k], a, b);
  }
  V sum = x[0];
  for (std::size_t k = 1; k < kChains; ++k) sum = sum + x[k];
  float lanes[V::width];
  sum.store(lanes);
  *sink = lanes[0];
  return 2.0 * static_cast<double>(rounds) * static_cast<double>(kChains * V::width);
}

}  // namespace cn
