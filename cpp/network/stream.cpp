#include "network/stream.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace cn {
namespace {

// Does the work, on record where there is a profile. `bytes()` is asked only then.
template <class Bytes, class Work>
void timed(Profile* profile, ProfileEvent::What what, std::size_t index, std::size_t frames,
           const Bytes& bytes, Work&& work) {
  if (profile == nullptr) {
    work();
  } else {
    profile->time(what, index, frames, bytes(), work);
  }
}

}  // namespace

Stream::Stream(std::shared_ptr<const Network> network, int threads)
    : network_(std::move(network)),
      exec_{&network_->kernels(), threads, nullptr, 0},
      arena_(network_->arena_floats()),
      singles_(network_->single_floats()),
      states_(network_->steps().size()),
      progress_(network_->loops().size()),
      outside_(network_->value_count(), nullptr) {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const Layer& layer = *network_->steps()[i].layer;
    states_[i].data = Buffer(layer.state_floats());
    exec_.scratch_stride =
        std::max(exec_.scratch_stride, round_up(layer.scratch_floats(), kAlignedFloats));
  }
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const std::vector<ValueId>& outputs = network_->steps()[i].outputs;
    if (outputs.size() == 1) states_[i].reader = reader_of(outputs[0]);
  }
  for (const Port& port : network_->inputs()) {
    if (!network_->value(port.value).taken()) continue;
    exec_.scratch_stride = std::max(exec_.scratch_stride, import_scratch_floats(port));
  }
  for (const Feed& feed : network_->feeds()) {
    queues_.emplace_back(element_count(network_->value(feed.from).shape));
  }
  scratch_ = Buffer(checked_mul(exec_.scratch_stride, static_cast<std::size_t>(threads)));
  exec_.scratch = scratch_.data();
}

const float* Stream::at(ValueId id) const {
  const Value& shown = network_->value(id);
  if (network_->value(shown.root).taken()) return nullptr;
  if (outside_[shown.root] != nullptr) return outside_[shown.root] + shown.offset;
  const Buffer& memory = shown.sequence ? arena_ : singles_;
  return memory.data() + network_->value(shown.root).location + shown.offset;
}

float* Stream::at(ValueId id) {
  return const_cast<float*>(static_cast<const Stream*>(this)->at(id));
}

Reader Stream::reader_of(ValueId id) {
  const Value& value = network_->value(id);
  if (!value.taken()) return {};
  return {network_->steps()[value.taker].layer.get(), &states_[value.taker]};
}

std::size_t Stream::step_of(ValueId id) const {
  const Value& shown = network_->value(id);
  return shown.sequence ? element_count(network_->value(shown.root).shape) : 0;
}

void Stream::begin(const std::vector<TensorView>& singles, bool keep) {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    if (keep && network_->steps()[i].keeps_state) continue;
    network_->steps()[i].layer->clear(exec_, states_[i]);
  }
  for (FrameQueue& queue : queues_) queue.clear();
  std::fill(progress_.begin(), progress_.end(), Progress{});
  frames_ = 0;
  finished_ = false;
  set_frame(-1);
  std::size_t next = 0;
  for (std::size_t i = 0; i < network_->inputs().size(); ++i) {
    const Port& port = network_->inputs()[i];
    if (network_->value(port.value).sequence) continue;
    if (!import_input(i, singles.at(next++))) {
      throw InputError("input '" + port.name + "': expected finite numbers, found NaN or infinity");
    }
  }
  for (const std::size_t index : network_->start_steps()) run_step(index, 1);
  for (std::size_t loop = 0; loop < progress_.size(); ++loop) {
    if (network_->loops()[loop].after < 0) import_initial(static_cast<int>(loop));
  }
}

// Called when all that the loop waits for has ended.
void Stream::import_initial(int loop) {
  for (const std::size_t index : network_->loops()[static_cast<std::size_t>(loop)].frame_steps) {
    const Step& step = network_->steps()[index];
    for (std::size_t part = 0; part < step.initial.size(); ++part) {
      step.layer->import_state(states_[index], part, at(step.initial[part]));
    }
  }
}

