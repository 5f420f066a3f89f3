#include "network/network.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "network/plan.hpp"

namespace cn {

Port::Port(std::string port_name, ValueId port_value, Shape outside,
           std::vector<std::size_t> axes_inside)
    : name(std::move(port_name)),
      value(port_value),
      shape(std::move(outside)),
      order(std::move(axes_inside)),
      rows(1),
      cols(order.empty() ? 1 : shape.at(order.back())),
      dense(shape.size()) {
  rows = element_count(shape) / cols;
  std::size_t stride = 1;
  for (std::size_t axis = shape.size(); axis-- > 0; stride *= shape[axis]) {
    dense[axis] = static_cast<std::ptrdiff_t>(stride);
  }
}

ValueId Network::add_value(const Shape& shape, bool sequence, int phase) {
  for (const std::size_t length : shape) {
    if (length == 0) {
      throw UnsupportedError("expected axes of at least 1, found shape " + to_string(shape));
    }
  }
  element_count(shape);  // must fit an address
  values_.push_back({shape, sequence, phase, values_.size(), 0});
  return values_.size() - 1;
}

Phase& Network::phase(int index) {
  const auto i = static_cast<std::size_t>(index);
  if (phases_.size() <= i) phases_.resize(i + 1);
  return phases_[i];
}

ValueId Network::add_input(const std::string& name, const Shape& shape,
                           const std::vector<std::size_t>& order, bool sequence) {
  Shape inside;
  for (const std::size_t axis : order) inside.push_back(shape.at(axis));
  const ValueId id = add_value(inside, sequence, sequence ? 0 : -1);
  inputs_.emplace_back(name, id, shape, order);
  return id;
}

ValueId Network::add_view(ValueId of, std::size_t offset, const Shape& shape) {
  const Value base = value(of);
  if (offset + element_count(shape) > element_count(base.shape)) {
    throw UnsupportedError("view: expected to lie within " + to_string(base.shape));
  }
  const ValueId id = add_value(shape, base.sequence, base.phase);
  values_[id].root = base.root;
  values_[id].offset = base.offset + offset;
  return id;
}

// All that read one sequence in the same phase and direction share its replay.
ValueId Network::replay(const std::string& name, ValueId from, int in_phase, bool reversed) {
  for (const Replay& known : replays_) {
    const bool same = known.from == from && known.reversed == reversed;
    if (same && value(known.to).phase == in_phase) return known.to;
  }
  const ValueId to = add_value(value(from).shape, true, in_phase);
  phase(in_phase).replays.push_back(replays_.size());
  replays_.push_back({name, from, to, reversed});
  return to;
}

ValueId Network::add_reversed(const std::string& name, ValueId id) {
  return replay(name, id, value(id).phase + 1, true);
}

void Network::add_output(const std::string& name, ValueId id,
                         const std::vector<std::size_t>& order) {
  const Value& shown = value(id);
  Shape outside(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) outside.at(order[i]) = shown.shape.at(i);
  outputs_.emplace_back(name, id, outside, order);
}

Network::Added Network::add_layer(NewLayer layer) {
  bool sequence = false;
  int in_phase = -1;
  for (const ValueId id : layer.inputs) {
    sequence = sequence || value(id).sequence;
    in_phase = std::max(in_phase, value(id).phase);
  }
  if (sequence) {
    // A loop that reads a single can only start when that single is known.
    const auto wait_for = [&](ValueId id) {
      if (!value(id).sequence) in_phase = std::max(in_phase, value(id).phase + 1);
    };
    for (const ValueId id : layer.inputs) wait_for(id);
    for (const ValueId id : layer.initial) wait_for(id);
    for (ValueId& id : layer.inputs) {
      if (value(id).sequence && value(id).phase < in_phase) {
        id = replay(layer.name, id, in_phase, false);
      }
    }
  }
  const std::vector<StatePart> parts = layer.layer->state_parts();
  for (std::size_t i = 0; i < layer.initial.size(); ++i) {
    const Shape& given = value(layer.initial[i]).shape;
    if (layer.initial.size() != parts.size() || given != parts[i].shape) {
      throw UnsupportedError("initial state: expected one tensor for each part, found " +
                             to_string(given));
    }
  }
  Added added;
  for (const Shape& shape : layer.outputs) {
    added.outputs.push_back(add_value(shape, sequence, in_phase));
  }
  for (const Shape& shape : layer.final) added.final.push_back(add_value(shape, false, in_phase));
  std::vector<std::size_t>& place = in_phase < 0 ? start_steps_
                                    : sequence   ? phase(in_phase).frame_steps
                                                 : phase(in_phase).end_steps;
  place.push_back(steps_.size());
  steps_.push_back({layer.name, std::move(layer.layer), layer.inputs, added.outputs, layer.initial,
                    added.final, layer.keeps_state});
  return added;
}

std::size_t Network::bytes_touched(const Step& step) const {
  std::size_t floats = step.layer->state_floats();
  for (const ValueId id : step.inputs) floats += element_count(value(id).shape);
  for (const ValueId id : step.outputs) floats += element_count(value(id).shape);
  return floats * sizeof(float);
}

void Network::finish() {
  place_singles();
  for (std::size_t i = 0; i < phases_.size(); ++i) place_sequences(i);
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

// The loops of two phases never run at the same time, so all share one arena. Moment 0 is
// when inputs and replays arrive, moment k when the k-th step runs, the one after the last
// step when outputs are read and replays recorded.
void Network::place_sequences(std::size_t number) {
  const std::vector<std::size_t>& order = phases_[number].frame_steps;
  const std::size_t end = order.size() + 1;
  std::vector<ValueId> roots;
  std::vector<Lifetime> lifetimes;
  std::vector<std::size_t> index(values_.size());
  for (ValueId id = 0; id < values_.size(); ++id) {
    const Value& v = values_[id];
    if (!v.sequence || v.root != id || v.phase != static_cast<int>(number)) continue;
    index[id] = roots.size();
    roots.push_back(id);
    lifetimes.push_back({element_count(v.shape), 0, 0});
  }
  const auto use = [&](ValueId id, std::size_t moment) {
    const Value& v = values_[id];
    if (!v.sequence || v.phase != static_cast<int>(number)) return;
    Lifetime& life = lifetimes[index[v.root]];
    life.last = std::max(life.last, moment);
  };
  for (std::size_t k = 0; k < order.size(); ++k) {
    const Step& step = steps_[order[k]];
    for (const ValueId id : step.outputs) {
      lifetimes[index[id]].first = k + 1;
      use(id, k + 1);
    }
    for (const ValueId id : step.inputs) use(id, k + 1);
  }
  for (const Port& port : outputs_) use(port.value, end);
  for (const Replay& replay : replays_) use(replay.from, end);
  arena_floats_ = std::max(arena_floats_, plan_arena(lifetimes));
  for (std::size_t i = 0; i < roots.size(); ++i) values_[roots[i]].location = lifetimes[i].offset;
}

}  // namespace cn
