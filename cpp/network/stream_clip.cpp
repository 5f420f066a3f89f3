// Runs of frames that have all come.
#include <algorithm>
#include <exception>

#include "base/parallel.hpp"
#include "network/stream.hpp"

namespace cn {
namespace {

void go_on(std::vector<TensorView>& frame, const std::vector<std::ptrdiff_t>& steps,
           std::size_t frames) {
  for (std::size_t i = 0; i < frame.size(); ++i) {
    const std::ptrdiff_t bytes = steps[i] * static_cast<std::ptrdiff_t>(frames);
    frame[i].data = static_cast<const std::byte*>(frame[i].data) + bytes;
  }
}

}  // namespace

// The frames that fill all threads as often as possible; none where a team is not worth its start.
std::size_t Stream::frames_apart(std::size_t count) const {
  const auto threads = static_cast<std::size_t>(exec_.threads);
  if (threads < 2 || count < threads || profile_ || !network_->frames_apart()) return 0;
  double floats = 0;
  for (const Step& step : network_->steps()) {
    floats += static_cast<double>(network_->bytes_touched(step) / sizeof(float));
  }
  const bool worth = threads_for(exec_, floats * static_cast<double>(count)) == exec_.threads;
  return worth ? count - count % threads : 0;
}

void Stream::push_clip(std::vector<TensorView> frame, const std::vector<std::ptrdiff_t>& steps,
                       std::size_t count, Targets& to) {
  std::size_t done = finished_ ? 0 : frames_apart(count);
  if (done > 0) {
    push_apart(frame, steps, done, to);
    go_on(frame, steps, done);
  }
  in_clip_ = true;
  const auto own = [&] {
    in_clip_ = false;
    for (FrameQueue& queue : queues_) queue.own();
  };
  try {
    for (; done < count; ++done) {
      push(frame, to, done + 1 < count);
      go_on(frame, steps, 1);
    }
  } catch (...) {
    own();
    throw;
  }
  own();
}

void Stream::push_apart(const std::vector<TensorView>& frame,
                        const std::vector<std::ptrdiff_t>& steps, std::size_t count, Targets& to) {
  while (helpers_.size() < static_cast<std::size_t>(exec_.threads)) {
    helpers_.push_back({std::make_unique<Stream>(network_, 1), {}, {}, nullptr, 0});
  }
  for (Helper& helper : helpers_) helper.error = nullptr;  // of a clip before; not all may run
  const std::vector<Port>& outputs = network_->outputs();
  const auto run = [&](std::size_t part, Tasks& tasks) {
    Helper& helper = helpers_[part];
    for (std::size_t k = 0; helper.error == nullptr && tasks.next(k);) {
      try {
        helper.frame = frame;
        go_on(helper.frame, steps, k);
        helper.to = to;
        for (std::size_t i = 0; i < outputs.size(); ++i) {
          helper.to[i] += k * element_count(outputs[i].shape);
        }
        helper.stream->frames_ = frames_ + k;
        helper.stream->push(helper.frame, helper.to);
      } catch (...) {  // must not leave the thread
        helper.error = std::current_exception();
        helper.failed = k;
      }
    }
  };
  parallel_tasks(exec_.threads, count, run);
  // As one by one: what came before the first frame that failed is there, nothing else. A helper
  // that stops leaves only frames behind the one that it failed at.
  const Helper* first = nullptr;
  for (const Helper& helper : helpers_) {
    const bool earlier = first == nullptr || helper.failed < first->failed;
    if (helper.error != nullptr && earlier) first = &helper;
  }
  const std::size_t good = first == nullptr ? count : first->failed;
  frames_ += good;
  progress_[0].ticks += static_cast<std::int64_t>(good);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    to[i] += good * element_count(outputs[i].shape);
  }
  if (first != nullptr) std::rethrow_exception(first->error);
}

}  // namespace cn
