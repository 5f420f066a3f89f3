// The products of the Winograd domain and the vertical half of the way out of it, a column of the
// six by six products of a filter at a time.
#pragma once

#include <cstddef>

#include "kernels/generic/cell.hpp"
#include "kernels/generic/winograd.hpp"

namespace cn {

// True where winograd_column_in_registers is the way; it takes one vector of tiles at a time.
template <class V>
inline constexpr bool kColumnInRegisters = V::broadcast_operands;

// Channels summed in registers before the sum joins the total. The output transform enlarges the
// rounding errors of these sums, so they are kept short; for the same reason h, whose terms are
// mostly smaller, comes before x. benchmarks/accuracy.py shows the error over 1000 steps.
inline constexpr std::size_t kChannelChunk = 24;

// Sums of products of the four gates of one filter, for P vectors of tiles.
template <class V, std::size_t P>
struct GateProducts {
  static constexpr std::size_t kLanes = P * V::width;
  static constexpr std::size_t kStep = kPoints * kLanes;  // of V, from one channel to the next
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

  // m += U[c][gate] * V[c][vector] for `channels` more.
  CN_INLINE void add(const float* u, const float* v, std::size_t channels) {
#pragma GCC unroll 1
    for (const float* end = u + channels * kGates; u != end; u += kGates, v += kStep) {
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

// Vertical output transform of the sums i <= gate * P + vector < i + count of one column: of six
// rows of products Tile rows of pixels remain. `products` is [row][gate][P vectors], `to`
// [gate][P vectors][row].
template <class V, std::size_t P, std::size_t Tile>
CN_INLINE void winograd_vertical(const float* products, std::size_t i, std::size_t count,
                                 float* to) {
  constexpr std::size_t kSums = kGates * P * V::width;
#pragma GCC unroll 1
  for (const std::size_t end = i + count; i < end; ++i) {
    const float* from = products + i * V::width;
    V m[kPoints], o[Tile];
    unroll<kPoints>([&](auto row) CN_LAMBDA { m[row] = V::load_once(from + row * kSums); });
    winograd_output(m, o);
    unroll<Tile>([&](auto row) CN_LAMBDA { o[row].store(to + (i * Tile + row) * V::width); });
  }
}

// One column of products of one filter: to[row][gate][vector] = sum over channels of
// U[row][channel][gate] * V[channel][row][vector]. Rows of U are `row_step` floats apart.
// `Chunked`: more than kChannelChunk channels. Each row is followed by a sixth of the vertical
// output transform of the column before, which costs little there: the core works on it while the
// multiply-adds that it has before it wait for each other. Not inlined: amid the other stages GCC
// may run out of registers and keep a sum in memory, for half the speed.
template <class V, std::size_t P, std::size_t Tile, bool Chunked>
CN_NOINLINE void winograd_column(const float* u, std::size_t row_step, const float* v,
                                 std::size_t channels, float* to, const float* before,
                                 float* before_to) {
  using Sums = GateProducts<V, P>;
  constexpr std::size_t kSums = kGates * Sums::kLanes;
  constexpr std::size_t kShare = (kGates * P + kPoints - 1) / kPoints;
  const std::size_t chunks = Chunked ? (channels + kChannelChunk - 1) / kChannelChunk : 1;
  const std::size_t chunk = (channels + chunks - 1) / chunks;  // as even as can be
  Sums sums;
#pragma GCC unroll 1
  for (std::size_t row = 0; row < kPoints; ++row) {
    sums.template start<false, false>(u, v, nullptr);
    sums.add(u + kGates, v + Sums::kStep, chunk - 1);
    if constexpr (Chunked) {
#pragma GCC unroll 1
      for (std::size_t begin = chunk; begin < channels; begin += chunk) {
        const float* weights = u + begin * kGates;
        const float* values = v + begin * Sums::kStep;
        if (begin == chunk) {
          sums.template start<true, false>(weights, values, to);
        } else {
          sums.template start<true, true>(weights, values, to);
        }
        const std::size_t left = channels - begin;
        sums.add(weights + kGates, values + Sums::kStep, (left < chunk ? left : chunk) - 1);
      }
    }
    sums.template store<Chunked>(to);
    const std::size_t first = row * kShare;
    if (before != nullptr && first < kGates * P) {
      const std::size_t left = kGates * P - first;
      winograd_vertical<V, P, Tile>(before, first, left < kShare ? left : kShare, before_to);
    }
    to += kSums;
    u += row_step;
    v += Sums::kLanes;
  }
}

// The sums of a column where registers hold all of them: 6 rows of 4 gates of one vector of tiles,
// 24 accumulators whose other factor is a broadcast in memory. They leave through the vertical
// output transform without a way through memory. `to` is [gate][row].
template <class V, std::size_t Tile, bool Far, bool Add>
CN_INLINE void winograd_column_part(const float* u, const float* v, std::size_t channels,
                                    float* to) {
  V m[kGates][kPoints];
  unroll<kPoints>([&](auto row) CN_LAMBDA {
    const V x = V::load_once(v + row * V::width);
    unroll<kGates>([&](auto g) CN_LAMBDA { m[g][row] = V::broadcast(u[row * kGates + g]) * x; });
  });
#pragma GCC unroll 1
  for (std::size_t c = 1; c < channels; ++c) {
    u += kPoints * kGates;
    v += kPoints * V::width;
    if constexpr (Far) {
      __builtin_prefetch(u + kPageOfFloats);
      __builtin_prefetch(u + kPageOfFloats + kPoints * kGates / 2);
    }
    unroll<kPoints>([&](auto row) CN_LAMBDA {
      const V x = V::load_once(v + row * V::width);
      unroll<kGates>([&](auto g) CN_LAMBDA {
        m[g][row] = V::fma(V::broadcast(u[row * kGates + g]), x, m[g][row]);
      });
    });
  }
  unroll<kGates>([&](auto g) CN_LAMBDA {
    V o[Tile];
    winograd_output(m[g], o);
    unroll<Tile>([&](auto row) CN_LAMBDA {
      float* sum = to + (g * Tile + row) * V::width;
      if constexpr (Add) o[row] = V::load(sum) + o[row];
      o[row].store(sum);
    });
  });
}

// One column of one filter: U is [channel][row][gate], V [channel][row][one vector].
template <class V, std::size_t Tile, bool Far>
CN_NOINLINE void winograd_column_in_registers(const float* u, const float* v, std::size_t channels,
                                              float* to) {
  const std::size_t chunks = (channels + kChannelChunk - 1) / kChannelChunk;
  const std::size_t chunk = (channels + chunks - 1) / chunks;  // as even as can be
  winograd_column_part<V, Tile, Far, false>(u, v, chunk, to);
  for (std::size_t begin = chunk; begin < channels; begin += chunk) {
    const std::size_t left = channels - begin;
    winograd_column_part<V, Tile, Far, true>(u + begin * kPoints * kGates,
                                             v + begin * kPoints * V::width,
                                             left < chunk ? left : chunk, to);
  }
}

// What is multiplied: weights of all channels, V of those that are not zero, which are the last.
struct WinogradFactors {
  const float* v;
  std::size_t channels;
  const float* weights;
  std::size_t weights_channels;
  bool far_weights;
};

// Filters that take turns at each column of V: it comes from L2, or L3 for many channels, once for
// all of them.
inline constexpr std::size_t kFiltersAtOnce = 4;

// Sums over the channels of `count` filters, through the vertical output transform:
// sums[filter] is [column][gate][P vectors][row].
template <class V, std::size_t P, std::size_t Tile, class Prefetch>
CN_INLINE void winograd_sums(const WinogradFactors& b, std::size_t first, std::size_t count,
                             Prefetch& prefetcher,
                             float (*sums)[Tile * kPoints * kGates * P * V::width]) {
  constexpr std::size_t kSums = kGates * P * V::width;
  const std::size_t all = b.weights_channels, channels = b.channels;
  const float* start =
      b.weights + (all - channels) * kGates * (kColumnInRegisters<V> ? kPoints : 1);
  const std::size_t steps = kPoints * count;
  const auto weights = [&](std::size_t step) CN_LAMBDA {
    return start + ((first + step % count) * kPoints + step / count) * kPoints * all * kGates;
  };
  const auto values = [&](std::size_t step) CN_LAMBDA {
    return b.v + step / count * kPoints * channels * P * V::width;
  };
  const auto column = [&](std::size_t step)
                          CN_LAMBDA { return sums[step % count] + step / count * kSums * Tile; };
  if constexpr (kColumnInRegisters<V>) {
    for (std::size_t step = 0; step < steps; ++step) {
      prefetcher.run(first + step % count, step / count);
      if (b.far_weights) {
        winograd_column_in_registers<V, Tile, true>(weights(step), values(step), channels,
                                                    column(step));
      } else {
        winograd_column_in_registers<V, Tile, false>(weights(step), values(step), channels,
                                                     column(step));
      }
    }
  } else {
    alignas(64) float products[2][kPoints * kSums];
    for (std::size_t step = 0; step < steps; ++step) {
      prefetcher.run(first + step % count, step / count);
      const float* before = step == 0 ? nullptr : products[(step - 1) % 2];
      float* before_to = step == 0 ? nullptr : column(step - 1);
      if (channels > kChannelChunk) {
        winograd_column<V, P, Tile, true>(weights(step), all * kGates, values(step), channels,
                                          products[step % 2], before, before_to);
      } else {
        winograd_column<V, P, Tile, false>(weights(step), all * kGates, values(step), channels,
                                           products[step % 2], before, before_to);
      }
    }
    winograd_vertical<V, P, Tile>(products[(steps - 1) % 2], 0, kGates * P, column(steps - 1));
  }
}

}  // namespace cn
