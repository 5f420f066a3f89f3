// Matrix products with the vector lanes along the sum; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/generic/inline.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// Products of `Units` rows of weights and `Rows` rows of x, each a vector of partial sums: how the
// terms of a sum are gathered is the same for any Units and Rows.
template <class V, std::size_t Units, std::size_t Rows>
CN_INLINE void dense_tile(const DenseBlock& b, std::size_t unit, std::size_t row) {
  const float* weights = b.weights + unit * b.inputs;
  const float* x = b.x + row * b.x_stride;
  V sum[Units][Rows];
  unroll<Units>([&](auto u) CN_LAMBDA {
    unroll<Rows>([&](auto r) CN_LAMBDA { sum[u][r] = V::broadcast(0.0F); });
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
  std::size_t k = 0;
#pragma GCC unroll 1
  for (; k + V::width <= b.inputs; k += V::width) add(weights + k, b.inputs, x + k, b.x_stride);
  if (k < b.inputs) {
    // The last terms among zeros, so that no sum goes another way.
    float last_weights[Units * V::width] = {}, last_x[Rows * V::width] = {};
    for (std::size_t i = 0; i < b.inputs - k; ++i) {
      for (std::size_t u = 0; u < Units; ++u) {
        last_weights[u * V::width + i] = weights[u * b.inputs + k + i];
      }
      for (std::size_t r = 0; r < Rows; ++r) last_x[r * V::width + i] = x[r * b.x_stride + k + i];
    }
    add(last_weights, V::width, last_x, V::width);
  }
  for (std::size_t u = 0; u < Units; ++u) {
    for (std::size_t r = 0; r < Rows; ++r) {
      float lanes[V::width];
      sum[u][r].store(lanes);
      float total = 0.0F;
      for (std::size_t lane = 0; lane < V::width; ++lane) total += lanes[lane];
      b.y[(row + r) * b.y_stride + unit + u] = total + b.bias[unit + u];
    }
  }
}

template <class V, std::size_t Units>
CN_INLINE void dense_rows(const DenseBlock& b, std::size_t unit) {
  std::size_t row = 0;
#pragma GCC unroll 1
  for (; row + 4 <= b.rows; row += 4) dense_tile<V, Units, 4>(b, unit, row);
#pragma GCC unroll 1
  for (; row < b.rows; ++row) dense_tile<V, Units, 1>(b, unit, row);
}

// Two units by four rows keep sixteen registers busy; with one row there are eight units.
template <class V>
void dense_block(const DenseBlock& b) {
  std::size_t unit = 0;
  if (b.rows == 1) {
#pragma GCC unroll 1
    for (; unit + 8 <= b.units; unit += 8) dense_tile<V, 8, 1>(b, unit, 0);
  }
#pragma GCC unroll 1
  for (; unit + 2 <= b.units; unit += 2) dense_rows<V, 2>(b, unit);
  if (unit < b.units) dense_rows<V, 1>(b, unit);
}

}  // namespace cn
