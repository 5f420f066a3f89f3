// The fused convolutional LSTM step; kernel_table.hpp has the formula and the layout.
#pragma once

#include <cstddef>

#include "kernels/generic/cell.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// Gate sums of F filters for P vectors of pixels: F * 4 * P accumulators that stay in
// registers over all taps. A tap costs P loads, 4 * F broadcasts and 4 * F * P
// multiply-adds.
template <class V, std::size_t F, std::size_t P>
struct GateSums {
  V z[F][kGates][P];

  CN_INLINE void start(const float* bias) {
    unroll<F>([&](auto f) CN_LAMBDA {
      unroll<kGates>([&](auto g) CN_LAMBDA {
        unroll<P>([&](auto p) CN_LAMBDA { z[f][g][p] = V::broadcast(bias[f * kGates + g]); });
      });
    });
  }

  // `filter_stride` floats lie between the weights of one filter and those of the next.
  CN_INLINE void add(const float* source, const std::ptrdiff_t* offsets, std::size_t taps,
                     const float* weights, std::size_t filter_stride) {
#pragma GCC unroll 1
    for (std::size_t k = 0; k < taps; ++k) {
      const float* at = source + offsets[k];
      V x[P];
      unroll<P>([&](auto p) CN_LAMBDA { x[p] = V::load_once(at + p * V::width); });
      unroll<F>([&](auto f) CN_LAMBDA {
        unroll<kGates>([&](auto g) CN_LAMBDA {
          const V weight = V::broadcast(weights[f * filter_stride + k * kGates + g]);
          unroll<P>([&](auto p) CN_LAMBDA { z[f][g][p] = V::fma(weight, x[p], z[f][g][p]); });
        });
      });
    }
  }
};

template <class V, std::size_t F, std::size_t P, class Act, class Rec>
CN_INLINE void conv_lstm_tile(const ConvLstmBlock& block, Act act, Rec rec, std::size_t filter,
                              std::size_t pixel) {
  const std::size_t filter_stride = (block.x_taps + block.h_taps) * kGates;
  const float* weights = block.weights + filter * filter_stride;
  GateSums<V, F, P> sums;
  sums.start(block.bias + filter * kGates);
  sums.add(block.x + pixel, block.x_offsets, block.x_taps, weights, filter_stride);
  sums.add(block.h + pixel, block.h_offsets, block.h_taps, weights + block.x_taps * kGates,
           filter_stride);
  unroll<F>([&](auto f) CN_LAMBDA {
    float* c = block.c + (filter + f) * block.c_stride + pixel;
    float* h = block.h_out + (filter + f) * block.h_stride + pixel;
    V state[P], out[P];
    unroll<P>([&](auto p) CN_LAMBDA { state[p] = V::load(c + p * V::width); });
    update_cell(act, rec, sums.z[f], state, out);
    unroll<P>([&](auto p) CN_LAMBDA {
      const std::uint32_t* mask = block.mask + pixel + p * V::width;
      V::keep(mask, state[p]).store(c + p * V::width);
      V::keep(mask, out[p]).store(h + p * V::width);
    });
  });
}

// Filters outside, pixels inside: the weights of F filters stay in L1 while the block's
// pixels pass.
template <class V, std::size_t F, std::size_t P>
void conv_lstm_block(const ConvLstmBlock& block) {
  with_activations(block.activation, block.recurrent_activation, [&block](auto act, auto rec) {
    std::size_t filter = 0;
    for (; filter + F <= block.filters; filter += F) {
      for (std::size_t n = 0; n < block.pixels; n += P * V::width) {
        conv_lstm_tile<V, F, P>(block, act, rec, filter, n);
      }
    }
    for (; filter < block.filters; ++filter) {
      for (std::size_t n = 0; n < block.pixels; n += P * V::width) {
        conv_lstm_tile<V, 1, P>(block, act, rec, filter, n);
      }
    }
  });
}

}  // namespace cn
