#include "network/stream.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace cn {
namespace {

// Does the work, on record where there is a profile. `bytes()` is asked only then.
template <class Bytes, class Work>
void timed(Profile* profile, ProfileEvent::What what, std::size_t index, const Bytes& bytes,
           Work&& work) {
  if (profile == nullptr) {
    work();
  } else {
    profile->time(what, index, bytes(), work);
  }
}

}  // namespace

Stream::Stream(std::shared_ptr<const Network> network, int threads)
    : network_(std::move(network)),
      exec_{&network_->kernels(), threads, nullptr, 0},
      arena_(network_->arena_floats()),
      singles_(network_->single_floats()),
      states_(network_->steps().size()),
      records_(network_->replays().size()) {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const Layer& layer = *network_->steps()[i].layer;
    states_[i].data = Buffer(layer.state_floats());
    exec_.scratch_stride =
        std::max(exec_.scratch_stride, round_up(layer.scratch_floats(), kAlignedFloats));
  }
  scratch_ = Buffer(checked_mul(exec_.scratch_stride, static_cast<std::size_t>(threads)));
  exec_.scratch = scratch_.data();
}

const float* Stream::at(ValueId id) const {
  const Value& shown = network_->value(id);
  const Buffer& memory = shown.sequence ? arena_ : singles_;
  return memory.data() + network_->value(shown.root).location + shown.offset;
}

float* Stream::at(ValueId id) {
  return const_cast<float*>(static_cast<const Stream*>(this)->at(id));
}

void Stream::begin(const std::vector<TensorView>& singles, bool keep) {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    if (keep && network_->steps()[i].keeps_state) continue;
    std::fill_n(states_[i].data.data(), states_[i].data.size(), 0.0F);
    states_[i].frames = 0;
  }
  for (auto& record : records_) record.clear();
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
  for (const std::size_t index : network_->start_steps()) run_step(index);
  import_initial(network_->phases()[0]);
}

void Stream::import_initial(const Phase& phase) {
  for (const std::size_t index : phase.frame_steps) {
    const Step& step = network_->steps()[index];
    for (std::size_t part = 0; part < step.initial.size(); ++part) {
      step.layer->import_state(states_[index], part, at(step.initial[part]));
    }
  }
}

bool Stream::import_input(std::size_t input, const TensorView& from) {
  const Port& port = network_->inputs()[input];
  const auto bytes = [&] {
    const std::size_t element = from.dtype == DType::uint8 ? 1 : sizeof(float);
    return element_count(port.shape) * (element + sizeof(float));
  };
  bool finite = false;
  timed(profile_.get(), ProfileEvent::What::input, input, bytes,
        [&] { finite = import_tensor(exec_, port, from, at(port.value)); });
  return finite;
}

void Stream::run_step(std::size_t index) {
  const Step& step = network_->steps()[index];
  in_.clear();
  out_.clear();
  for (const ValueId id : step.inputs) in_.push_back(at(id));
  for (const ValueId id : step.outputs) out_.push_back(at(id));
  timed(
      profile_.get(), ProfileEvent::What::layer, index,
      [&] { return network_->bytes_touched(step); },
      [&] {
        step.layer->run(exec_, in_.data(), out_.empty() ? nullptr : out_.data(), states_[index]);
      });
}

void Stream::push(const std::vector<TensorView>& frame) {
  if (finished_) throw InputError("stream: expected begin() after finish(), found a frame");
  set_frame(static_cast<std::int64_t>(frames_));
  std::size_t next = 0;
  for (std::size_t i = 0; i < network_->inputs().size(); ++i) {
    const Port& port = network_->inputs()[i];
    if (!network_->value(port.value).sequence) continue;
    if (!import_input(i, frame.at(next++))) {
      throw InputError("input '" + port.name + "', frame " + std::to_string(frames_) +
                       ": expected finite numbers, found NaN or infinity");
    }
  }
  for (const std::size_t index : network_->phases()[0].frame_steps) run_step(index);
  record(0);
  ++frames_;
}

// Keeps the frames of this phase that a later one will play: what is kept grows with the frames,
// and is all that takes memory from the heap after the first one.
void Stream::record(int phase) {
  for (std::size_t i = 0; i < records_.size(); ++i) {
    const ValueId from = network_->replays()[i].from;
    const Value& recorded = network_->value(from);
    if (recorded.phase != phase) continue;
    const float* data = at(from);
    records_[i].insert(records_[i].end(), data, data + element_count(recorded.shape));
  }
}

void Stream::play(const Phase& phase, std::size_t frame) {
  for (const std::size_t i : phase.replays) {
    const Replay& replay = network_->replays()[i];
    const std::size_t floats = element_count(network_->value(replay.to).shape);
    const std::size_t which = replay.reversed ? frames_ - 1 - frame : frame;
    std::copy_n(records_[i].data() + which * floats, floats, at(replay.to));
  }
}

