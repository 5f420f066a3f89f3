// Matrix products with the vector lanes along the sum; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/generic/inline.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// totals[i] = the sum over the lanes of the i-th of `Count` vectors, which `sum(i)` gives, in an
// order that does not depend on Count.
template <class V, std::size_t Count, class Sum>
CN_INLINE void sums_of_lanes(const Sum& sum, float (&totals)[Count]) {
  if constexpr (V::width < 4) {
    static_assert(V::width == 1);
    unroll<Count>([&](auto i) CN_LAMBDA { sum(i).store(totals + i); });
  } else {
    // Four vectors become one whose lanes belong to them in turns; as many of these as it has such
    // turns, again in turns, become one with a lane for each.
    constexpr std::size_t kTurns = V::width / 4, kAtOnce = V::width;
    unroll<(Count + kAtOnce - 1) / kAtOnce>([&](auto block) CN_LAMBDA {
      V four[kTurns];
      unroll<kTurns>([&](auto t) CN_LAMBDA {
        constexpr std::size_t kFirst = block * kAtOnce + t * 4;
        four[t] = V::broadcast(0.0F);
        if constexpr (kFirst < Count) {
          V x[4];
          unroll<4>([&](auto k) CN_LAMBDA {
            if constexpr (kFirst + k < Count) {
              x[k] = sum(Index<kFirst + k>{});
            } else {
              x[k] = V::broadcast(0.0F);
            }
          });
          V::interleave(x);
          four[t] = (x[0] + x[1]) + (x[2] + x[3]);
        }
      });
      float lanes[V::width];
      if constexpr (kTurns == 4) {
        V::interleave(four);
        four[0] = (four[0] + four[1]) + (four[2] + four[3]);
      } else if constexpr (kTurns == 2) {
        V::interleave(four);
        four[0] = four[0] + four[1];
      }
      four[0].store(lanes);
      unroll<kAtOnce>([&](auto i) CN_LAMBDA {
        constexpr std::size_t kSum = block * kAtOnce + i;
        if constexpr (kSum < Count) totals[kSum] = lanes[i % 4 * kTurns + i / 4];
      });
    });
  }
}

// Terms of a sum that are added before the next units take their turn: x of a few rows stays in L1.
inline constexpr std::size_t kDenseTerms = 512;
// Rows that take turns at the same weights.
inline constexpr std::size_t kDenseRowGroup = 8;

// The part of a sum that a pass over a tile adds: terms `begin` to `end`, a multiple of the vector
// on unless they are the last of all. Vectors of sums wait in `sums` between the parts.
struct DenseTerms {
  std::size_t begin, end;
  bool first, last;
};

// Products of `Units` rows of weights and `Rows` rows of x, each a vector of partial sums: how the
// terms of a sum are gathered is the same for any Units and Rows. `Ahead`: the weights are new.
template <class V, std::size_t Units, std::size_t Rows, bool Ahead>
CN_INLINE void dense_tile(const DenseBlock& b, std::size_t unit, std::size_t row,
                          const DenseTerms& terms, float* sums) {
  const float* weights = b.weights + unit * b.weights_stride;
  const float* x = b.x + row * b.x_stride;
  V sum[Units][Rows];
  unroll<Units>([&](auto u) CN_LAMBDA {
    unroll<Rows>([&](auto r) CN_LAMBDA {
      sum[u][r] = terms.first ? V::broadcast(0.0F) : V::load(sums + (u * Rows + r) * V::width);
    });
  });
  const auto add = [&](const float* w, std::size_t w_step, const float* from,
                       std::size_t step) CN_LAMBDA {
    V value[Rows];
    unroll<Rows>([&](auto r) CN_LAMBDA { value[r] = V::load_once(from + r * step); });
    unroll<Units>([&](auto u) CN_LAMBDA {
      const V weight = V::load_once(w + u * w_step);
      unroll<Rows>([&](auto r) CN_LAMBDA { sum[u][r] = V::fma(weight, value[r], sum[u][r]); });
    });
  };
  // The same terms of the next units, or of these in a later part.
  const std::size_t ahead = terms.first && terms.last ? Units * b.weights_stride : kPageOfFloats;
  std::size_t k = terms.begin;
#pragma GCC unroll 1
  for (; k + V::width <= terms.end; k += V::width) {
    if constexpr (Ahead) {
      unroll<Units>([&](auto u) CN_LAMBDA {
        __builtin_prefetch(weights + u * b.weights_stride + k + ahead, 0, 2);
      });
    }
    add(weights + k, b.weights_stride, x + k, b.x_stride);
  }
  if (!terms.last) {
    unroll<Units>([&](auto u) CN_LAMBDA {
      unroll<Rows>([&](auto r) CN_LAMBDA { sum[u][r].store(sums + (u * Rows + r) * V::width); });
    });
    return;
  }
  if (k < terms.end) {
    // The last terms among zeros, so that no sum goes another way.
    float last_weights[Units * V::width] = {}, last_x[Rows * V::width] = {};
    for (std::size_t i = 0; i < terms.end - k; ++i) {
      for (std::size_t u = 0; u < Units; ++u) {
        last_weights[u * V::width + i] = weights[u * b.weights_stride + k + i];
      }
      for (std::size_t r = 0; r < Rows; ++r) last_x[r * V::width + i] = x[r * b.x_stride + k + i];
    }
    add(last_weights, V::width, last_x, V::width);
  }
  float totals[Units * Rows];
  sums_of_lanes<V>([&](auto i) CN_LAMBDA { return sum[i / Rows][i % Rows]; }, totals);
  unroll<Rows>([&](auto r) CN_LAMBDA {
    float* y = b.y + (row + r) * b.y_stride + unit;
    unroll<Units>([&](auto u) CN_LAMBDA {
      const float value = totals[u * Rows + r] + b.bias[unit + u];
      y[u] = b.relu && value < 0.0F ? 0.0F : value;
    });
  });
}

