#include "base/parallel.hpp"

#include <algorithm>
#include <array>
#include <atomic>

#include "base/error.hpp"

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

namespace {

// Calls work(part) for every part, on a team of as many threads.
template <class Work>
void run_team(std::size_t parts, const Work& work) {
#ifdef CN_OPENMP
  if (parts > 1) {
    ++barriers_met;
#pragma omp parallel num_threads(static_cast<int>(parts))
    {
      // The team may come out smaller than asked for: share all parts among those here.
      const auto team = static_cast<std::size_t>(omp_get_num_threads());
      const auto me = static_cast<std::size_t>(omp_get_thread_num());
      for (std::size_t part = me; part < parts; part += team) work(part);
    }
    return;
  }
#endif
  for (std::size_t part = 0; part < parts; ++part) work(part);
}

std::size_t parts_for([[maybe_unused]] int threads, [[maybe_unused]] std::size_t count) {
#ifdef CN_OPENMP
  const std::size_t parts = std::min(static_cast<std::size_t>(std::max(threads, 1)), count);
  if (parts > 1 && team_is_ours()) return parts;
#endif
  return 1;
}

}  // namespace

void run_ranges(int threads, std::size_t count, RangeFunction function, void* body) {
  if (count == 0) return;
  const std::size_t parts = parts_for(threads, count);
  run_team(parts, [&](std::size_t part) {
    const Run run = run_of(part, parts, count);
    function(body, part, run.begin, run.end);
  });
}

// The tasks that a part has still to do, begin in the upper half and end in the lower, so that both
// change at once. A cache line each: no part slows another.
struct alignas(64) TaskRange {
  std::atomic<std::uint64_t> bits;

  static std::uint64_t pack(std::uint64_t begin, std::uint64_t end) { return begin << 32 | end; }
  static std::uint64_t begin(std::uint64_t packed) { return packed >> 32; }
  static std::uint64_t end(std::uint64_t packed) { return packed & 0xffffffff; }
};

void run_tasks(int threads, std::size_t count, TasksFunction function, void* body) {
  constexpr std::size_t kMostParts = 1024;
  if (count == 0) return;
  if (count > 0xffffffff) throw UnsupportedError("more than 2^32 tasks a frame");
  const std::size_t parts = std::min(parts_for(threads, count), kMostParts);
  std::array<TaskRange, kMostParts> ranges;
  for (std::size_t part = 0; part < parts; ++part) {
    const Run run = run_of(part, parts, count);
    ranges[part].bits.store(TaskRange::pack(run.begin, run.end), std::memory_order_relaxed);
  }
  run_team(parts, [&](std::size_t part) {
    Tasks tasks(ranges.data(), parts, part);
    function(body, part, tasks);
  });
}

}  // namespace detail

bool Tasks::next(std::size_t& task) {
  using Range = detail::TaskRange;
  std::atomic<std::uint64_t>& mine = ranges_[part_].bits;
  std::uint64_t seen = mine.load(std::memory_order_relaxed);
  while (Range::begin(seen) < Range::end(seen)) {
    const std::uint64_t rest = Range::pack(Range::begin(seen) + 1, Range::end(seen));
    if (mine.compare_exchange_weak(seen, rest, std::memory_order_relaxed)) {
      task = Range::begin(seen);
      return true;
    }
  }
  // A range never comes back once a task of it is taken, so comparing its bits is enough.
  for (std::size_t i = 1; i < parts_; ++i) {
    std::atomic<std::uint64_t>& other = ranges_[(part_ + i) % parts_].bits;
    seen = other.load(std::memory_order_relaxed);
    while (Range::begin(seen) < Range::end(seen)) {
      const std::uint64_t begin = Range::begin(seen), end = Range::end(seen);
      const std::uint64_t middle = begin + (end - begin) / 2;
      if (other.compare_exchange_weak(seen, Range::pack(begin, middle),
                                      std::memory_order_relaxed)) {
        mine.store(Range::pack(middle + 1, end), std::memory_order_relaxed);
        task = middle;
        return true;
      }
    }
  }
  return false;
}

}  // namespace cn
