// The fused convolutional LSTM step by Winograd; kernel_table.hpp has the layout.
//
// For a block of P vectors of tiles: transform all channels of x and h (V), then for a few filters
// at a time the 36 products, column by column, each with its vertical output transform, then the
// horizontal one, the gates and the pool. What lies between the stages stays in L1 or L2.
#pragma once

#include <cstddef>

#include "kernels/generic/cell.hpp"
#include "kernels/generic/norm_pool.hpp"
#include "kernels/generic/winograd_input.hpp"
#include "kernels/generic/winograd_products.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// Horizontal output transform, gates and state of one filter. `sums` is
// [column][gate][P vectors][row], `c` [pixel][P vectors]. Four pixels at a time: as many chains of
// dependent operations overlap, and what lies between stays in registers. First c' of all pixels,
// then h: a core looks some 300 instructions ahead, and with both activations in a row it would not
// see enough to do while it waits for one.
template <class V, std::size_t P, std::size_t Tile, class Act, class Rec>
CN_INLINE void winograd_cells(const WinogradBlock& b, Act act, Rec rec, const float* sums,
                              const float* bias, float* c, float* h) {
  constexpr std::size_t kLanes = P * V::width;
  constexpr std::size_t kColumn = kGates * P * Tile * V::width;
  constexpr std::size_t kRows = 4 / Tile;  // of pixels at a time
  static constexpr WinogradScales<Tile> kScales{};
  const auto gate = [&](std::size_t g, std::size_t p, std::size_t row, V(&z)[4]) CN_LAMBDA {
    const V shift = V::broadcast(bias[g]);
    unroll<kRows>([&](auto r) CN_LAMBDA {
      V m[kPoints], o[Tile];
      const float* from = sums + ((g * P + p) * Tile + row + r) * V::width;
      unroll<kPoints>([&](auto col) CN_LAMBDA { m[col] = V::load_once(from + col * kColumn); });
      winograd_output(m, o);
      const float (&scale)[Tile] = kScales.of[row + r];
      unroll<Tile>([&](auto col) CN_LAMBDA {
        V& to = z[r * Tile + col];
        to = Tile == 4 ? V::fma(V::broadcast(scale[col]), o[col], shift) : o[col] + shift;
      });
    });
  };
  const auto each = [&](auto body) CN_LAMBDA {
#pragma GCC unroll 1
    for (std::size_t p = 0; p < P; ++p) {
#pragma GCC unroll 1
      for (std::size_t row = 0; row < Tile; row += kRows) {
        body(p, row, c + row * Tile * kLanes + p * V::width);
      }
    }
  };
  each([&](std::size_t p, std::size_t row, float* state) CN_LAMBDA {
    V x[4], y[4];
    gate(2, p, row, y);
    act(y);
    gate(0, p, row, x);
    rec(x);
    unroll<4>([&](auto n) CN_LAMBDA { y[n] = x[n] * y[n]; });
    if (!b.zero_state) {
      gate(1, p, row, x);
      rec(x);
      unroll<4>([&](auto n) CN_LAMBDA { y[n] = V::fma(x[n], V::load(state + n * kLanes), y[n]); });
    }
    unroll<4>([&](auto n) CN_LAMBDA { y[n].store(state + n * kLanes); });
  });
  each([&](std::size_t p, std::size_t row, const float* state) CN_LAMBDA {
    V x[4], y[4];
    unroll<4>([&](auto n) CN_LAMBDA { y[n] = V::load(state + n * kLanes); });
    act(y);
    gate(3, p, row, x);
    rec(x);
    float* to = h + row * Tile * b.grid.plane + p * V::width;
    unroll<4>([&](auto n) CN_LAMBDA { (x[n] * y[n]).store(to + n * b.grid.plane); });
  });
  if (b.mask == nullptr) return;
  for (std::size_t pixel = 0; pixel < Tile * Tile; ++pixel) {
    for (std::size_t place = 0; place < kLanes; place += V::width) {
      float* at = h + pixel * b.grid.plane + place;
      V::keep(b.mask + pixel * b.mask_stride + place, V::load(at)).store(at);
    }
  }
}

