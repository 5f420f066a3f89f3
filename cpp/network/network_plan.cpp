// What a finished network knows of itself: its pace, its batches, its memory.
#include <algorithm>

#include "base/error.hpp"
#include "network/network.hpp"
#include "network/plan.hpp"

namespace cn {
namespace {

// Frames of a layer that likes batches run at once: its weights come from memory once for all.
constexpr std::size_t kBatch = 8;

// Floats between the layers for which a core's own cache has room, 1 MB; of scratch that a thread
// may have twice.
constexpr std::size_t kSmallFrame = std::size_t{1} << 18;
constexpr std::size_t kSmallScratch = 4 * kSmallFrame;

std::size_t index(int loop) { return static_cast<std::size_t>(loop); }

}  // namespace

std::vector<std::int64_t> Network::ticks(std::size_t frames, bool ended) const {
  std::vector<std::int64_t> counts(loops_.size(), 0);
  counts[0] = static_cast<std::int64_t>(frames);
  if (frames == 0 && !ended) return counts;  // nothing runs before the first frame
  for (std::size_t i = 1; i < loops_.size(); ++i) {
    const Loop& loop = loops_[i];
    if (loop.after >= 0 && !ended) continue;
    bool first = true;
    for (const std::size_t number : loop.feeds) {
      const Feed& feed = feeds_[number];
      const Value& source = value(feed.from);
      const std::int64_t given = source.sequence ? counts[index(source.loop)] : 0;
      const std::int64_t count = feed.ticks(given, ended || (!source.sequence && source.loop < 0));
      if (ended && !first && count != counts[i]) {
        throw InputError("layer '" + feed.name +
                         "': expected as many frames in each input, found " +
                         std::to_string(counts[i]) + " and " + std::to_string(count));
      }
      counts[i] = first ? count : std::min(counts[i], count);
      first = false;
      if (ended && count == 0) {
        throw InputError("layer '" + feed.name + "': expected more frames than " +
                         std::to_string(given) + " to look at");
      }
    }
  }
  return counts;
}

bool Network::streams(int number) const {
  const Loop& loop = loops_[index(number)];
  return loop.after < 0 && std::all_of(
                               loop.feeds.begin(), loop.feeds.end(),
                               [&](std::size_t i) {
                                 const Feed& feed = feeds_[i];
                                 const bool local = feed.kind == Feed::Kind::window ||
                                                    feed.kind == Feed::Kind::repeat;
                                 return local && streams(value(feed.from).loop);
                               });
}

bool Network::streams() const {
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    if (!streams(static_cast<int>(i))) return false;
  }
  return true;
}

std::size_t Network::batch() const {
  std::size_t most = 1;
  for (const Loop& loop : loops_) most = std::max(most, loop.batch);
  return most;
}

bool Network::frames_apart() const {
  const auto light = [](const Step& step) {
    return step.layer->state_floats() == 0 && step.layer->scratch_floats() <= kSmallScratch;
  };
  const auto comes_in_frames = [&](const Port& port) { return value(port.value).sequence; };
  return loops_.size() == 1 && start_steps_.empty() && loops_[0].end_steps.empty() &&
         arena_floats_ <= kSmallFrame && std::all_of(steps_.begin(), steps_.end(), light) &&
         std::all_of(inputs_.begin(), inputs_.end(), comes_in_frames) &&
         std::all_of(outputs_.begin(), outputs_.end(), comes_in_frames);
}

bool Network::in_step(int number) const {
  const std::vector<std::size_t>& feeds = loops_[index(number)].feeds;
  return std::all_of(feeds.begin(), feeds.end(), [&](std::size_t i) {
    const Feed& feed = feeds_[i];
    const TimeWindow& w = feed.window;
    const bool once = feed.kind == Feed::Kind::repeat
                          ? feed.times == 1
                          : w.stride == 1 && w.before <= (w.size - 1) * w.dilation;
    return once && in_step(value(feed.from).loop);
  });
}

std::int64_t Network::frames_for(int number, std::int64_t ticks) const {
  if (number == 0) return ticks;
  std::int64_t most = 1;
  for (const std::size_t i : loops_[index(number)].feeds) {
    most = std::max(most, frames_for(value(feeds_[i].from).loop, feeds_[i].frames_for(ticks)));
  }
  return most;
}

