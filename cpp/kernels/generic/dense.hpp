// Matrix products with the vector lanes along the units; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/generic/inline.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// Terms that are summed from zero before the sum joins the others: rounding grows with the square
// root of their number, not with that of all.
inline constexpr std::size_t kDenseTerms = 256;

// Sums of `Panels` panels of units for `Rows` rows of x, over the same terms in the same order
// whatever these are. A term costs a load for each panel, a broadcast for each row.
template <class V, std::size_t Panels, std::size_t Rows>
CN_NOINLINE void dense_tile(const DenseBlock& b, std::size_t panel, std::size_t row) {
  const std::size_t panel_step = b.inputs * V::width;
  const float* weights = b.weights + panel * panel_step;
  const float* x = b.x + row * b.x_stride;
  V total[Panels][Rows];
  const auto each = [](const auto& body) CN_LAMBDA {
    unroll<Panels>([&](auto p) CN_LAMBDA { unroll<Rows>([&](auto r) CN_LAMBDA { body(p, r); }); });
  };
  each([&](auto p, auto r) CN_LAMBDA { total[p][r] = V::load(b.bias + (panel + p) * V::width); });
  for (std::size_t k = 0; k < b.inputs;) {
    const std::size_t end = b.inputs - k < kDenseTerms ? b.inputs : k + kDenseTerms;
    V sum[Panels][Rows];
    each([&](auto p, auto r) CN_LAMBDA { sum[p][r] = V::broadcast(0.0F); });
#pragma GCC unroll 2
    for (; k < end; ++k) {
      V weight[Panels];
      unroll<Panels>([&](auto p) CN_LAMBDA {
        const float* at = weights + p * panel_step + k * V::width;
        // A line is worth asking for once, not for each number of it.
        if constexpr (V::width > 1) __builtin_prefetch(at + kPageOfFloats);
        weight[p] = V::load_once(at);
      });
      unroll<Rows>([&](auto r) CN_LAMBDA {
        const V value = V::broadcast(x[r * b.x_stride + k]);
        unroll<Panels>([&](auto p) CN_LAMBDA { sum[p][r] = V::fma(value, weight[p], sum[p][r]); });
      });
    }
    each([&](auto p, auto r) CN_LAMBDA { total[p][r] = total[p][r] + sum[p][r]; });
  }
  each([&](auto p, auto r) CN_LAMBDA {
    V y = total[p][r];
    if (b.relu) y = V::max(V::broadcast(0.0F), y);  // of V::max a NaN comes through
    const std::size_t unit = (panel + p) * V::width;
    float* to = b.y + (row + r) * b.y_stride + unit;
    if (unit + V::width <= b.units) {
      y.store(to);
    } else {
      float lanes[V::width];
      y.store(lanes);
      for (std::size_t i = 0; unit + i < b.units; ++i) to[i] = lanes[i];
    }
  });
}

template <class V, std::size_t Panels, std::size_t Rows>
CN_INLINE void dense_rows(const DenseBlock& b, std::size_t panel, std::size_t row) {
#pragma GCC unroll 1
  for (; row + Rows <= b.rows; row += Rows) dense_tile<V, Panels, Rows>(b, panel, row);
  if constexpr (Rows > 1) dense_rows<V, Panels, Rows / 2>(b, panel, row);
}

// The weights of some panels meet all rows while they are near.
template <class V, std::size_t Panels, std::size_t Rows>
CN_INLINE void dense_panels(const DenseBlock& b, std::size_t panel) {
#pragma GCC unroll 1
  for (; (panel + Panels - 1) * V::width < b.units; panel += Panels) {
    dense_rows<V, Panels, Rows>(b, panel, 0);
  }
  if constexpr (Panels > 1) dense_panels<V, (Panels == 3 ? 2 : Panels / 2), Rows>(b, panel);
}

template <class V>
void dense_block(const DenseBlock& b) {
  // As many sums as registers hold; of a single row, as many as hide the latency of a sum.
  if (b.rows == 1) {
    dense_panels<V, 8, 1>(b, 0);
  } else {
    dense_panels<V, 3, (V::broadcast_operands ? 8 : 4)>(b, 0);
  }
}

}  // namespace cn