bool Stream::import_input(std::size_t input, const TensorView& from) {
  const Port& port = network_->inputs()[input];
  const Reader reader = reader_of(port.value);
  // A frame is there until push() returns, which a single must outlive. Nobody writes to it.
  const bool there = !reader && network_->value(port.value).sequence && lies_as_inside(port, from);
  outside_[port.value] = there ? const_cast<float*>(static_cast<const float*>(from.data)) : nullptr;
  const auto bytes = [&] {
    const std::size_t element = from.dtype == DType::uint8 ? 1 : sizeof(float);
    return element_count(port.shape) * (element + (there ? 0 : sizeof(float)));
  };
  bool finite = false;
  const auto read = [&] {
    if (reader) {
      finite = import_rows(exec_, port, from, reader);
    } else if (there && network_->value(port.value).checked_by_step) {
      exec_.not_finite = &not_finite_;
      finite = true;
    } else if (there) {
      finite = is_finite(exec_, port, from);
    } else {
      finite = import_tensor(exec_, port, from, at(port.value));
    }
  };
  timed(profile_.get(), ProfileEvent::What::input, input, 1, bytes, read);
  return finite;
}

void Stream::run_step(std::size_t index, std::size_t ticks) {
  const Step& step = network_->steps()[index];
  const auto run = [&] {
    if (ticks > 1 && step.layer->likes_batches()) {
      const ValueId in = step.inputs[0], out = step.outputs[0];
      step.layer->run_batch(exec_, ticks, at(in), step_of(in), at(out), step_of(out));
      return;
    }
    for (std::size_t tick = 0; tick < ticks; ++tick) {
      in_.clear();
      out_.clear();
      for (const ValueId id : step.inputs) in_.push_back(at(id) + tick * step_of(id));
      for (const ValueId id : step.outputs) out_.push_back(at(id) + tick * step_of(id));
      step.layer->run(exec_, in_.data(), out_.empty() ? nullptr : out_.data(), states_[index]);
    }
  };
  timed(
      profile_.get(), ProfileEvent::What::layer, index, ticks,
      [&] { return ticks * network_->bytes_touched(step); }, run);
}

void Stream::push(const std::vector<TensorView>& frame, Targets& to, bool more) {
  if (finished_) throw InputError("stream: expected begin() after finish(), found a frame");
  set_frame(static_cast<std::int64_t>(frames_));
  exec_.not_finite = nullptr;
  not_finite_ = false;
  std::size_t next = 0;
  for (const Port& port : network_->inputs()) {
    if (!network_->value(port.value).sequence) continue;
    const auto input = static_cast<std::size_t>(&port - network_->inputs().data());
    if (!import_input(input, frame.at(next++))) {
      const Port* before = refused(frame, input);
      refuse(before == nullptr ? port : *before, to);
    }
  }
  tick(0, 1, to, &frame);
  ++frames_;
  run_loops(more, to);
}

// The first of the inputs below `end` that a step looks at and that is not finite, or null.
const Port* Stream::refused(const std::vector<TensorView>& frame, std::size_t end) const {
  std::size_t next = 0;
  for (std::size_t i = 0; i < end; ++i) {
    const Port& port = network_->inputs()[i];
    if (!network_->value(port.value).sequence) continue;
    const TensorView& from = frame.at(next++);
    const bool left = network_->value(port.value).checked_by_step && outside_[port.value];
    if (left && !is_finite(exec_, port, from)) return &port;
  }
  return nullptr;
}

void Stream::refuse(const Port& port, Targets& to) {
  exec_.not_finite = nullptr;
  // Frames before this one may wait for a batch: the caller has made room for what they give.
  run_loops(false, to);
  throw InputError("input '" + port.name + "', frame " + std::to_string(frames_) +
                   ": expected finite numbers, found NaN or infinity");
}

void Stream::run_loops(bool wait_for_batch, Targets& to) {
  for (std::size_t loop = 1; loop < progress_.size(); ++loop) {
    run_ready(static_cast<int>(loop), wait_for_batch, to);
  }
}

// Ticks of a loop that what feeds it allows so far.
std::int64_t Stream::ready(const Loop& loop, std::int64_t done) const {
  if (loop.after >= 0 && !progress_[static_cast<std::size_t>(loop.after)].ended) return 0;
  std::int64_t count = -1;
  for (const std::size_t number : loop.feeds) {
    const Feed& feed = network_->feeds()[number];
    const Value& source = network_->value(feed.from);
    const Progress known =
        source.loop < 0 ? Progress{0, true} : progress_[static_cast<std::size_t>(source.loop)];
    const std::int64_t ticks = feed.ticks(known.ticks, known.ended);
    count = count < 0 ? ticks : std::min(count, ticks);
  }
  return count - done;
}

