// Matrix products with the vector lanes along the units; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/generic/finite.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// Terms that are summed from zero before the sum joins the others: rounding grows with the square
// root of their number, not with that of all. At least four such parts of a long sum, which one row
// on few units adds at the same time.
CN_INLINE std::size_t dense_terms(std::size_t inputs) {
  constexpr std::size_t kMost = 256, kShort = 64;
  if (inputs <= kShort) return kShort;
  return inputs < 4 * kMost ? inputs / 4 : kMost;
}

// Sums of `Panels` panels of units for `Rows` rows of x, over the same terms in the same order
// whatever these are. A term costs a load for each panel, a broadcast for each row.
template <class V, std::size_t Panels, std::size_t Rows>
class DenseSums {
 public:
  CN_INLINE DenseSums(const DenseBlock& b, std::size_t panel, std::size_t row)
      : b_(b), panel_(panel), row_(row) {
    each([&](auto p, auto r)
             CN_LAMBDA { total_[p][r] = V::load(b.bias + (panel + p) * V::width); });
  }

  // Adds `Parts` parts of `terms` terms each, from term k on.
  template <std::size_t Parts>
  CN_INLINE void add(std::size_t k, std::size_t terms) {
    const std::size_t panel_step = b_.inputs * V::width;
    const float* weights = b_.weights + panel_ * panel_step + k * V::width;
    const float* x = b_.x + row_ * b_.x_stride + k;
    V sum[Parts][Panels][Rows];
    unroll<Parts>([&](auto part) CN_LAMBDA {
      each([&](auto p, auto r) CN_LAMBDA { sum[part][p][r] = V::broadcast(0.0F); });
    });
#pragma GCC unroll 2
    for (std::size_t i = 0; i < terms; ++i) {
      unroll<Parts>([&](auto part) CN_LAMBDA {
        const std::size_t term = part * terms + i;
        V weight[Panels];
        unroll<Panels>([&](auto p) CN_LAMBDA {
          const float* at = weights + p * panel_step + term * V::width;
          // A line is worth asking for once, not for each number of it.
          if constexpr (V::width > 1) __builtin_prefetch(at + kPageOfFloats);
          weight[p] = V::load_once(at);
        });
        unroll<Rows>([&](auto r) CN_LAMBDA {
          const V value = V::broadcast(x[r * b_.x_stride + term]);
          unroll<Panels>([&](auto p) CN_LAMBDA {
            sum[part][p][r] = V::fma(value, weight[p], sum[part][p][r]);
          });
        });
      });
    }
    unroll<Parts>([&](auto part) CN_LAMBDA {
      each([&](auto p, auto r) CN_LAMBDA { total_[p][r] = total_[p][r] + sum[part][p][r]; });
    });
  }

  CN_INLINE void store() const {
    each([&](auto p, auto r) CN_LAMBDA {
      V y = total_[p][r];
      if (b_.relu) y = V::max(V::broadcast(0.0F), y);  // of V::max a NaN comes through
      const std::size_t unit = (panel_ + p) * V::width;
      float* to = b_.y + (row_ + r) * b_.y_stride;
      store_until(y, to + unit, to + b_.units);
    });
  }

 private:
  template <class Body>
  CN_INLINE static void each(const Body& body) {
    unroll<Panels>([&](auto p) CN_LAMBDA { unroll<Rows>([&](auto r) CN_LAMBDA { body(p, r); }); });
  }

  const DenseBlock& b_;
  std::size_t panel_, row_;
  V total_[Panels][Rows];
};

template <class V, std::size_t Panels, std::size_t Rows, std::size_t Parts>
CN_NOINLINE void dense_tile(const DenseBlock& b, std::size_t panel, std::size_t row) {
  DenseSums<V, Panels, Rows> sums(b, panel, row);
  const std::size_t terms = dense_terms(b.inputs);
  std::size_t k = 0;
  if constexpr (Parts > 1) {
    for (; k + Parts * terms <= b.inputs; k += Parts * terms) sums.template add<Parts>(k, terms);
  }
  for (; k < b.inputs; k += terms) {
    sums.template add<1>(k, b.inputs - k < terms ? b.inputs - k : terms);
  }
  sums.store();
}

template <class V, std::size_t Panels, std::size_t Rows>
CN_INLINE void dense_rows(const DenseBlock& b, std::size_t panel, std::size_t row) {
#pragma GCC unroll 1
  for (; row + Rows <= b.rows; row += Rows) dense_tile<V, Panels, Rows, 1>(b, panel, row);
  if constexpr (Rows > 1) dense_rows<V, Panels, Rows / 2>(b, panel, row);
}

// The weights of some panels meet all rows while they are near.
template <class V, std::size_t Panels, std::size_t Rows>
CN_INLINE void dense_panels(const DenseBlock& b, std::size_t panel) {
#pragma GCC unroll 1
  for (; (panel + Panels - 1) * V::width < b.units; panel += Panels) {
    dense_rows<V, Panels, Rows>(b, panel, 0);
  }
  if constexpr (Panels > 1) dense_panels<V, Panels - 1, Rows>(b, panel);
}

// As many sums at a time as registers hold; of a single row, as many as hide the latency of a sum.
template <class V>
void dense_block(const DenseBlock& b) {
  if (b.rows > 1) return dense_panels<V, 3, (V::broadcast_operands ? 8 : 4)>(b, 0);
  constexpr std::size_t kPanels = 8, kParts = 4;
  std::size_t panel = 0;
#pragma GCC unroll 1
  for (; (panel + kPanels - 1) * V::width < b.units; panel += kPanels) {
    dense_tile<V, kPanels, 1, 1>(b, panel, 0);
  }
#pragma GCC unroll 1
  for (; panel * V::width < b.units; ++panel) dense_tile<V, 1, 1, kParts>(b, panel, 0);
}

// The sum of one unit, by as many sums as hide the latency of each, in parts as dense_terms() has
// them.
template <class V>
CN_INLINE float dense_unit(const float* x, const float* weights, std::size_t inputs) {
  constexpr std::size_t kSums = 8, kStep = kSums * V::width, kPart = 256 * kStep;
  V total = V::broadcast(0.0F);
  for (std::size_t begin = 0; begin < inputs; begin += kPart) {
    const std::size_t end = inputs - begin < kPart ? inputs : begin + kPart;
    V sum[kSums];
    for (V& s : sum) s = V::broadcast(0.0F);
    std::size_t k = begin;
    for (; k + kStep <= end; k += kStep) {
      unroll<kSums>([&](auto n) CN_LAMBDA {
        const std::size_t at = k + n * V::width;
        sum[n] = V::fma(V::load(weights + at), V::load(x + at), sum[n]);
      });
    }
    for (std::size_t n = 0; k < end; k += V::width, ++n) {
      const V weight = load_until<V>(weights + k, weights + end);
      sum[n] = V::fma(weight, load_until<V>(x + k, x + end), sum[n]);
    }
    total =
        total + (((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7])));
  }
  float lanes[V::width];
  total.store(lanes);
  return join_lanes(lanes, [](float a, float b) { return a + b; });
}

template <class V>
void dense_few_units(const DenseBlock& b) {
  for (std::size_t row = 0; row < b.rows; ++row) {
    for (std::size_t unit = 0; unit < b.units; ++unit) {
      const float sum =
          dense_unit<V>(b.x + row * b.x_stride, b.weights + unit * b.inputs, b.inputs);
      const float y = b.bias[unit] + sum;
      b.y[row * b.y_stride + unit] = b.relu && y < 0.0F ? 0.0F : y;  // a NaN stays
    }
  }
}

}  // namespace cn
