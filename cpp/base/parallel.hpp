// Threads. parallel.cpp is the only file that knows of OpenMP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace cn {

namespace detail {
using RangeFunction = void (*)(void* body, std::size_t part, std::size_t begin, std::size_t end);
void run_ranges(int threads, std::size_t count, RangeFunction function, void* body);
}  // namespace detail

// Splits 0 <= i < count into at most `threads` runs of neighbours and calls
// body(begin, end), or body(part, begin, end) with the number of the run, for each at the same
// time. The body must not throw. Which run
// holds an index never changes what is computed for it, so results do not depend on
// `threads`. The caller's own OpenMP settings are neither read nor changed.
template <class Body>
void parallel_for(int threads, std::size_t count, Body&& body) {
  detail::run_ranges(
      threads, count,
      [](void* erased, [[maybe_unused]] std::size_t part, std::size_t begin, std::size_t end) {
        auto& typed = *static_cast<std::remove_reference_t<Body>*>(erased);
        if constexpr (std::is_invocable_v<decltype(typed), std::size_t, std::size_t>) {
          typed(begin, end);
        } else {
          typed(part, begin, end);
        }
      },
      const_cast<void*>(static_cast<const void*>(&body)));
}

// How often the calling thread has waited for a team so far: its calls of parallel_for that ran on
// more than one thread. For profiles, which look at differences.
std::uint64_t barriers();

// True when the build has threads at all.
bool has_threads();

}  // namespace cn
