// Threads. parallel.cpp is the only file that knows of OpenMP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace cn {

class Tasks;

namespace detail {
using RangeFunction = void (*)(void* body, std::size_t part, std::size_t begin, std::size_t end);
void run_ranges(int threads, std::size_t count, RangeFunction function, void* body);
using TasksFunction = void (*)(void* body, std::size_t part, Tasks& tasks);
void run_tasks(int threads, std::size_t count, TasksFunction function, void* body);
struct TaskRange;
}  // namespace detail

// Splits 0 <= i < count into runs of neighbours, on at most `threads` threads, and calls
// body(begin, end), or body(part, begin, end) with the number of the thread, for each. A thread
// starts with a run of its own, of which it takes half of what is left at a time; one that has
// finished takes half of what is left of another's, so that a thread that the system has put to
// sleep, or whose core is slow, holds up nobody for long. The body must not throw. Which run holds
// an index never changes what is computed for it, so results do not depend on `threads`. The
// caller's own OpenMP settings are neither read nor changed.
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

// What one thread of parallel_tasks() has to do.
class Tasks {
 public:
  // The next task, mostly the neighbour of the one before; false when all are taken.
  bool next(std::size_t& task);
  // The next run of tasks, half of those that are left and at least as many as given.
  bool next(std::size_t least, std::size_t& begin, std::size_t& end);

 private:
  friend void detail::run_tasks(int, std::size_t, detail::TasksFunction, void*);
  Tasks(detail::TaskRange* ranges, std::size_t parts, std::size_t part)
      : ranges_(ranges), parts_(parts), part_(part) {}
  template <class Share>
  bool take(const Share& share, std::size_t& first, std::size_t& last);

  detail::TaskRange* ranges_;  // of all parts
  std::size_t parts_, part_;
};

// The same for tasks that take long: calls body(part, tasks) once on each thread, which takes one
// task after another.
template <class Body>
void parallel_tasks(int threads, std::size_t count, Body&& body) {
  detail::run_tasks(
      threads, count,
      [](void* erased, std::size_t part, Tasks& tasks) {
        (*static_cast<std::remove_reference_t<Body>*>(erased))(part, tasks);
      },
      const_cast<void*>(static_cast<const void*>(&body)));
}

// How often the calling thread has waited for a team so far: its calls of parallel_for and
// parallel_tasks that ran on more than one thread. For profiles, which look at differences.
std::uint64_t barriers();

// True when the build has threads at all.
bool has_threads();

}  // namespace cn