std::size_t Network::look_ahead() const {
  std::int64_t most = 0;
  for (int loop = 0; index(loop) < loops_.size(); ++loop) {
    if (streams(loop)) most = std::max(most, frames_for(loop, 1) - 1);
  }
  return static_cast<std::size_t>(most);
}

// Steps that like batches, and all that follows them, leave the loop for one that runs several
// ticks at once; only where all of it can wait and nothing feeds another loop.
void Network::split_off_batches(int number) {
  const std::vector<std::size_t>& order = loops_[index(number)].frame_steps;
  std::vector<bool> follows(steps_.size(), false), stays(steps_.size(), false);
  std::vector<char> kept(values_.size(), 0);  // roots that another loop reads
  for (const std::size_t feed : loops_[index(number)].fed) kept[value(feeds_[feed].from).root] = 1;
  const auto reads = [&](const Step& reader, const Step& writer) {
    return std::any_of(reader.inputs.begin(), reader.inputs.end(), [&](ValueId id) {
      return std::find(writer.outputs.begin(), writer.outputs.end(), value(id).root) !=
             writer.outputs.end();
    });
  };
  // From the last step to the first: what must stay, and all that it reads.
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    const Step& step = steps_[*i];
    bool stay = !step.layer->can_wait() || !step.final.empty() || step.outputs.empty();
    for (const ValueId id : step.outputs) stay = stay || kept[id] != 0;
    for (auto later = order.rbegin(); later != i; ++later) {
      stay = stay || (stays[*later] && reads(steps_[*later], step));
    }
    stays[*i] = stay;
  }
  bool any = false;
  for (auto i = order.begin(); i != order.end(); ++i) {
    if (stays[*i]) continue;
    bool follow = steps_[*i].layer->likes_batches();
    for (auto before = order.begin(); before != i; ++before) {
      follow = follow || (follows[*before] && reads(steps_[*i], steps_[*before]));
    }
    follows[*i] = follow;
    any = any || follow;
  }
  if (any) move_to_batches(number, follows);
}

void Network::move_to_batches(int number, const std::vector<bool>& moved) {
  const int batches = new_loop(loops_[index(number)].after);
  loops_[index(batches)].batch = kBatch;
  std::vector<std::size_t> rest;
  for (const std::size_t i : loops_[index(number)].frame_steps) {
    if (!moved[i]) {
      rest.push_back(i);
      continue;
    }
    loops_[index(batches)].frame_steps.push_back(i);
    steps_[i].loop = batches;
    for (const ValueId id : steps_[i].outputs) {
      for (Value& v : values_) {
        if (v.root == id) v.loop = batches;
      }
    }
  }
  loops_[index(number)].frame_steps = std::move(rest);
  for (const std::size_t i : loops_[index(batches)].frame_steps) {
    for (ValueId& id : steps_[i].inputs) {
      if (!value(id).sequence || value(id).loop == batches) continue;
      const Shape shape = value(id).shape;
      id = add_feed({steps_[i].name, id, 0}, shape, batches);
    }
  }
}

void Network::finish() {
  const std::size_t made = loops_.size();
  for (std::size_t i = 0; i < made; ++i) split_off_batches(static_cast<int>(i));
  find_takers();
  find_outside();
  find_checked();
  place_singles();
  for (std::size_t i = 0; i < loops_.size(); ++i) place_sequences(i);
}

bool Network::only_read_by(ValueId root, std::size_t step, std::size_t output) const {
  const auto shows = [&](ValueId id) { return value(id).root == root; };
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const std::vector<ValueId>& inputs = steps_[i].inputs;
    if (i != step && std::any_of(inputs.begin(), inputs.end(), shows)) return false;
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (i != output && shows(outputs_[i].value)) return false;
  }
  return std::none_of(feeds_.begin(), feeds_.end(), [&](const Feed& f) { return shows(f.from); });
}

// True where the value is its root, in whatever shape.
bool Network::shows_all(ValueId id) const {
  const Value& v = value(id);
  return v.offset == 0 && element_count(v.shape) == element_count(value(v.root).shape);
}

