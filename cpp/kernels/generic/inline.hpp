// Vectors live in registers only within one function and only while no index of theirs is a
// variable: inlining and unrolling are not hints here.
#pragma once

#include <cstddef>

#define CN_INLINE inline __attribute__((always_inline))
#define CN_NOINLINE __attribute__((noinline))
#define CN_LAMBDA __attribute__((always_inline))  // behind the parameters of a lambda

namespace cn {

// Weights that come from afar are asked for so far ahead: prefetchers of hardware stop at the end
// of a page, which costs a ConvLSTM of 128 filters over 256 channels a third of its speed.
inline constexpr std::size_t kPageOfFloats = 1024;

template <std::size_t I>
struct Index {
  constexpr operator std::size_t() const { return I; }
};

// body(Index<0>), body(Index<1>), ..., body(Index<Count - 1>), written out.
template <std::size_t Count, std::size_t I = 0, class Body>
CN_INLINE void unroll(const Body& body) {
  if constexpr (I < Count) {
    body(Index<I>{});
    unroll<Count, I + 1>(body);
  }
}

}  // namespace cn
