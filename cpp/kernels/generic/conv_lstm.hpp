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

  inline void start(const float* bias) {
    for (std::size_t f = 0; f < F; ++f) {
      for (std::size_t g = 0; g < kGates; ++g) {
        for (std::size_t p = 0; p < P; ++p) z[f][g][p] = V::broadcast(bias[f * kGates + g]);
      }
    }
  }

  // `filter_stride` floats lie between the weights of one filter and those of the next.
  inline void add(const float* source, const std::ptrdiff_t* offsets, std::size_t taps,
                  const float* weights, std::size_t filter_stride) {
    for (std::size_t k = 0; k < taps; ++k) {
      const float* at = source + offsets[k];
      V x[P];
      for (std::size_t p = 0; p < P; ++p) x[p] = V::load(at + p * V::width);
      for (std::size_t f = 0; f < F; ++f) {
        const float* w = weights + f * filter_stride + k * kGates;
        for (std::size_t g = 0; g < kGates; ++g) {
          const V weight = V::broadcast(w[g]);
          for (std::size_t p = 0; p < P; ++p) z[f][g][p] = V::fma(weight, x[p], z[f][g][p]);
        }
      }
    }
  }
};

template <class V, std::size_t F, std::size_t P, class Act, class Rec>
inline void conv_lstm_tile(const ConvLstmBlock& block, Act act, Rec rec, std::size_t filter,
                           std::size_t pixel) {
  const std::size_t filter_stride = (block.x_taps + block.h_taps) * kGates;
  const float* weights = block.weights + filter * filter_stride;
  GateSums<V, F, P> sums;
  sums.start(block.bias + filter * kGates);
  sums.add(block.x + pixel, block.x_offsets, block.x_taps, weights, filter_stride);
  sums.add(block.h + pixel, block.h_offsets, block.h_taps, weights + block.x_taps * kGates,
           filter_stride);
  for (std::size_t f = 0; f < F; ++f) {
    float* c = block.c + (filter + f) * block.c_stride + pixel;
    float* h = block.h_out + (filter + f) * block.h_stride + pixel;
    V state[P], out[P];
    for (std::size_t p = 0; p < P; ++p) state[p] = V::load(c + p * V::width);
    const auto load = [&](std::size_t gate, V(&to)[P]) {
      for (std::size_t p = 0; p < P; ++p) to[p] = sums.z[f][gate][p];
    };
    update_cell(act, rec, load, state, out);
    for (std::size_t p = 0; p < P; ++p) {
      const std::uint32_t* mask = block.mask + pixel + p * V::width;
      V::keep(mask, state[p]).store(c + p * V::width);
      V::keep(mask, out[p]).store(h + p * V::width);
    }
  }
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