void Stream::run_ready(int number, bool wait_for_batch, Targets& to) {
  const Loop& loop = network_->loops()[static_cast<std::size_t>(number)];
  const auto batch = static_cast<std::int64_t>(loop.batch);
  const std::int64_t least = wait_for_batch ? batch : 1;
  for (std::int64_t count = ready(loop, progress_[static_cast<std::size_t>(number)].ticks);
       count >= least;) {
    const std::int64_t ticks = std::min(count, batch);
    tick(number, static_cast<std::size_t>(ticks), to);
    count -= ticks;
  }
}

// The frame of a feed for a tick.
void Stream::take(const Feed& feed, std::int64_t tick, float* to) const {
  const std::size_t floats = element_count(network_->value(feed.from).shape);
  const FrameQueue& queue = queues_[static_cast<std::size_t>(&feed - network_->feeds().data())];
  const auto copy = [&](std::int64_t frame, float* target, float otherwise) {
    if (frame < 0 || frame >= static_cast<std::int64_t>(queue.end())) {
      std::fill_n(target, floats, otherwise);
    } else {
      std::copy_n(queue.at(static_cast<std::size_t>(frame)), floats, target);
    }
  };
  switch (feed.kind) {
    case Feed::Kind::window:
      for (std::int64_t i = 0; i < feed.window.size; ++i) {
        copy(tick * feed.window.stride + i * feed.window.dilation - feed.window.before,
             to + static_cast<std::size_t>(i) * floats, feed.window.fill);
      }
      break;
    case Feed::Kind::repeat:
      copy(feed.zeros && tick % feed.times != 0 ? -1 : tick / feed.times, to, 0.0F);
      break;
    case Feed::Kind::reversed:
      copy(static_cast<std::int64_t>(queue.end()) - 1 - tick, to, 0.0F);
      break;
    case Feed::Kind::slices: {
      const std::size_t slice = floats / static_cast<std::size_t>(feed.times);
      std::copy_n(at(feed.from) + static_cast<std::size_t>(tick) * slice, slice, to);
      break;
    }
  }
}

// Whether what a feed takes from a loop lies in the caller's memory for the rest of a clip, and is
// soon read.
bool Stream::may_borrow(int loop, const Feed& feed) const {
  const int reader = network_->value(feed.to).loop;
  return in_clip_ && loop == 0 && feed.plain() &&
         network_->loops()[static_cast<std::size_t>(reader)].batch > 1 &&
         outside_[network_->value(feed.from).root] != nullptr;
}

// Runs the next ticks of a loop; at most its batch.
void Stream::tick(int number, std::size_t ticks, Targets& to,
                  const std::vector<TensorView>* frame) {
  const Loop& loop = network_->loops()[static_cast<std::size_t>(number)];
  Progress& progress = progress_[static_cast<std::size_t>(number)];
  if (number > 0) set_frame(progress.ticks);
  for (const std::size_t i : loop.feeds) {
    const Feed& feed = network_->feeds()[i];
    const auto first = static_cast<std::size_t>(progress.ticks);
    const bool there = feed.plain() && queues_[i].in_a_row(first, ticks);
    // Frames that leave the queue stay where they are until the next one comes.
    outside_[feed.to] = there ? const_cast<float*>(queues_[i].at(first)) : nullptr;
    for (std::size_t k = 0; k < ticks && !there; ++k) {
      take(feed, progress.ticks + static_cast<std::int64_t>(k), at(feed.to) + k * step_of(feed.to));
    }
    const std::int64_t next = progress.ticks + static_cast<std::int64_t>(ticks);
    queues_[i].drop_before(static_cast<std::size_t>(feed.oldest(next)));
  }
  for (std::size_t i = 0; i < network_->outputs().size(); ++i) {
    const ValueId root = network_->value(network_->outputs()[i].value).root;
    if (network_->value(root).outside()) outside_[root] = to.at(i);
  }
  for (const std::size_t index : loop.frame_steps) {
    run_step(index, ticks);
    if (frame == nullptr || exec_.not_finite == nullptr) continue;
    exec_.not_finite = nullptr;  // the first step has looked
    const Port* port = not_finite_ ? refused(*frame, network_->inputs().size()) : nullptr;
    if (port != nullptr) refuse(*port, to);
  }
  for (std::size_t k = 0; k < ticks; ++k) {
    for (const std::size_t i : loop.fed) {
      const ValueId from = network_->feeds()[i].from;
      const int reader = network_->value(network_->feeds()[i].to).loop;
      if (may_borrow(number, network_->feeds()[i])) {
        queues_[i].borrow(at(from));
      } else {
        queues_[i].push(at(from) + k * step_of(from));
      }
      const std::int64_t done = progress_[static_cast<std::size_t>(reader)].ticks;
      queues_[i].drop_before(static_cast<std::size_t>(network_->feeds()[i].oldest(done)));
    }
    for (std::size_t i = 0; i < network_->outputs().size(); ++i) {
      const Value& shown = network_->value(network_->outputs()[i].value);
      if (shown.sequence && shown.loop == number) write_output(i, k, to);
    }
  }
  progress.ticks += static_cast<std::int64_t>(ticks);
}

