// A direct convolution of flattened planes; kernel_table.hpp has the formula and the layout.
#pragma once

#include <cstddef>

#include "kernels/generic/inline.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// Adds a tap to the sums of F filters for P vectors of places. What there is less of waits in
// registers, the other goes by.
template <class V, std::size_t F, std::size_t P>
CN_INLINE void add_tap(const float* at, const float* weights, V (&sums)[F][P]) {
  if constexpr (P <= F) {
    V x[P];
    unroll<P>([&](auto p) CN_LAMBDA { x[p] = V::load_once(at + p * V::width); });
    unroll<F>([&](auto f) CN_LAMBDA {
      const V weight = V::broadcast(weights[f]);
      unroll<P>([&](auto p) CN_LAMBDA { sums[f][p] = V::fma(weight, x[p], sums[f][p]); });
    });
  } else {
    V weight[F];
    unroll<F>([&](auto f) CN_LAMBDA { weight[f] = V::broadcast(weights[f]); });
    unroll<P>([&](auto p) CN_LAMBDA {
      const V x = V::load(at + p * V::width);
      unroll<F>([&](auto f) CN_LAMBDA { sums[f][p] = V::fma(weight[f], x, sums[f][p]); });
    });
  }
}

// F * P accumulators that stay in registers over all taps. A tap costs P loads, F broadcasts and
// F * P multiply-adds.
template <class V, std::size_t F, std::size_t P>
CN_INLINE void conv_tile(const ConvBlock& block, std::size_t filter, std::size_t place) {
  V sums[F][P];
  float* out = block.out + filter * block.out_stride + place;
  if (block.bias != nullptr) {
    unroll<F>([&](auto f) CN_LAMBDA {
      unroll<P>([&](auto p) CN_LAMBDA { sums[f][p] = V::broadcast(block.bias[filter + f]); });
    });
  } else {
    unroll<F>([&](auto f) CN_LAMBDA {
      const float* from = out + f * block.out_stride;
      unroll<P>([&](auto p) CN_LAMBDA { sums[f][p] = V::load(from + p * V::width); });
    });
  }
  const float* x = block.x + place;
  const float* weights = block.weights + filter * block.taps;
  const std::ptrdiff_t* offsets = block.offsets;
  const std::ptrdiff_t* end = offsets + block.taps;
#pragma GCC unroll 1
  for (; offsets != end; ++offsets, weights += F) {
    __builtin_prefetch(weights + kPageOfFloats);
    add_tap(x + *offsets, weights, sums);
  }
  if (block.relu) {
    const V zero = V::broadcast(0.0F);
    unroll<F>([&](auto f) CN_LAMBDA {
      unroll<P>([&](auto p) CN_LAMBDA { sums[f][p] = V::max(zero, sums[f][p]); });
    });
  }
  unroll<F>([&](auto f) CN_LAMBDA {
    float* to = out + f * block.out_stride;
    unroll<P>([&](auto p) CN_LAMBDA { sums[f][p].store(to + p * V::width); });
  });
}

// Places outside, filters inside: what a tile reads of x stays in L1 while the weights pass. Tiles
// of P vectors, then smaller ones for the rest.
template <class V, std::size_t F, std::size_t P>
CN_INLINE void conv_tiles(const ConvBlock& block, std::size_t first, std::size_t end,
                          std::size_t place) {
  for (; place + P * V::width <= block.places; place += P * V::width) {
    for (std::size_t f = first; f < end; f += F) conv_tile<V, F, P>(block, f, place);
  }
  if constexpr (P > 1) conv_tiles<V, F, (P + 1) / 2>(block, first, end, place);
}

// Fewer filters go with as many more vectors as keep the accumulators busy.
template <class V, std::size_t F, std::size_t P>
void conv_filters(const ConvBlock& block, std::size_t first) {
  constexpr std::size_t kMostVectors = 8;
  const std::size_t end = first + (block.filters - first) / F * F;
  if (end != first) conv_tiles<V, F, P>(block, first, end, 0);
  if constexpr (F > 1) {
    if (end == block.filters) return;
    conv_filters < V, F / 2, 2 * P<kMostVectors ? 2 * P : kMostVectors>(block, end);
  }
}

template <class V, std::size_t F, std::size_t P>
void conv_block(const ConvBlock& block) {
  conv_filters<V, F, P>(block, 0);
}

// One row of copy_rows. The last vector overlaps the one before; a row shorter than four floats
// goes one by one, out of the compiler's sight, which would call memcpy for it.
template <class V>
CN_INLINE void copy_row(const float* from, std::size_t cols, float* to) {
  std::size_t i = 0;
  if (cols >= V::width) {
    for (; i + V::width <= cols; i += V::width) V::load_once(from + i).store(to + i);
    if (i != cols) V::load_once(from + cols - V::width).store(to + cols - V::width);
    return;
  }
  struct Four {
    float x[4];
  };
  const auto copy_four = [=](std::size_t at) CN_LAMBDA {
    Four four;
    __builtin_memcpy(&four, from + at, sizeof four);
    __builtin_memcpy(to + at, &four, sizeof four);
  };
  if (cols >= 8) copy_four(4);
  if (cols >= 12) copy_four(8);
  if (cols >= 4) {
    copy_four(0);
    copy_four(cols - 4);
    return;
  }
  const volatile float* one = from;
  for (; i < cols; ++i) to[i] = one[i];
}

template <class V>
void copy_rows(const float* from, std::size_t from_pitch, std::size_t rows, std::size_t cols,
               float* to, std::size_t to_pitch) {
  if (from_pitch == cols && to_pitch == cols) return copy_row<V>(from, rows * cols, to);
  for (std::size_t row = 0; row < rows; ++row) {
    copy_row<V>(from + row * from_pitch, cols, to + row * to_pitch);
  }
}

}  // namespace cn
