// The gates and the state of a long short-term memory cell.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/generic/activation.hpp"

namespace cn {

inline constexpr std::size_t kGates = 4;  // i, f, c, o

// From the gate sums z of N vectors to the new state and output:
//   c' = rec(z_f) * c + rec(z_i) * act(z_c),   h' = rec(z_o) * act(c')
// `load(gate, z)` fetches the sums of one gate just before they are used, which keeps few vectors
// alive. `state` comes in as c and goes out as c'.
template <class V, std::size_t N, class Act, class Rec, class Load>
CN_INLINE void update_cell(Act act, Rec rec, Load load, V (&state)[N], V (&h)[N]) {
  V x[N], y[N];
  load(2, y);
  act(y);
  load(0, x);
  rec(x);
  for (std::size_t n = 0; n < N; ++n) x[n] = x[n] * y[n];
  load(1, y);
  rec(y);
  for (std::size_t n = 0; n < N; ++n) state[n] = V::fma(y[n], state[n], x[n]);
  for (std::size_t n = 0; n < N; ++n) h[n] = state[n];
  act(h);
  load(3, x);
  rec(x);
  for (std::size_t n = 0; n < N; ++n) h[n] = x[n] * h[n];
}

// The same from memory in two halves, so that each has short chains of dependent operations.
// c = rec(z_f) * c + rec(z_i) * act(z_c) for N vectors; gates lie `gate_step` floats apart.
template <class V, std::size_t N, class Act, class Rec>
CN_INLINE void next_state(Act act, Rec rec, const float* z, std::size_t gate_step, float* c) {
  V x[N], y[N];
  for (std::size_t n = 0; n < N; ++n) y[n] = V::load(z + 2 * gate_step + n * V::width);
  act(y);
  for (std::size_t n = 0; n < N; ++n) x[n] = V::load(z + n * V::width);
  rec(x);
  for (std::size_t n = 0; n < N; ++n) y[n] = x[n] * y[n];
  for (std::size_t n = 0; n < N; ++n) x[n] = V::load(z + gate_step + n * V::width);
  rec(x);
  for (std::size_t n = 0; n < N; ++n) {
    V::fma(x[n], V::load(c + n * V::width), y[n]).store(c + n * V::width);
  }
}

// h = rec(z_o) * act(c)
template <class V, std::size_t N, class Act, class Rec>
CN_INLINE void cell_output(Act act, Rec rec, const float* z, const float* c, V (&h)[N]) {
  V x[N];
  for (std::size_t n = 0; n < N; ++n) h[n] = V::load(c + n * V::width);
  act(h);
  for (std::size_t n = 0; n < N; ++n) x[n] = V::load(z + n * V::width);
  rec(x);
  for (std::size_t n = 0; n < N; ++n) h[n] = x[n] * h[n];
}

// Calls body(act, rec) with two functions on V (&)[N]: the pairs that most networks use are known
// to the compiler, every other goes through a switch for each batch of vectors.
template <class Body>
CN_INLINE void with_activations(const Activation& activation, const Activation& recurrent,
                                Body body) {
  using Kind = Activation::Kind;
  const auto tanh_of = [](auto& x) CN_LAMBDA { tanh(x); };
  const auto relu_of = [](auto& x) CN_LAMBDA { relu(x); };
  const auto sigmoid_of = [](auto& x) CN_LAMBDA { sigmoid(x); };
  const auto hard_sigmoid_of = [&recurrent](auto& x) CN_LAMBDA { hard_sigmoid(recurrent, x); };
  if (activation.kind == Kind::tanh && recurrent.kind == Kind::sigmoid) {
    body(tanh_of, sigmoid_of);
  } else if (activation.kind == Kind::tanh && recurrent.kind == Kind::hard_sigmoid) {
    body(tanh_of, hard_sigmoid_of);
  } else if (activation.kind == Kind::relu && recurrent.kind == Kind::sigmoid) {
    body(relu_of, sigmoid_of);
  } else if (activation.kind == Kind::relu && recurrent.kind == Kind::hard_sigmoid) {
    body(relu_of, hard_sigmoid_of);
  } else {
    body([&activation](auto& x) { apply(activation, x); },
         [&recurrent](auto& x) { apply(recurrent, x); });
  }
}

}  // namespace cn
