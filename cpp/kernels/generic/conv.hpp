// A direct convolution of flattened planes; kernel_table.hpp has the formula and the layout.
#pragma once

#include <cstddef>

#include "kernels/generic/inline.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// Sums of F filters for P vectors of places: F * P accumulators that stay in registers over all
// taps. A tap costs P loads, F broadcasts and F * P multiply-adds.
template <class V, std::size_t F, std::size_t P>
CN_INLINE void conv_tile(const ConvBlock& block, std::size_t place) {
  V sums[F][P];
  unroll<F>([&](auto f) CN_LAMBDA {
    unroll<P>([&](auto p) CN_LAMBDA { sums[f][p] = V::broadcast(block.bias[f]); });
  });
  const float* x = block.x + place;
  const float* weights = block.weights;
  const std::ptrdiff_t* offsets = block.offsets;
  const std::ptrdiff_t* end = offsets + block.taps;
#pragma GCC unroll 1
  for (; offsets != end; ++offsets, weights += F) {
    const float* at = x + *offsets;
    if constexpr (F == 1) {  // no vector is used twice: none needs a register
      const V weight = V::broadcast(weights[0]);
      unroll<P>([&](auto p) CN_LAMBDA {
        sums[0][p] = V::fma(weight, V::load(at + p * V::width), sums[0][p]);
      });
    } else {
      V v[P];
      unroll<P>([&](auto p) CN_LAMBDA { v[p] = V::load_once(at + p * V::width); });
      unroll<F>([&](auto f) CN_LAMBDA {
        const V weight = V::broadcast(weights[f]);
        unroll<P>([&](auto p) CN_LAMBDA { sums[f][p] = V::fma(weight, v[p], sums[f][p]); });
      });
    }
  }
  unroll<F>([&](auto f) CN_LAMBDA {
    float* to = block.out + f * block.out_stride + place;
    unroll<P>([&](auto p) CN_LAMBDA { sums[f][p].store(to + p * V::width); });
  });
}

// Tiles of P vectors, then smaller ones for the rest.
template <class V, std::size_t F, std::size_t P>
CN_INLINE void conv_tiles(const ConvBlock& block, std::size_t place) {
  for (; place + P * V::width <= block.places; place += P * V::width) {
    conv_tile<V, F, P>(block, place);
  }
  if constexpr (P > 1) conv_tiles<V, F, (P + 1) / 2>(block, place);
}

// As many vectors for fewer filters as keep the accumulators busy.
template <class V, std::size_t F, std::size_t P>
void conv_block(const ConvBlock& block) {
  constexpr std::size_t kMost = 8;
  if (block.filters == F) return conv_tiles<V, F, P>(block, 0);
  if constexpr (F > 1) conv_block < V, F / 2, 2 * P<kMost ? 2 * P : kMost>(block);
}

}  // namespace cn