// Units and rows of a tile, as many as registers hold the sums of. Not more rows: they may be a
// power of two apart, and L1 has eight ways.
template <class V>
inline constexpr std::size_t kDenseUnits = V::broadcast_operands ? 4 : 2;
inline constexpr std::size_t kDenseRows = 4;
template <class V, std::size_t Units>
CN_INLINE void dense_rows(const DenseBlock& b, std::size_t unit, std::size_t first, std::size_t end,
                          const DenseTerms& terms, float* sums) {
  constexpr std::size_t kTile = Units * V::width;  // of one row
  std::size_t row = first;
  if (end - row >= kDenseRows) {
    dense_tile<V, Units, kDenseRows, true>(b, unit, row, terms, sums);
    row += kDenseRows;
  }
#pragma GCC unroll 1
  for (; row + kDenseRows <= end; row += kDenseRows) {
    dense_tile<V, Units, kDenseRows, false>(b, unit, row, terms, sums + (row - first) * kTile);
  }
#pragma GCC unroll 1
  for (; row < end; ++row) {
    dense_tile<V, Units, 1, false>(b, unit, row, terms, sums + (row - first) * kTile);
  }
}

template <class V>
CN_INLINE void dense_terms(const DenseBlock& b, std::size_t first, std::size_t end,
                           const DenseTerms& terms, float* sums) {
  const std::size_t step = (end - first) * V::width;  // of the sums, from a unit to the next
  std::size_t unit = 0;
#pragma GCC unroll 1
  for (; unit + kDenseUnits<V> <= b.units; unit += kDenseUnits<V>) {
    dense_rows<V, kDenseUnits<V>>(b, unit, first, end, terms, sums + unit * step);
  }
#pragma GCC unroll 1
  for (; unit < b.units; ++unit) {
    dense_rows<V, 1>(b, unit, first, end, terms, sums + unit * step);
  }
}

template <class V>
void dense_block(const DenseBlock& b) {
  if (b.rows == 1) {  // x is read once for as many units as can be: eight
    const DenseTerms all{0, b.inputs, true, true};
    std::size_t unit = 0;
#pragma GCC unroll 1
    for (; unit + 8 <= b.units; unit += 8) {
      dense_tile<V, 8, 1, true>(b, unit, 0, all, nullptr);
    }
#pragma GCC unroll 1
    for (; unit < b.units; ++unit) dense_tile<V, 1, 1, true>(b, unit, 0, all, nullptr);
    return;
  }
  alignas(64) float sums[kMostDenseUnits * kDenseRowGroup * V::width];
  for (std::size_t row = 0; row < b.rows; row += kDenseRowGroup) {
    const std::size_t end = b.rows - row < kDenseRowGroup ? b.rows : row + kDenseRowGroup;
    for (std::size_t k = 0; k == 0 || k < b.inputs; k += kDenseTerms) {
      const bool last = k + kDenseTerms >= b.inputs;
      dense_terms<V>(b, row, end, {k, last ? b.inputs : k + kDenseTerms, k == 0, last}, sums);
    }
  }
}

}  // namespace cn
