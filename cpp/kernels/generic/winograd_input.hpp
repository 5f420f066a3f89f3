// The way into the Winograd domain; kernel_table.hpp has the layout of the planes.
#pragma once

#include <cstddef>

#include "kernels/generic/winograd.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// Channels of h that are not zero, which come before those of x.
CN_INLINE std::size_t h_channels_of(const WinogradBlock& b) {
  return b.zero_state ? 0 : b.h_channels;
}

// Where the taps of a tile lie: pixel `at` of the patch, -1 being the last of the tile before.
template <std::size_t Tile>
struct PatchAxis {
  static constexpr std::size_t kBefore = (kPoints - Tile) / 2;  // pixels before the tile
  static constexpr std::size_t phase(std::size_t at) { return (at + Tile - kBefore) % Tile; }
  static constexpr std::ptrdiff_t tile(std::size_t at) {
    return static_cast<std::ptrdiff_t>((at + Tile - kBefore) / Tile) - 1;
  }
};

// B^T d B of one channel: to + column * column_step is [row][P vectors]. Column by column of the
// result: the taps are loaded again for each, which costs less than keeping a half transformed
// patch in memory. `Masked`: taps beyond the ends of a row of tiles are zero.
template <class V, std::size_t P, std::size_t Tile, bool Masked>
CN_INLINE void winograd_channel(const TileGrid& grid, const float* planes, float* to,
                                std::size_t column_step) {
  using Axis = PatchAxis<Tile>;
  const auto pitch = static_cast<std::ptrdiff_t>(grid.pitch);
  const auto plane = static_cast<std::ptrdiff_t>(grid.plane);
  for (std::size_t p = 0; p < P; ++p) {
    const float* at = planes + p * V::width;
    const auto load = [&](std::size_t row, std::size_t col) CN_LAMBDA {
      const V x = V::load(at + static_cast<std::ptrdiff_t>(Axis::phase(row) * Tile) * plane +
                          Axis::tile(row) * pitch +
                          static_cast<std::ptrdiff_t>(Axis::phase(col)) * plane + Axis::tile(col));
      if (!Masked || Axis::tile(col) == 0) return x;
      return V::keep((Axis::tile(col) < 0 ? grid.left : grid.right) + p * V::width, x);
    };
    const auto store = [&](std::size_t col, const V(&d)[kPoints]) CN_LAMBDA {
      V v[kPoints];
      winograd_input(d, v);
      float* column = to + col * column_step + p * V::width;
      unroll<kPoints>([&](auto row) CN_LAMBDA { v[row].store(column + row * P * V::width); });
    };
    V first[kPoints], second[kPoints];
    unroll<kPoints>([&](auto row) CN_LAMBDA {
      first[row] = winograd_input_0(load(row, 0), load(row, 2), load(row, 4));
    });
    store(0, first);
    unroll<kPoints>([&](auto row) CN_LAMBDA {
      winograd_input_12(load(row, 1), load(row, 2), load(row, 3), load(row, 4), first[row],
                        second[row]);
    });
    store(1, first);
    store(2, second);
    unroll<kPoints>([&](auto row) CN_LAMBDA {
      winograd_input_34(load(row, 1), load(row, 2), load(row, 3), load(row, 4), first[row],
                        second[row]);
    });
    store(3, first);
    store(4, second);
    unroll<kPoints>([&](auto row) CN_LAMBDA {
      first[row] = winograd_input_0(load(row, 1), load(row, 3), load(row, 5));
    });
    store(5, first);
  }
}

template <class V, std::size_t P, std::size_t Tile>
inline void winograd_patches(const WinogradPatches& b) {
  constexpr std::size_t kChannel = kPoints * P * V::width;
  for (std::size_t c = 0; c < b.channels; ++c) {
    const float* from = b.x + c * Tile * Tile * b.grid.plane;
    if (b.grid.left != nullptr) {
      winograd_channel<V, P, Tile, true>(b.grid, from, b.v + c * kChannel, b.v_channels * kChannel);
    } else {
      winograd_channel<V, P, Tile, false>(b.grid, from, b.v + c * kChannel,
                                          b.v_channels * kChannel);
    }
  }
}

template <class V, std::size_t P, std::size_t Tile>
inline void winograd_transform_input(const WinogradBlock& b) {
  const std::size_t of_h = h_channels_of(b), channels = b.x_channels + of_h;
  const WinogradPatches h{b.grid, b.h, b.v_has_h ? 0 : of_h, b.v, channels};
  const WinogradPatches x{b.grid, b.x, b.v_has_x ? 0 : b.x_channels,
                          b.v + of_h * kPoints * P * V::width, channels};
  winograd_patches<V, P, Tile>(h);
  winograd_patches<V, P, Tile>(x);
}

// Asks for what comes next while the products keep the core busy: planes are too many streams for
// the hardware to follow. Each column of each filter takes its share.
template <std::size_t Lanes, std::size_t Tile>
class Prefetcher {
 public:
  explicit Prefetcher(const WinogradBlock& b)
      : b_(b),
        h_planes_(h_channels_of(b) * kPixels),
        planes_(h_planes_ + b.x_channels * kPixels),
        share_((planes_ + b.filters * kPoints - 1) / (b.filters * kPoints)) {}

  CN_INLINE void run(std::size_t filter, std::size_t col) {
    if (col >= kPoints / 2) {
      // The state and the h of this filter, to be written soon; earlier, and L1 would forget them.
      constexpr std::size_t kShare = kPixels * 2 / kPoints + 1;
      const std::size_t first = (col - kPoints / 2) * kShare;
      const std::size_t end = first + kShare < kPixels ? first + kShare : kPixels;
      for (std::size_t pixel = first; pixel < end; ++pixel) {
        const float* h = b_.h_out + (filter * kPixels + pixel) * b_.grid.plane;
        for (std::size_t at = 0; at < Lanes; at += kLine) __builtin_prefetch(h + at);
        if (Lanes % kLine != 0) __builtin_prefetch(h + Lanes - 1);
      }
      const float* c = b_.c + filter * kPixels * Lanes;
      for (std::size_t at = first * Lanes; at < end * Lanes; at += kLine) {
        __builtin_prefetch(c + at);
      }
    }
    // Planes of the next block, in the lowest row of tiles that it reads.
    const std::size_t end = next_ + share_ < planes_ ? next_ + share_ : planes_;
    for (; next_ < end; ++next_) {
      const float* plane = next_ < h_planes_ ? b_.h + next_ * b_.grid.plane
                                             : b_.x + (next_ - h_planes_) * b_.grid.plane;
      const bool below = next_ % kPixels / Tile < PatchAxis<Tile>::kBefore;
      // Up to the first tile after it; this block has asked for the first one of it.
      const float* next = plane + (below ? b_.grid.pitch : 0) + Lanes;
      for (std::size_t at = kLine; at < Lanes; at += kLine) __builtin_prefetch(next + at);
      __builtin_prefetch(next + Lanes);
    }
  }

 private:
  static constexpr std::size_t kPixels = Tile * Tile;
  static constexpr std::size_t kLine = 16;  // floats

  const WinogradBlock& b_;
  std::size_t h_planes_, planes_, share_, next_ = 0;
};

}  // namespace cn
