#include "base/parallel.hpp"

#include <algorithm>
#include <atomic>

#ifdef CN_OPENMP
#include <omp.h>
#include <unistd.h>
#endif

namespace cn {
namespace {

// Run number `part` of `parts` runs that differ in length by one at most.
struct Run {
  std::size_t begin;
  std::size_t end;
};

[[maybe_unused]] Run run_of(std::size_t part, std::size_t parts, std::size_t count) {
  return {count * part / parts, count * (part + 1) / parts};
}

#ifdef CN_OPENMP
// GNU's OpenMP hangs in a child that was forked after its parent had used threads: the
// team is gone, the record of it is not. Such a child runs on one thread; results are
// the same bits.
bool team_is_ours() {
  static std::atomic<pid_t> first_user{0};
  const pid_t self = getpid();
  pid_t expected = 0;
  return first_user.compare_exchange_strong(expected, self) || expected == self;
}
#endif

// One a thread: threads that run streams of their own do not count each other's.
thread_local std::uint64_t barriers_met = 0;

}  // namespace

std::uint64_t barriers() { return barriers_met; }

bool has_threads() {
#ifdef CN_OPENMP
  return true;
#else
  return false;
#endif
}

namespace detail {

void run_ranges(int threads, std::size_t count, RangeFunction function, void* body) {
  if (count == 0) return;
#ifdef CN_OPENMP
  const std::size_t parts = std::min(static_cast<std::size_t>(std::max(threads, 1)), count);
  if (parts > 1 && team_is_ours()) {
    ++barriers_met;
#pragma omp parallel num_threads(static_cast<int>(parts))
    {
      // The team may come out smaller than asked for: share all parts among those here.
      const auto team = static_cast<std::size_t>(omp_get_num_threads());
      const auto me = static_cast<std::size_t>(omp_get_thread_num());
      for (std::size_t part = me; part < parts; part += team) {
        const Run run = run_of(part, parts, count);
        function(body, part, run.begin, run.end);
      }
    }
    return;
  }
#else
  static_cast<void>(threads);
#endif
  function(body, 0, 0, count);
}

}  // namespace detail
}  // namespace cn
