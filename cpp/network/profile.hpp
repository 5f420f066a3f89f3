// Where the time of a stream goes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/parallel.hpp"

namespace cn {

// One piece of work: a layer's frame, or a tensor that crossed the network's edge.
struct ProfileEvent {
  enum class What { input, layer, output };
  What what;
  std::size_t index;       // of the port among inputs or outputs, or of the step
  std::int64_t frame;      // the first of them; -1: done once a sample
  std::size_t frames;      // done at once
  std::int64_t start;      // nanoseconds since the profile began
  std::int64_t duration;   // nanoseconds
  std::uint64_t bytes;     // tensors and state that it reads or writes, each once; no weights
  std::uint64_t barriers;  // times it ran on more than one thread and waited for all
};

// The events of a stream, in the order in which they began; none overlaps another.
class Profile {
 public:
  // Room for `events` is made at once, so that the first so many are recorded without touching
  // the heap.
  explicit Profile(std::size_t events) : began_(Clock::now()) { events_.reserve(events); }

  template <class Work>
  void time(ProfileEvent::What what, std::size_t index, std::size_t frames, std::uint64_t bytes,
            Work&& work) {
    const std::uint64_t barriers_before = barriers();
    const Clock::time_point start = Clock::now();
    std::forward<Work>(work)();
    const Clock::time_point end = Clock::now();
    events_.push_back({what, index, frame_, frames, nanoseconds(start - began_),
                       nanoseconds(end - start), bytes, barriers() - barriers_before});
  }

  // Of the events to come; -1 for none.
  void set_frame(std::int64_t frame) { frame_ = frame; }
  const std::vector<ProfileEvent>& events() const { return events_; }

 private:
  using Clock = std::chrono::steady_clock;
  static std::int64_t nanoseconds(Clock::duration d) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
  }

  Clock::time_point began_;
  std::vector<ProfileEvent> events_;
  std::int64_t frame_ = -1;
};

}  // namespace cn