void Stream::write_output(std::size_t output, std::size_t tick, Targets& to) {
  const Port& port = network_->outputs()[output];
  const std::size_t floats = element_count(port.shape);
  const bool there = network_->value(network_->value(port.value).root).outside();
  timed(
      profile_.get(), ProfileEvent::What::output, output, 1,
      [&] { return there ? 0 : floats * 2 * sizeof(float); },
      [&] {
        if (there) return;
        const float* from = at(port.value) + tick * step_of(port.value);
        export_tensor(exec_, port, from, to.at(output));
      });
  to[output] += floats;
}

// Runs a loop to its end; all loops before it have ended.
void Stream::end(int number, Targets& to) {
  const Loop& loop = network_->loops()[static_cast<std::size_t>(number)];
  if (number > 0) {
    if (loop.after >= 0) import_initial(number);
    run_ready(number, false, to);
  }
  progress_[static_cast<std::size_t>(number)].ended = true;
  for (const std::size_t i : loop.feeds) queues_[i].clear();
  set_frame(-1);
  for (const std::size_t index : loop.frame_steps) {
    const Step& step = network_->steps()[index];
    for (std::size_t part = 0; part < step.final.size(); ++part) {
      step.layer->export_final(states_[index], part, at(step.final[part]));
    }
  }
  for (const std::size_t index : loop.end_steps) run_step(index, 1);
}

void Stream::finish(Targets& to) {
  const std::vector<Port>& inputs = network_->inputs();
  const bool takes_frames = std::any_of(inputs.begin(), inputs.end(), [&](const Port& port) {
    return network_->value(port.value).sequence;
  });
  if (finished_ || (takes_frames && frames_ == 0)) {
    throw InputError("stream: expected at least one frame before finish(), found none");
  }
  network_->ticks(frames_, true);  // throws when the sequence cannot end here
  finished_ = true;
  for (std::size_t loop = 0; loop < progress_.size(); ++loop) end(static_cast<int>(loop), to);
  for (std::size_t i = 0; i < network_->outputs().size(); ++i) {
    if (!network_->value(network_->outputs()[i].value).sequence) write_output(i, 0, to);
  }
}

std::vector<std::size_t> Stream::counts(std::size_t frames, bool ended) const {
  const std::vector<std::int64_t> ticks = network_->ticks(frames, ended);
  std::vector<std::size_t> counts;
  for (const Port& port : network_->outputs()) {
    const Value& shown = network_->value(port.value);
    const std::int64_t single = ended ? 1 : 0;
    counts.push_back(static_cast<std::size_t>(
        shown.sequence ? ticks[static_cast<std::size_t>(shown.loop)] : single));
  }
  return counts;
}

void Stream::start_profile(std::size_t frames) {
  // What is done once a sample counts as one frame more.
  const std::size_t a_frame =
      network_->inputs().size() + network_->steps().size() + network_->outputs().size();
  profile_ = std::make_unique<Profile>(checked_mul(checked_add(frames, 1), a_frame));
}

void Stream::set_frame(std::int64_t frame) {
  if (profile_) profile_->set_frame(frame);
}

}  // namespace cn
