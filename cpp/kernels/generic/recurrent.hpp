// Steps of recurrent layers on vectors; kernel_table.hpp has the formulas and the layout.
#pragma once

#include <cstddef>

#include "kernels/generic/cell.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// Vectors of units in a block: as many sums at a time as hide the latency of a multiply-add, and
// few enough to stay in 16 registers. With four gates these are eight sums, with one gate as well.
inline constexpr std::size_t kUnitVectors = 2;
inline constexpr std::size_t kOneGateVectors = 8;

// Sums of G gates for P vectors of units.
template <class V, std::size_t G, std::size_t P>
struct UnitSums {
  V z[G][P];

  CN_INLINE void start(const float* bias) {
    each([&](auto g, auto p, std::size_t at) CN_LAMBDA { z[g][p] = V::load(bias + at); });
  }

  // Adds x times a panel. Panels are larger than any near cache: time is that of streaming them.
  CN_INLINE void add(const float* x, std::size_t count, const float* panel) {
#pragma GCC unroll 2
    for (std::size_t k = 0; k < count; ++k, panel += G * P * V::width) {
      const V factor = V::broadcast(x[k]);
      each([&](auto g, auto p, std::size_t at)
               CN_LAMBDA { z[g][p] = V::fma(factor, V::load(panel + at), z[g][p]); });
    }
  }

 private:
  template <class Body>
  CN_INLINE static void each(const Body& body) {
    unroll<G>([&](auto g) CN_LAMBDA {
      unroll<P>([&](auto p) CN_LAMBDA { body(g, p, (g * P + p) * V::width); });
    });
  }
};

template <class V, std::size_t P>
CN_INLINE void load_units(const float* from, V (&x)[P]) {
  unroll<P>([&](auto p) CN_LAMBDA { x[p] = V::load(from + p * V::width); });
}

template <class V, std::size_t P>
CN_INLINE void store_units(const V (&x)[P], float* to) {
  unroll<P>([&](auto p) CN_LAMBDA { x[p].store(to + p * V::width); });
}

// z * h + (1 - z) * a
template <class V, std::size_t P>
CN_INLINE void mix(const V (&z)[P], const V (&h)[P], const V (&a)[P], float* out) {
  const V one = V::broadcast(1.0F);
  unroll<P>([&](auto p)
                CN_LAMBDA { V::fma(z[p], h[p], (one - z[p]) * a[p]).store(out + p * V::width); });
}

template <class V>
void lstm_block(const RecurrentBlock& block) {
  with_activations(block.activation, block.recurrent_activation, [&block](auto act, auto rec) {
    constexpr std::size_t P = kUnitVectors;
    UnitSums<V, kGates, P> sums;
    sums.start(block.bias);
    sums.add(block.x, block.inputs, block.x_panel);
    sums.add(block.h, block.units, block.h_panel);
    V state[P], h[P];
    load_units(block.c, state);
    update_cell(act, rec, sums.z, state, h);
    store_units(state, block.c);
    store_units(h, block.h_out);
  });
}

template <class V>
void gru_block(const RecurrentBlock& block) {
  with_activations(block.activation, block.recurrent_activation, [&block](auto act, auto rec) {
    constexpr std::size_t P = kUnitVectors;
    // The sum over x of the candidate steps aside while that over h is taken.
    UnitSums<V, 3, P> sums;
    V candidate[P], h[P];
    sums.start(block.bias);
    sums.add(block.x, block.inputs, block.x_panel);
    unroll<P>([&](auto p) CN_LAMBDA { candidate[p] = sums.z[2][p]; });
    load_units(block.recurrent_bias, sums.z[2]);
    sums.add(block.h, block.units, block.h_panel);
    rec(sums.z[0]);
    rec(sums.z[1]);
    unroll<P>([&](auto p)
                  CN_LAMBDA { candidate[p] = V::fma(sums.z[1][p], sums.z[2][p], candidate[p]); });
    act(candidate);
    load_units(block.previous, h);
    mix(sums.z[0], h, candidate, block.h_out);
  });
}

template <class V>
void gru_gates_block(const RecurrentBlock& block) {
  constexpr std::size_t P = kUnitVectors;
  UnitSums<V, 3, P> from_x;
  from_x.start(block.bias);
  from_x.add(block.x, block.inputs, block.x_panel);
  store_units(from_x.z[2], block.c);
  UnitSums<V, 2, P> sums;
  unroll<2>([&](auto g)
                CN_LAMBDA { unroll<P>([&](auto p) CN_LAMBDA { sums.z[g][p] = from_x.z[g][p]; }); });
  sums.add(block.h, block.units, block.h_panel);
  V h[P];
  load_units(block.previous, h);
  apply(block.recurrent_activation, sums.z[0]);
  apply(block.recurrent_activation, sums.z[1]);
  store_units(sums.z[0], block.update);
  unroll<P>([&](auto p) CN_LAMBDA { h[p] = sums.z[1][p] * h[p]; });
  store_units(h, block.reset_h);
}

template <class V>
void gru_candidate_block(const RecurrentBlock& block) {
  constexpr std::size_t P = kOneGateVectors;
  UnitSums<V, 1, P> sums;
  load_units(block.c, sums.z[0]);
  sums.add(block.h, block.units, block.h_panel);
  apply(block.activation, sums.z[0]);
  V h[P], update[P];
  load_units(block.previous, h);
  load_units(block.update, update);
  mix(update, h, sums.z[0], block.h_out);
}

template <class V>
void simple_rnn_block(const RecurrentBlock& block) {
  UnitSums<V, 1, kOneGateVectors> sums;
  sums.start(block.bias);
  sums.add(block.x, block.inputs, block.x_panel);
  sums.add(block.h, block.units, block.h_panel);
  apply(block.activation, sums.z[0]);
  store_units(sums.z[0], block.h_out);
}

}  // namespace cn
