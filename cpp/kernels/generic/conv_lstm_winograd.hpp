// The fused convolutional LSTM step by Winograd; kernel_table.hpp has the layout.
//
// For a block of P vectors of tiles: transform all channels of x and h (V), then for a few filters
// at a time the 36 products, column by column, each column followed by its vertical output
// transform, then the horizontal one, the gates and the pool. What lies between the stages stays in
// L1 or L2.
#pragma once

#include <cstddef>

#include "kernels/generic/cell.hpp"
#include "kernels/generic/norm_pool.hpp"
#include "kernels/generic/winograd.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

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
// patch in memory.
template <class V, std::size_t P, std::size_t Tile>
CN_INLINE void winograd_channel(const WinogradBlock& b, const float* planes, float* to,
                                std::size_t column_step) {
  using Axis = PatchAxis<Tile>;
  const auto pitch = static_cast<std::ptrdiff_t>(b.pitch);
  const auto plane = static_cast<std::ptrdiff_t>(b.plane);
  for (std::size_t p = 0; p < P; ++p) {
    const float* at = planes + p * V::width;
    const auto load = [&](std::size_t row, std::size_t col) CN_LAMBDA {
      return V::load(at + static_cast<std::ptrdiff_t>(Axis::phase(row) * Tile) * plane +
                     Axis::tile(row) * pitch +
                     static_cast<std::ptrdiff_t>(Axis::phase(col)) * plane + Axis::tile(col));
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
inline void winograd_transform_input(const WinogradBlock& b) {
  constexpr std::size_t kLanes = P * V::width;
  const std::size_t channels = b.x_channels + b.h_channels;
  const std::size_t planes = Tile * Tile * b.plane;
  for (std::size_t c = 0; c < channels; ++c) {
    const float* from = c < b.h_channels ? b.h + c * planes : b.x + (c - b.h_channels) * planes;
    winograd_channel<V, P, Tile>(b, from, b.v + c * kPoints * kLanes, channels * kPoints * kLanes);
  }
}

// Channels summed in registers before the sum joins the total. The output transform enlarges the
// rounding errors of these sums, so they are kept short; for the same reason h, whose terms are
// mostly smaller, comes before x. benchmarks/accuracy.py shows the error over 1000 steps.
inline constexpr std::size_t kChannelChunk = 32;

// Sums of products of the four gates of one filter, for P vectors of tiles.
template <class V, std::size_t P>
struct GateProducts {
  static constexpr std::size_t kLanes = P * V::width;
  V m[kGates][P];

  CN_INLINE static void load(const float* v, V (&x)[P]) {
    unroll<P>([&](auto p) CN_LAMBDA { x[p] = V::load_once(v + p * V::width); });
  }

  // m = U[gate] * V[vector], while the sums so far leave for `done` on the way: stores in between
  // cost little, a dozen in a row wait for each other. With `Add` they join what is there.
  template <bool Store, bool Add>
  CN_INLINE void start(const float* u, const float* v, float* done) {
    V x[P];
    load(v, x);
    unroll<kGates>([&](auto g) CN_LAMBDA {
      const V weight = V::broadcast(u[g]);
      unroll<P>([&](auto p) CN_LAMBDA {
        if constexpr (Store) leave<Add>(m[g][p], done + g * kLanes + p * V::width);
        m[g][p] = weight * x[p];
      });
    });
  }

  // m += U[c][gate] * V[c][vector] for `channels` more; those of V are `step` floats apart.
  CN_INLINE void add(const float* u, const float* v, std::size_t channels, std::size_t step) {
#pragma GCC unroll 1
    for (const float* end = u + channels * kGates; u != end; u += kGates, v += step) {
      V x[P];
      load(v, x);
      unroll<kGates>([&](auto g) CN_LAMBDA {
        const V weight = V::broadcast(u[g]);
        unroll<P>([&](auto p) CN_LAMBDA { m[g][p] = V::fma(weight, x[p], m[g][p]); });
      });
    }
  }

  template <bool Add>
  CN_INLINE void store(float* done) const {
    unroll<kGates>([&](auto g) CN_LAMBDA {
      unroll<P>([&](auto p) CN_LAMBDA { leave<Add>(m[g][p], done + g * kLanes + p * V::width); });
    });
  }

  template <bool Add>
  CN_INLINE static void leave(V sum, float* total) {
    if constexpr (Add) sum = V::load(total) + sum;
    sum.store(total);
  }
};

// One column of products of one filter: to[row][gate][vector] = sum over channels of
// U[row][channel][gate] * V[channel][row][vector]. `Chunked`: more than kChannelChunk channels.
// Not inlined: amid the other stages GCC may run out of registers and keep a sum in memory, for
// half the speed.
template <class V, std::size_t P, bool Chunked>
CN_NOINLINE void winograd_column(const float* u, const float* v, std::size_t channels, float* to) {
  constexpr std::size_t kLanes = P * V::width;
  constexpr std::size_t kSums = kGates * kLanes;
  constexpr std::size_t kStep = kPoints * kLanes;  // from one channel of V to the next
  const std::size_t chunks = Chunked ? (channels + kChannelChunk - 1) / kChannelChunk : 1;
  const std::size_t chunk = (channels + chunks - 1) / chunks;  // as even as can be
  GateProducts<V, P> sums;
  sums.template start<false, false>(u, v, nullptr);
  sums.add(u + kGates, v + kStep, chunk - 1, kStep);
#pragma GCC unroll 1
  for (std::size_t row = 0; row < kPoints; ++row) {
    if (row > 0) {
      const float* weights = u + row * channels * kGates;
      sums.template start<true, Chunked>(weights, v + row * kLanes, to + (row - 1) * kSums);
      sums.add(weights + kGates, v + row * kLanes + kStep, chunk - 1, kStep);
    }
    if constexpr (Chunked) {
#pragma GCC unroll 1
      for (std::size_t begin = chunk; begin < channels; begin += chunk) {
        const float* weights = u + (row * channels + begin) * kGates;
        const float* values = v + begin * kStep + row * kLanes;
        if (begin == chunk) {
          sums.template start<true, false>(weights, values, to + row * kSums);
        } else {
          sums.template start<true, true>(weights, values, to + row * kSums);
        }
        const std::size_t left = channels - begin;
        sums.add(weights + kGates, values + kStep, (left < chunk ? left : chunk) - 1, kStep);
      }
    }
  }
  sums.template store<Chunked>(to + (kPoints - 1) * kSums);
}

// Vertical output transform of one column: of six rows of products Tile rows of pixels remain.
// `products` is [row][gate][P vectors], `to` [gate][P vectors][row].
template <class V, std::size_t P, std::size_t Tile>
CN_INLINE void winograd_vertical(const float* products, float* to) {
  constexpr std::size_t kSums = kGates * P * V::width;
#pragma GCC unroll 1
  for (std::size_t i = 0; i < kSums; i += V::width) {
    V m[kPoints], o[Tile];
    unroll<kPoints>([&](auto row) CN_LAMBDA { m[row] = V::load(products + row * kSums + i); });
    winograd_output(m, o);
    unroll<Tile>([&](auto row) CN_LAMBDA { o[row].store(to + i * Tile + row * V::width); });
  }
}

// Horizontal output transform: from [column][gate][P vectors][row] to
// [gate][P vectors][row][column].
template <class V, std::size_t P, std::size_t Tile>
CN_INLINE void winograd_horizontal(const float* sums, const float* bias, float* z) {
  constexpr std::size_t kColumn = kGates * P * Tile * V::width;
#pragma GCC unroll 1
  for (std::size_t g = 0; g < kGates; ++g) {
    const V shift = V::broadcast(bias[g]);
#pragma GCC unroll 1
    for (std::size_t i = 0; i < P * Tile; ++i) {
      const std::size_t at = (g * P * Tile + i) * V::width;
      V m[kPoints], o[Tile];
      unroll<kPoints>([&](auto col) CN_LAMBDA { m[col] = V::load(sums + col * kColumn + at); });
      winograd_output(m, o);
      unroll<Tile>([&](auto col)
                       CN_LAMBDA { (o[col] + shift).store(z + at * Tile + col * V::width); });
    }
  }
}

// Gates and state of one filter. `z` is [gate][P vectors][row][column], `c` [pixel][P vectors].
template <class V, std::size_t P, std::size_t Tile, class Act, class Rec>
CN_INLINE void winograd_cells(const WinogradBlock& b, Act act, Rec rec, const float* z, float* c,
                              float* h) {
  constexpr std::size_t kLanes = P * V::width;
  constexpr std::size_t kPixels = Tile * Tile;
  const auto load = [&](std::size_t gate, std::size_t pixel, V(&to)[P]) CN_LAMBDA {
    const float* from = z + (gate * P * kPixels + pixel) * V::width;
    unroll<P>([&](auto p) CN_LAMBDA { to[p] = V::load(from + p * kPixels * V::width); });
  };
#pragma GCC unroll 1
  for (std::size_t pixel = 0; pixel < kPixels; ++pixel) {
    V x[P], y[P];
    load(2, pixel, y);
    act(y);
    load(0, pixel, x);
    rec(x);
    unroll<P>([&](auto p) CN_LAMBDA { y[p] = x[p] * y[p]; });
    load(1, pixel, x);
    rec(x);
    float* state = c + pixel * kLanes;
    unroll<P>([&](auto p) CN_LAMBDA {
      V::fma(x[p], V::load(state + p * V::width), y[p]).store(state + p * V::width);
    });
  }
#pragma GCC unroll 1
  for (std::size_t pixel = 0; pixel < kPixels; ++pixel) {
    V x[P], y[P];
    unroll<P>([&](auto p) CN_LAMBDA { y[p] = V::load(c + pixel * kLanes + p * V::width); });
    act(y);
    load(3, pixel, x);
    rec(x);
    unroll<P>([&](auto p) CN_LAMBDA { (x[p] * y[p]).store(h + pixel * b.plane + p * V::width); });
  }
  if (b.mask == nullptr) return;
  for (std::size_t pixel = 0; pixel < kPixels; ++pixel) {
    for (std::size_t place = 0; place < kLanes; place += V::width) {
      float* at = h + pixel * b.plane + place;
      V::keep(b.mask + pixel * b.mask_stride + place, V::load(at)).store(at);
    }
  }
}

// Largest of 2x2 pixels of the normalized h of one filter, which has just been written.
template <class V, std::size_t P>
CN_INLINE void winograd_pool(const WinogradBlock& b, std::size_t filter) {
  const float* h = b.h_out + filter * 16 * b.plane;
  float* to = b.pooled + filter * 4 * b.pooled_plane;
  const bool by_place = b.norm_step != 0;
  for (std::size_t place = 0; place < P * V::width; place += V::width) {
    for (std::size_t half = 0; half < 4; ++half) {
      const std::size_t corner = half / 2 * 8 + half % 2 * 2;  // pixel of the tile
      const auto value = [&](std::size_t pixel) CN_LAMBDA {
        const V x = V::load(h + pixel * b.plane + place);
        if (b.scale == nullptr) return x;
        const std::size_t at = pixel * b.norm_step + place;
        return by_place ? V::fma(V::load(b.scale + at), x, V::load(b.shift + at))
                        : V::fma(V::broadcast(b.scale[filter]), x, V::broadcast(b.shift[filter]));
      };
      const V upper = keep_max(value(corner), value(corner + 1));
      const V lower = keep_max(value(corner + 4), value(corner + 5));
      keep_max(upper, lower).store(to + half * b.pooled_plane + place);
    }
  }
}

// Asks for what comes next while the products keep the core busy: planes are too many streams for
// the hardware to follow. Each column of each filter takes its share.
template <std::size_t Lanes, std::size_t Tile>
class Prefetcher {
 public:
  explicit Prefetcher(const WinogradBlock& b)
      : b_(b),
        planes_((b.x_channels + b.h_channels) * kPixels),
        share_((planes_ + b.filters * kPoints - 1) / (b.filters * kPoints)) {}

  CN_INLINE void run(std::size_t filter, std::size_t col) {
    if (col >= kPoints / 2) {
      // The state and the h of this filter, to be written soon; earlier, and L1 would forget them.
      constexpr std::size_t kShare = kPixels * 2 / kPoints + 1;
      const std::size_t first = (col - kPoints / 2) * kShare;
      const std::size_t end = first + kShare < kPixels ? first + kShare : kPixels;
      for (std::size_t pixel = first; pixel < end; ++pixel) {
        two_lines(b_.h_out + (filter * kPixels + pixel) * b_.plane);
      }
      constexpr std::size_t kLine = 16;  // floats
      const float* c = b_.c + filter * kPixels * Lanes;
      for (std::size_t at = first * Lanes; at < end * Lanes; at += kLine) {
        __builtin_prefetch(c + at);
      }
    }
    // Planes of the next block, in the lowest row of tiles that it reads.
    const std::size_t end = next_ + share_ < planes_ ? next_ + share_ : planes_;
    for (; next_ < end; ++next_) {
      const std::size_t h_planes = b_.h_channels * kPixels;
      const float* plane =
          next_ < h_planes ? b_.h + next_ * b_.plane : b_.x + (next_ - h_planes) * b_.plane;
      const bool below = next_ % kPixels / Tile < PatchAxis<Tile>::kBefore;
      two_lines(plane + (below ? b_.pitch : 0) + Lanes);
    }
  }

 private:
  static constexpr std::size_t kPixels = Tile * Tile;
  CN_INLINE static void two_lines(const float* p) {
    __builtin_prefetch(p);
    __builtin_prefetch(p + Lanes);
  }

  const WinogradBlock& b_;
  std::size_t planes_, share_, next_ = 0;
};

// Filters that take turns at each column of V: it comes from L2, or L3 for many channels, once for
// all of them.
inline constexpr std::size_t kFiltersAtOnce = 8;

template <class V, std::size_t P, std::size_t Tile, class Act, class Rec>
void winograd_filters(const WinogradBlock& b, Act act, Rec rec) {
  constexpr std::size_t kLanes = P * V::width;
  constexpr std::size_t kSums = kGates * kLanes;
  alignas(64) float products[2][kPoints * kSums];
  alignas(64) float z[Tile * Tile * kSums];
  alignas(64) float sums[kFiltersAtOnce][Tile * kPoints * kSums];
  Prefetcher<kLanes, Tile> prefetcher(b);
  const std::size_t channels = b.x_channels + b.h_channels;
  const std::size_t column_weights = kPoints * channels * kGates;
  for (std::size_t first = 0; first < b.filters; first += kFiltersAtOnce) {
    const std::size_t left = b.filters - first;
    const std::size_t count = left < kFiltersAtOnce ? left : kFiltersAtOnce;
    // The output transform of a column waits until the products of the next one are under way.
    const auto transform = [&](std::size_t step) CN_LAMBDA {
      winograd_vertical<V, P, Tile>(products[step % 2],
                                    sums[step % count] + step / count * kSums * Tile);
    };
    const std::size_t steps = kPoints * count;
    for (std::size_t step = 0; step < steps; ++step) {
      const std::size_t col = step / count, filter = first + step % count;
      prefetcher.run(filter, col);
      const float* u = b.weights + (filter * kPoints + col) * column_weights;
      const float* v = b.v + col * kPoints * channels * kLanes;
      if (channels > kChannelChunk) {
        winograd_column<V, P, true>(u, v, channels, products[step % 2]);
      } else {
        winograd_column<V, P, false>(u, v, channels, products[step % 2]);
      }
      if (step > 0) transform(step - 1);
    }
    transform(steps - 1);
    for (std::size_t f = 0; f < count; ++f) {
      const std::size_t filter = first + f;
      winograd_horizontal<V, P, Tile>(sums[f], b.bias + filter * kGates, z);
      winograd_cells<V, P, Tile>(b, act, rec, z, b.c + filter * Tile * Tile * kLanes,
                                 b.h_out + filter * Tile * Tile * b.plane);
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
