#include "base/parallel.hpp"

#include <algorithm>
#include <array>
#include <atomic>

#include "base/error.hpp"

#ifdef CN_OPENMP
#include <omp.h>
#include <pthread.h>
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
// team is gone, the record of it is not. Such a child, and its children, run on one thread;
// results are the same bits. A handler of fork() tells a child so, which is not called for a
// child made by clone() alone. It is set while the library is loaded: a lock here could itself be
// held at a fork.
std::atomic<bool> team_used{false}, team_lost{false};
const bool fork_watched =
    pthread_atfork(nullptr, nullptr, [] { team_lost = team_used.load(); }) == 0;

bool team_is_ours() {
  team_used.store(true, std::memory_order_relaxed);
  return fork_watched && !team_lost.load(std::memory_order_relaxed);
}
#endif

// One a thread: threads that run streams of their own do not count each other's.
thread_local std::uint64_t barriers_met = 0;

// Of parallel_for, the shortest run of a thread is a share of this many of its indices.
constexpr std::size_t kLeastRuns = 8;

// What half of a TaskRange holds.
constexpr std::size_t kMostTasks = 0xffffffff;

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

// The indices that a part has still to do, begin in the upper half and end in the lower, so that
// both change at once. A cache line each: no part slows another.
struct alignas(64) TaskRange {
  std::atomic<std::uint64_t> bits;

  static std::uint64_t pack(std::uint64_t begin, std::uint64_t end) { return begin << 32 | end; }
  static std::uint64_t begin(std::uint64_t packed) { return packed >> 32; }
  static std::uint64_t end(std::uint64_t packed) { return packed & 0xffffffff; }
};

void run_tasks(int threads, std::size_t count, TasksFunction function, void* body) {
  constexpr std::size_t kMostParts = 1024;
  if (count == 0) return;
  if (count > kMostTasks) throw UnsupportedError("more than 2^32 tasks a frame");
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

void run_ranges(int threads, std::size_t count, RangeFunction function, void* body) {
  if (count == 0) return;
  const std::size_t parts = parts_for(threads, count);
  if (parts == 1) return function(body, 0, 0, count);
  struct Ranges {
    RangeFunction function;
    void* body;
    std::size_t count, task, least;  // indices, indices of a task, tasks of a run
  } ranges{function, body, count, count / kMostTasks + 1, 1};
  const std::size_t tasks = (count - 1) / ranges.task + 1;
  ranges.least = std::max<std::size_t>(tasks / (parts * kLeastRuns), 1);
  run_tasks(
      threads, tasks,
      [](void* erased, std::size_t part, Tasks& left) {
        const Ranges& all = *static_cast<const Ranges*>(erased);
        std::size_t begin = 0, end = 0;
        while (left.next(all.least, begin, end)) {
          all.function(all.body, part, begin * all.task, std::min(end * all.task, all.count));
        }
      },
      &ranges);
}

}  // namespace detail

bool Tasks::next(std::size_t& task) {
  std::size_t end = 0;
  return take([](std::uint64_t) { return std::uint64_t{1}; }, task, end);
}

bool Tasks::next(std::size_t least, std::size_t& begin, std::size_t& end) {
  const auto share = [least](std::uint64_t left) {
    return std::min<std::uint64_t>(std::max<std::uint64_t>(left / 2, least), left);
  };
  return take(share, begin, end);
}

template <class Share>
bool Tasks::take(const Share& share, std::size_t& first, std::size_t& last) {
  using Range = detail::TaskRange;
  std::atomic<std::uint64_t>& mine = ranges_[part_].bits;
  std::uint64_t seen = mine.load(std::memory_order_relaxed);
  while (Range::begin(seen) < Range::end(seen)) {
    const std::uint64_t begin = Range::begin(seen), end = Range::end(seen);
    const std::uint64_t taken = begin + share(end - begin);
    if (mine.compare_exchange_weak(seen, Range::pack(taken, end), std::memory_order_relaxed)) {
      first = begin;
      last = taken;
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
        const std::uint64_t taken = middle + share(end - middle);
        mine.store(Range::pack(taken, end), std::memory_order_relaxed);
        first = middle;
        last = taken;
        return true;
      }
    }
  }
  return false;
}

}  // namespace cn
