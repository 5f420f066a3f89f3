// The fused convolutional LSTM step by Winograd's F(4x4, 3x3); kernel_table.hpp has the layout.
#pragma once

#include <cstddef>

#include "kernels/generic/cell.hpp"
#include "kernels/generic/winograd.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

inline constexpr std::size_t kProducts = kPoints * kPoints;

// V[k][channel][P vectors] = B^T d B of one channel, for every product k of the P vectors of tiles.
template <class V, std::size_t P>
inline void winograd_channel(const WinogradBlock& b, const float* planes, float* to,
                             std::size_t channel_step) {
  for (std::size_t p = 0; p < P; ++p) {
    V half[kPoints][kPoints];  // [column][row of B^T]
    for (std::size_t col = 0; col < kPoints; ++col) {
      // Column -1 is phase 3 of the tile before, column 4 phase 0 of the tile after; rows alike.
      const std::size_t phase_col = (col + kTile - 1) % kTile;
      const float* at = planes + phase_col * b.plane + p * V::width;
      at = col == 0 ? at - 1 : (col == kPoints - 1 ? at + 1 : at);
      const V d[kPoints] = {V::load(at + 3 * kTile * b.plane - b.pitch),
                            V::load(at),
                            V::load(at + kTile * b.plane),
                            V::load(at + 2 * kTile * b.plane),
                            V::load(at + 3 * kTile * b.plane),
                            V::load(at + b.pitch)};
      winograd_input(d, half[col]);
    }
    for (std::size_t row = 0; row < kPoints; ++row) {
      const V d[kPoints] = {half[0][row], half[1][row], half[2][row],
                            half[3][row], half[4][row], half[5][row]};
      V v[kPoints];
      winograd_input(d, v);
      for (std::size_t col = 0; col < kPoints; ++col) {
        v[col].store(to + (row * kPoints + col) * channel_step + p * V::width);
      }
    }
  }
}

template <class V, std::size_t P>
inline void winograd_transform_input(const WinogradBlock& b) {
  constexpr std::size_t kLanes = P * V::width;
  const std::size_t channels = b.x_channels + b.h_channels;
  const std::size_t plane_set = kTile * kTile * b.plane;
  for (std::size_t c = 0; c < channels; ++c) {
    const float* planes =
        c < b.x_channels ? b.x + c * plane_set : b.h + (c - b.x_channels) * plane_set;
    winograd_channel<V, P>(b, planes, b.v + c * kLanes, channels * kLanes);
  }
}

// Channels summed in registers before the sum joins the total. The output transform enlarges the
// rounding errors of these sums, so they are kept short. Worst error over 1000 recurrent steps of
// tanh cells, relative to the largest h: 2.5e-6 with chunks of 4, 3.2e-6 with 8, 0.9e-6 for a
// direct convolution (tests/test_accuracy.py).
inline constexpr std::size_t kChannelChunk = 4;

// One product of one filter: m[gate][vector] = sum over channels of U[c][gate] * V[c][vector].
template <class V, std::size_t P>
inline void winograd_product(const float* u, const float* v, std::size_t channels,
                             V (&m)[kGates][P]) {
  for (std::size_t g = 0; g < kGates; ++g) {
    for (std::size_t p = 0; p < P; ++p) m[g][p] = V::broadcast(0.0F);
  }
  for (std::size_t c = 0; c < channels; ++c) {
    V x[P];
    for (std::size_t p = 0; p < P; ++p) x[p] = V::load(v + (c * P + p) * V::width);
    for (std::size_t g = 0; g < kGates; ++g) {
      const V weight = V::broadcast(u[c * kGates + g]);
      for (std::size_t p = 0; p < P; ++p) m[g][p] = V::fma(weight, x[p], m[g][p]);
    }
  }
}

// The same over all channels, chunk by chunk, into memory: to[gate][vector].
template <class V, std::size_t P>
inline void winograd_product_in_chunks(const float* u, const float* v, std::size_t channels,
                                       float* to) {
  constexpr std::size_t kLanes = P * V::width;
  for (std::size_t c = 0; c < channels; c += kChannelChunk) {
    const std::size_t left = channels - c;
    V m[kGates][P];
    winograd_product<V, P>(u + c * kGates, v + c * kLanes,
                           left < kChannelChunk ? left : kChannelChunk, m);
    for (std::size_t g = 0; g < kGates; ++g) {
      for (std::size_t p = 0; p < P; ++p) {
        float* total = to + g * kLanes + p * V::width;
        (c == 0 ? m[g][p] : V::load(total) + m[g][p]).store(total);
      }
    }
  }
}