// Largest of 2x2 pixels of the normalized h of one filter, which has just been written. `index`
// says which norm a pixel of the tile has.
template <class V, std::size_t P, bool Normed, class Which>
CN_INLINE void winograd_pool(const WinogradBlock& b, std::size_t filter, Which index) {
  const float* h = b.h_out + filter * 16 * b.grid.plane;
  float* to = b.pooled + filter * 4 * b.pooled_plane;
  const bool by_filter = b.norm == WinogradBlock::Norm::filter;
  const std::size_t first = by_filter ? filter : 0;
#pragma GCC unroll 1
  for (std::size_t place = 0; place < P * V::width; place += V::width) {
    V scale[4], shift[4];
    if constexpr (Normed) {
      unroll<4>([&](auto k) CN_LAMBDA {
        const std::size_t at = first + k * b.norm_step + place;
        scale[k] = by_filter ? V::broadcast(b.scale[first]) : V::load(b.scale + at);
        shift[k] = by_filter ? V::broadcast(b.shift[first]) : V::load(b.shift + at);
      });
    }
    unroll<4>([&](auto half) CN_LAMBDA {
      constexpr std::size_t kCorner = half / 2 * 8 + half % 2 * 2;  // pixel of the tile
      const auto value = [&](auto pixel) CN_LAMBDA {
        const V x = V::load(h + pixel * b.grid.plane + place);
        if constexpr (!Normed) return x;
        return V::fma(scale[index(pixel)], x, shift[index(pixel)]);
      };
      const V upper = keep_max(value(cn::Index<kCorner>{}), value(cn::Index<kCorner + 1>{}));
      const V lower = keep_max(value(cn::Index<kCorner + 4>{}), value(cn::Index<kCorner + 5>{}));
      keep_max(upper, lower).store(to + half * b.pooled_plane + place);
    });
  }
}

template <class V, std::size_t P>
CN_INLINE void winograd_pool(const WinogradBlock& b, std::size_t filter) {
  const auto row = [](auto pixel) CN_LAMBDA { return Index<pixel / 4>{}; };
  const auto col = [](auto pixel) CN_LAMBDA { return Index<pixel % 4>{}; };
  switch (b.norm) {
    case WinogradBlock::Norm::none:
      return winograd_pool<V, P, false>(b, filter, row);
    case WinogradBlock::Norm::row:
      return winograd_pool<V, P, true>(b, filter, row);
    case WinogradBlock::Norm::filter:
    case WinogradBlock::Norm::col:
      return winograd_pool<V, P, true>(b, filter, col);
  }
}

template <class V, std::size_t P, std::size_t Tile, class Act, class Rec>
void winograd_filters(const WinogradBlock& b, Act act, Rec rec) {
  constexpr std::size_t kLanes = P * V::width;
  alignas(64) float sums[kFiltersAtOnce][Tile * kPoints * kGates * kLanes];
  Prefetcher<kLanes, Tile> prefetcher(b);
  const WinogradFactors factors{b.v, b.x_channels + h_channels_of(b), b.weights,
                                b.x_channels + b.h_channels, b.far_weights};
  for (std::size_t first = 0; first < b.filters; first += kFiltersAtOnce) {
    const std::size_t left = b.filters - first;
    const std::size_t count = left < kFiltersAtOnce ? left : kFiltersAtOnce;
    winograd_sums<V, P, Tile>(factors, first, count, prefetcher, sums);
    for (std::size_t f = 0; f < count; ++f) {
      const std::size_t filter = first + f;
      winograd_cells<V, P, Tile>(b, act, rec, sums[f], b.bias + filter * kGates,
                                 b.c + filter * Tile * Tile * kLanes,
                                 b.h_out + filter * Tile * Tile * b.grid.plane);
      if constexpr (Tile == 4) {
        if (b.pooled != nullptr) winograd_pool<V, P>(b, filter);
      }
    }
  }
}

template <class V, std::size_t P, std::size_t Tile>
void conv_lstm_winograd_block(const WinogradBlock& b) {
  winograd_transform_input<V, P, Tile>(b);
  with_activations(b.activation, b.recurrent_activation,
                   [&b](auto act, auto rec) { winograd_filters<V, P, Tile>(b, act, rec); });
}

}  // namespace cn
