// Copies of what a stream remembers.
#include <algorithm>

#include "network/stream.hpp"

namespace cn {

std::unique_ptr<Stream> Stream::clone() const {
  auto copy = std::make_unique<Stream>(network_, exec_.threads);
  copy->singles_ = singles_.clone();
  for (std::size_t i = 0; i < states_.size(); ++i) {
    // The readers are those of the copy.
    copy->states_[i].data = states_[i].data.clone();
    copy->states_[i].frames = states_[i].frames;
    copy->states_[i].zero = states_[i].zero;
  }
  copy->queues_ = queues_;
  copy->progress_ = progress_;
  copy->frames_ = frames_;
  copy->finished_ = finished_;
  return copy;
}

namespace {

// Calls visit_step(step, part) or visit_feed(feed) for every part of the state, in a fixed order.
template <class VisitStep, class VisitFeed>
void for_each_part(const Network& network, VisitStep visit_step, VisitFeed visit_feed) {
  for (std::size_t i = 0; i < network.steps().size(); ++i) {
    const std::size_t parts = network.steps()[i].layer->state_parts().size();
    for (std::size_t part = 0; part < parts; ++part) visit_step(i, part);
  }
  for (std::size_t i = 0; i < network.feeds().size(); ++i) visit_feed(i);
}

// The frames that wait in the queue of a feed.
struct Waiting {
  std::size_t first, count;
};
Waiting waiting(const Network& network, const Feed& feed, const std::vector<std::int64_t>& ticks) {
  const Value& source = network.value(feed.from);
  if (!source.sequence) return {0, 0};
  const auto given = static_cast<std::size_t>(ticks[static_cast<std::size_t>(source.loop)]);
  const int reader = network.value(feed.to).loop;
  const std::int64_t oldest = feed.oldest(ticks[static_cast<std::size_t>(reader)]);
  const std::size_t first = std::min(static_cast<std::size_t>(oldest), given);
  return {first, given - first};
}

}  // namespace

std::vector<Stream::Part> Stream::state_parts(std::size_t frames) const {
  const std::vector<std::int64_t> ticks = network_->ticks(frames, false);
  std::vector<Part> parts;
  for_each_part(
      *network_,
      [&](std::size_t i, std::size_t part) {
        const Step& step = network_->steps()[i];
        const StatePart named = step.layer->state_parts()[part];
        parts.push_back({step.name + "/" + named.name, named.shape});
      },
      [&](std::size_t i) {
        const Feed& feed = network_->feeds()[i];
        Shape shape = network_->value(feed.from).shape;
        shape.insert(shape.begin(), waiting(*network_, feed, ticks).count);
        parts.push_back({feed.name + "/frames" + std::to_string(i), shape});
      });
  return parts;
}

void Stream::export_state(std::size_t wanted, float* to) const {
  const std::vector<std::int64_t> ticks = network_->ticks(frames_, false);
  std::size_t next = 0;
  for_each_part(
      *network_,
      [&](std::size_t i, std::size_t part) {
        if (next++ == wanted) network_->steps()[i].layer->export_state(states_[i], part, to);
      },
      [&](std::size_t i) {
        if (next++ != wanted) return;
        const std::size_t floats = element_count(network_->value(network_->feeds()[i].from).shape);
        const FrameQueue& queue = queues_[i];
        // A sequence that has ended waits for nothing any more.
        std::fill_n(to, waiting(*network_, network_->feeds()[i], ticks).count * floats, 0.0F);
        for (std::size_t frame = queue.begin(); frame < queue.end(); ++frame) {
          std::copy_n(queue.at(frame), floats, to + (frame - queue.begin()) * floats);
        }
      });
}

void Stream::import_state(std::size_t frames, const std::vector<const float*>& from) {
  const std::vector<std::int64_t> ticks = network_->ticks(frames, false);
  for (std::size_t i = 0; i < progress_.size(); ++i) progress_[i] = {ticks[i], false};
  std::size_t next = 0;
  for_each_part(
      *network_,
      [&](std::size_t i, std::size_t part) {
        const Step& step = network_->steps()[i];
        states_[i].frames = ticks[static_cast<std::size_t>(step.loop)];
        step.layer->import_state(states_[i], part, from.at(next++));
      },
      [&](std::size_t i) {
        const Feed& feed = network_->feeds()[i];
        const std::size_t floats = element_count(network_->value(feed.from).shape);
        const Waiting held = waiting(*network_, feed, ticks);
        const float* data = from.at(next++);
        queues_[i].clear(held.first);
        for (std::size_t k = 0; k < held.count; ++k) queues_[i].push(data + k * floats);
      });
  frames_ = frames;
  finished_ = false;
}

std::size_t Stream::state_bytes() const {
  std::size_t floats = 0;
  for (const State& state : states_) floats += state.data.size();
  return floats * sizeof(float);
}

}  // namespace cn