// Products of one column of the tile and their vertical output transform: of the six rows of
// products four rows of pixels remain. `to` is [row][gate][vector], rows `row_step` floats apart.
template <class V, std::size_t P>
inline void winograd_column(const float* u, const float* v, std::size_t channels, float* to,
                            std::size_t row_step) {
  constexpr std::size_t kLanes = P * V::width;
  float column[kPoints][kGates][kLanes];
  for (std::size_t row = 0; row < kPoints; ++row) {
    winograd_product_in_chunks<V, P>(u + row * kPoints * channels * kGates,
                                     v + row * kPoints * channels * kLanes, channels,
                                     column[row][0]);
  }
  for (std::size_t g = 0; g < kGates; ++g) {
    for (std::size_t p = 0; p < P; ++p) {
      V m[kPoints], o[kTile];
      for (std::size_t row = 0; row < kPoints; ++row) {
        m[row] = V::load(&column[row][g][p * V::width]);
      }
      winograd_output(m, o);
      for (std::size_t row = 0; row < kTile; ++row) {
        o[row].store(to + row * row_step + g * kLanes + p * V::width);
      }
    }
  }
}

// Horizontal output transform and gates of one filter. `sums` is [row][column][gate][vector].
template <class V, std::size_t P>
inline void winograd_gates(const WinogradBlock& b, const float* sums, const float* bias, float* c,
                           float* h) {
  constexpr std::size_t kLanes = P * V::width;
  for (std::size_t row = 0; row < kTile; ++row) {
    for (std::size_t p = 0; p < P; ++p) {
      V z[kGates][kTile];
      for (std::size_t g = 0; g < kGates; ++g) {
        V m[kPoints];
        for (std::size_t col = 0; col < kPoints; ++col) {
          m[col] = V::load(sums + ((row * kPoints + col) * kGates + g) * kLanes + p * V::width);
        }
        winograd_output(m, z[g]);
        const V shift = V::broadcast(bias[g]);
        for (std::size_t col = 0; col < kTile; ++col) z[g][col] = z[g][col] + shift;
      }
      V state[kTile];
      const std::size_t pixel = row * kTile;
      for (std::size_t col = 0; col < kTile; ++col) {
        state[col] = V::load(c + (pixel + col) * kLanes + p * V::width);
      }
      update_cell(b.activation, b.recurrent_activation, z, state);
      for (std::size_t col = 0; col < kTile; ++col) {
        const std::uint32_t* mask = b.mask + (pixel + col) * b.mask_stride + p * V::width;
        V::keep(mask, state[col]).store(c + (pixel + col) * kLanes + p * V::width);
        V::keep(mask, z[3][col]).store(h + (pixel + col) * b.plane + p * V::width);
      }
    }
  }
}

// A pair of filters shares each slab of V while it is in L1.
inline constexpr std::size_t kFiltersAtOnce = 2;

template <class V, std::size_t P>
void conv_lstm_winograd_block(const WinogradBlock& b) {
  constexpr std::size_t kLanes = P * V::width;
  constexpr std::size_t kColumn = kGates * kLanes;
  constexpr std::size_t kRow = kPoints * kColumn;
  alignas(64) float sums[kFiltersAtOnce][kTile * kRow];
  const std::size_t channels = b.x_channels + b.h_channels;
  const std::size_t filter_weights = kProducts * channels * kGates;
  winograd_transform_input<V, P>(b);
  for (std::size_t first = 0; first < b.filters; first += kFiltersAtOnce) {
    const std::size_t left = b.filters - first;
    const std::size_t count = left < kFiltersAtOnce ? left : kFiltersAtOnce;
    for (std::size_t col = 0; col < kPoints; ++col) {
      for (std::size_t f = 0; f < count; ++f) {
        const float* u = b.weights + (first + f) * filter_weights + col * channels * kGates;
        winograd_column<V, P>(u, b.v + col * channels * kLanes, channels, sums[f] + col * kColumn,
                              kRow);
      }
    }
    for (std::size_t f = 0; f < count; ++f) {
      const std::size_t filter = first + f;
      winograd_gates<V, P>(b, sums[f], b.bias + filter * kGates,
                           b.c + filter * kTile * kTile * kLanes,
                           b.h_out + filter * kTile * kTile * b.plane);
    }
  }
}

}  // namespace cn
