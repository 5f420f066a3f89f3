// A 3x3 convolution by Winograd; kernel_table.hpp has the layout. Four filters take the place of
// the four gates of a cell.
#pragma once

#include <cstddef>

#include "kernels/generic/winograd_products.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// V has just been made and the outputs are scratch: both are in a near cache already.
struct NoPrefetcher {
  CN_INLINE void run(std::size_t, std::size_t) {}
};

// Horizontal output transform and bias of four filters; `sums` is [column][filter][P vectors][row].
template <class V, std::size_t P>
CN_INLINE void winograd_maps(const WinogradConvBlock& b, const float* sums, std::size_t run) {
  constexpr std::size_t kTile = 4, kColumn = kGates * P * kTile * V::width;
  static constexpr WinogradScales<kTile> kScales{};
  for (std::size_t f = 0; f < kGates; ++f) {
    const V bias = V::broadcast(b.bias[run * kGates + f]);
    const V least = V::broadcast(0.0F);
    float* to = b.out + (run * kGates + f) * kTile * kTile * b.out_plane;
    for (std::size_t p = 0; p < P; ++p) {
#pragma GCC unroll 1
      for (std::size_t row = 0; row < kTile; ++row) {
        V m[kPoints], o[kTile];
        const float* from = sums + ((f * P + p) * kTile + row) * V::width;
        unroll<kPoints>([&](auto col) CN_LAMBDA { m[col] = V::load(from + col * kColumn); });
        winograd_output(m, o);
        unroll<kTile>([&](auto col) CN_LAMBDA {
          V y = V::fma(V::broadcast(kScales.of[row][col]), o[col], bias);
          if (b.relu) y = V::max(least, y);
          y.store(to + (row * kTile + col) * b.out_plane + p * V::width);
        });
      }
    }
  }
}

template <class V, std::size_t P>
void winograd_conv_block(const WinogradConvBlock& b) {
  constexpr std::size_t kTile = 4;
  alignas(64) float sums[kFiltersAtOnce][kTile * kPoints * kGates * P * V::width];
  const WinogradFactors factors{b.v, b.channels, b.weights, b.channels, b.far_weights};
  NoPrefetcher none;
  for (std::size_t first = 0; first < b.runs; first += kFiltersAtOnce) {
    const std::size_t left = b.runs - first;
    const std::size_t count = left < kFiltersAtOnce ? left : kFiltersAtOnce;
    winograd_sums<V, P, kTile>(factors, first, count, none, sums);
    for (std::size_t run = 0; run < count; ++run) winograd_maps<V, P>(b, sums[run], first + run);
  }
}

}  // namespace cn