void Stream::end_phase(const Phase& phase) {
  for (const std::size_t index : phase.frame_steps) {
    const Step& step = network_->steps()[index];
    for (std::size_t part = 0; part < step.final.size(); ++part) {
      step.layer->export_state(states_[index], part, at(step.final[part]));
    }
  }
  for (const std::size_t index : phase.end_steps) run_step(index);
}

void Stream::copy_output(std::size_t output, float* to) const {
  const Port& port = network_->outputs().at(output);
  timed(
      profile_.get(), ProfileEvent::What::output, output,
      [&] { return element_count(port.shape) * 2 * sizeof(float); },
      [&] { export_tensor(exec_, port, at(port.value), to); });
}

void Stream::finish(const std::vector<float*>& to) {
  if (finished_ || frames_ == 0) {
    throw InputError("stream: expected at least one frame before finish(), found none");
  }
  finished_ = true;
  const std::vector<Port>& outputs = network_->outputs();
  for (std::size_t p = 0; p < network_->phases().size(); ++p) {
    const Phase& phase = network_->phases()[p];
    if (p > 0) {
      import_initial(phase);
      for (std::size_t frame = 0; frame < frames_; ++frame) {
        set_frame(static_cast<std::int64_t>(frame));
        play(phase, frame);
        for (const std::size_t index : phase.frame_steps) run_step(index);
        record(static_cast<int>(p));
        for (std::size_t i = 0; i < outputs.size(); ++i) {
          const Value& shown = network_->value(outputs[i].value);
          if (!shown.sequence || shown.phase != static_cast<int>(p)) continue;
          copy_output(i, to[i] + frame * element_count(shown.shape));
        }
      }
    }
    set_frame(-1);
    end_phase(phase);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!network_->value(outputs[i].value).sequence) copy_output(i, to[i]);
  }
  for (auto& record : records_) std::vector<float>().swap(record);
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

std::unique_ptr<Stream> Stream::clone() const {
  auto copy = std::make_unique<Stream>(network_, exec_.threads);
  copy->singles_ = singles_.clone();
  for (std::size_t i = 0; i < states_.size(); ++i) {
    copy->states_[i] = {states_[i].data.clone(), states_[i].frames, {}};
  }
  copy->records_ = records_;
  copy->frames_ = frames_;
  copy->finished_ = finished_;
  return copy;
}

namespace {

// Calls visit(step) or visit_record(replay) for every part of the state, in a fixed order.
template <class VisitStep, class VisitRecord>
void for_each_part(const Network& network, VisitStep visit_step, VisitRecord visit_record) {
  for (std::size_t i = 0; i < network.steps().size(); ++i) {
    const std::size_t parts = network.steps()[i].layer->state_parts().size();
    for (std::size_t part = 0; part < parts; ++part) visit_step(i, part);
  }
  for (std::size_t i = 0; i < network.replays().size(); ++i) visit_record(i);
}

}  // namespace

std::vector<Stream::Part> Stream::state_parts(std::size_t frames) const {
  std::vector<Part> parts;
  for_each_part(
      *network_,
      [&](std::size_t i, std::size_t part) {
        const Step& step = network_->steps()[i];
        const StatePart named = step.layer->state_parts()[part];
        parts.push_back({step.name + "/" + named.name, named.shape});
      },
      [&](std::size_t i) {
        const Replay& replay = network_->replays()[i];
        const Value& recorded = network_->value(replay.from);
        // Records of phase 0 grow with the frames; those of later phases are empty until then.
        Shape shape = recorded.shape;
        shape.insert(shape.begin(), recorded.phase == 0 ? frames : 0);
        parts.push_back({replay.name + "/frames" + std::to_string(i), shape});
      });
  return parts;
}

void Stream::export_state(std::size_t wanted, float* to) const {
  std::size_t next = 0;
  for_each_part(
      *network_,
      [&](std::size_t i, std::size_t part) {
        if (next++ == wanted) network_->steps()[i].layer->export_state(states_[i], part, to);
      },
      [&](std::size_t i) {
        const Value& recorded = network_->value(network_->replays()[i].from);
        if (next++ == wanted && recorded.phase == 0) {
          std::copy(records_[i].begin(), records_[i].end(), to);
        }
      });
}

void Stream::import_state(std::size_t frames, const std::vector<const float*>& from) {
  std::size_t next = 0;
  for_each_part(
      *network_,
      [&](std::size_t i, std::size_t part) {
        network_->steps()[i].layer->import_state(states_[i], part, from.at(next++));
      },
      [&](std::size_t i) {
        const Value& recorded = network_->value(network_->replays()[i].from);
        const std::size_t count = recorded.phase == 0 ? frames : 0;
        const float* data = from.at(next++);
        records_[i].assign(data, data + count * element_count(recorded.shape));
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