// A frame that one layer alone reads goes row by row to where that layer wants it, if whoever makes
// it can: it is written and read once less.
void Network::find_takers() {
  std::vector<char> given(values_.size(), 0);  // by an input or a layer that gives rows
  for (const Port& port : inputs_) given[port.value] = 1;
  for (const Step& step : steps_) {
    if (step.layer->gives_rows() && step.outputs.size() == 1) given[step.outputs[0]] = 1;
  }
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (!steps_[i].layer->takes_rows() || steps_[i].inputs.size() != 1) continue;
    const ValueId id = steps_[i].inputs[0];
    Value& root = values_[value(id).root];
    // Frames of a batch are all made before the first is read.
    if (!root.sequence || root.loop != steps_[i].loop || loops_[index(root.loop)].batch != 1) {
      continue;
    }
    const bool same_rows =
        shows_all(id) && !root.shape.empty() && value(id).shape.back() == root.shape.back();
    if (same_rows && given[value(id).root] != 0 && only_read_by(value(id).root, i, Value::kNone)) {
      root.taker = i;
    }
  }
}

// Frames that only the caller reads, in the order of axes that he sees, are made in his memory.
void Network::find_outside() {
  std::vector<char> made(values_.size(), 0);  // by a step
  for (const Step& step : steps_) {
    for (const ValueId id : step.outputs) made[id] = 1;
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const ValueId id = outputs_[i].value, root = value(id).root;
    const bool fits = made[root] != 0 && value(id).sequence && shows_all(id);
    if (fits && outputs_[i].same_order() && only_read_by(root, Value::kNone, i)) {
      values_[root].output = i;
    }
  }
}

// Inputs that the first step of all looks at itself: when it refuses a frame, nothing has changed.
void Network::find_checked() {
  const std::vector<std::size_t>& order = loops_[0].frame_steps;
  if (order.empty() || !steps_[order[0]].layer->checks_inputs()) return;
  const std::vector<ValueId>& read = steps_[order[0]].inputs;
  for (const Port& port : inputs_) {
    Value& root = values_[port.value];
    const auto whole = [&](ValueId id) { return value(id).root == port.value && shows_all(id); };
    root.checked_by_step = root.sequence && std::any_of(read.begin(), read.end(), whole) &&
                           only_read_by(port.value, order[0], Value::kNone);
  }
}

// Singles live as long as the stream and never share memory: they are few and small.
void Network::place_singles() {
  for (ValueId id = 0; id < values_.size(); ++id) {
    Value& v = values_[id];
    if (v.sequence || v.root != id) continue;
    v.location = single_floats_;
    single_floats_ += round_up(element_count(v.shape), kAlignedFloats);
  }
}

// Ticks of two loops never run at the same time, so all share one arena. Moment 0 is when inputs
// and feeds arrive, moment k when the k-th step runs, the one after the last step when outputs and
// other loops read.
void Network::place_sequences(std::size_t number) {
  const std::vector<std::size_t>& order = loops_[number].frame_steps;
  const std::size_t end = order.size() + 1;
  std::vector<ValueId> roots;
  std::vector<Lifetime> lifetimes;
  std::vector<std::size_t> place(values_.size());
  for (ValueId id = 0; id < values_.size(); ++id) {
    const Value& v = values_[id];
    if (!v.sequence || v.root != id || v.loop != static_cast<int>(number)) continue;
    place[id] = roots.size();
    roots.push_back(id);
    const std::size_t floats = v.taken() || v.outside() ? 0 : element_count(v.shape);
    lifetimes.push_back({checked_mul(floats, loops_[number].batch), 0, 0});
  }
  const auto use = [&](ValueId id, std::size_t moment) {
    const Value& v = values_[id];
    if (!v.sequence || v.loop != static_cast<int>(number)) return;
    Lifetime& life = lifetimes[place[v.root]];
    life.last = std::max(life.last, moment);
  };
  for (std::size_t k = 0; k < order.size(); ++k) {
    const Step& step = steps_[order[k]];
    for (const ValueId id : step.outputs) {
      lifetimes[place[id]].first = k + 1;
      use(id, k + 1);
    }
    for (const ValueId id : step.inputs) use(id, k + 1);
  }
  for (const Port& port : outputs_) use(port.value, end);
  for (const Feed& feed : feeds_) use(feed.from, end);
  arena_floats_ = std::max(arena_floats_, plan_arena(lifetimes));
  for (std::size_t i = 0; i < roots.size(); ++i) values_[roots[i]].location = lifetimes[i].offset;
}

}  // namespace cn
