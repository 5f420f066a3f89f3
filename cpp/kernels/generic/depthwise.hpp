// Convolutions of each channel alone; kernel_table.hpp has the formula and the layout.
#pragma once

#include <cstddef>

#include "kernels/generic/conv.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

inline constexpr std::size_t kDepthwiseVectors = 4;  // chains of multiply-adds that overlap

// Four vectors of places of one channel from `place` on; `x` is its first place among zeros. The
// last vectors of a map have some places once more.
template <class V>
CN_INLINE void depthwise_tile(const DepthwiseBlock& b, const float* x, const float* weights,
                              float bias, std::size_t place, float* out) {
  std::size_t at[kDepthwiseVectors];
  V sums[kDepthwiseVectors];
  unroll<kDepthwiseVectors>([&](auto p) CN_LAMBDA {
    const std::size_t first = place + p * V::width, last = b.places - V::width;
    at[p] = first < last ? first : last;
    sums[p] = V::broadcast(bias);
  });
  const std::ptrdiff_t* offsets = b.offsets;
#pragma GCC unroll 1
  for (std::size_t col = 0; col < b.tap_cols; ++col) {
    const std::uint32_t* mask = b.masks[col];
#pragma GCC unroll 1
    for (std::size_t row = 0; row < b.tap_rows; ++row, ++offsets, ++weights) {
      const V weight = V::broadcast(*weights);
      unroll<kDepthwiseVectors>([&](auto p) CN_LAMBDA {
        V v = V::load(x + at[p] + *offsets);
        if (mask != nullptr) v = V::keep(mask + at[p], v);
        sums[p] = V::fma(weight, v, sums[p]);
      });
    }
  }
  unroll<kDepthwiseVectors>([&](auto p) CN_LAMBDA {
    if (b.relu) sums[p] = V::max(V::broadcast(0.0F), sums[p]);
    sums[p].store(out + at[p]);
  });
}

template <class V>
CN_INLINE void depthwise_channel(const DepthwiseBlock& b, const float* x, std::size_t channel) {
  const float* weights = b.weights + channel * b.tap_cols * b.tap_rows;
  for (std::size_t place = 0; place < b.places; place += kDepthwiseVectors * V::width) {
    depthwise_tile<V>(b, x, weights, b.bias[channel], place, b.out + channel * b.places);
  }
}

// A channel is put among zeros while the one before is computed: vectors that were just stored
// cannot be read at other places without waiting.
template <class V>
void depthwise_block(const DepthwiseBlock& b) {
  const std::size_t size = b.places + 2 * b.reach;
  for (std::size_t k = 0; k < 2; ++k) {
    float* zeros = b.padded + k * size;
    for (std::size_t i = 0; i < b.reach; ++i) {
      zeros[i] = 0.0F;
      zeros[b.reach + b.places + i] = 0.0F;
    }
  }
  for (std::size_t channel = 0; channel <= b.channels; ++channel) {
    if (channel < b.channels) {
      copy_row<V>(b.x + channel * b.places, b.places, b.padded + channel % 2 * size + b.reach);
    }
    if (channel == 0) continue;
    depthwise_channel<V>(b, b.padded + (channel - 1) % 2 * size + b.reach, channel - 1);
  }
}

}  // namespace cn
