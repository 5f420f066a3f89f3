// The gates and the state of a long short-term memory cell.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/generic/activation.hpp"

namespace cn {

inline constexpr std::size_t kGates = 4;  // i, f, c, o

// From the gate sums z of N vectors to the new state and output:
//   c' = rec(z_f) * c + rec(z_i) * act(z_c),   h = rec(z_o) * act(c')
// `state` comes in as c and goes out as c'; z is used up.
template <class V, std::size_t N, class Act, class Rec>
CN_INLINE void update_cell(Act act, Rec rec, V (&z)[kGates][N], V (&state)[N], V (&h)[N]) {
  act(z[2]);
  rec(z[0]);
  rec(z[1]);
  unroll<N>([&](auto n) CN_LAMBDA { state[n] = V::fma(z[1][n], state[n], z[0][n] * z[2][n]); });
  unroll<N>([&](auto n) CN_LAMBDA { h[n] = state[n]; });
  act(h);
  rec(z[3]);
  unroll<N>([&](auto n) CN_LAMBDA { h[n] = z[3][n] * h[n]; });
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
