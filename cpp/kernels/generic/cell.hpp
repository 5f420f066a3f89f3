// The gates and the state of a long short-term memory cell.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/generic/activation.hpp"

namespace cn {

inline constexpr std::size_t kGates = 4;  // i, f, c, o

// From the gate sums z of N vectors to the new state and output:
//   c' = rec(z_f) * c + rec(z_i) * act(z_c),   h' = rec(z_o) * act(c')
// `state` comes in as c and goes out as c'; z is used up; h' is left in z[3].
template <class V, std::size_t N>
inline void update_cell(const Activation& activation, const Activation& recurrent_activation,
                        V (&z)[kGates][N], V (&state)[N]) {
  apply(recurrent_activation, z[0]);
  apply(activation, z[2]);
  for (std::size_t n = 0; n < N; ++n) z[0][n] = z[0][n] * z[2][n];
  apply(recurrent_activation, z[1]);
  for (std::size_t n = 0; n < N; ++n) state[n] = V::fma(z[1][n], state[n], z[0][n]);
  apply(recurrent_activation, z[3]);
  for (std::size_t n = 0; n < N; ++n) z[2][n] = state[n];
  apply(activation, z[2]);
  for (std::size_t n = 0; n < N; ++n) z[3][n] = z[3][n] * z[2][n];
}

}  // namespace cn
