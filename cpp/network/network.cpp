#include "network/network.hpp"

#include <algorithm>

#include "base/error.hpp"

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

bool Port::same_order() const {
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i] != i) return false;
  }
  return true;
}

ValueId Network::add_value(const Shape& shape, bool sequence, int loop) {
  for (const std::size_t length : shape) {
    if (length == 0) {
      throw UnsupportedError("expected axes of at least 1, found shape " + to_string(shape));
    }
  }
  element_count(shape);  // must fit an address
  values_.push_back({shape, sequence, loop, values_.size(), 0});
  return values_.size() - 1;
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
  const ValueId id = add_value(shape, base.sequence, base.loop);
  values_[id].root = base.root;
  values_[id].offset = base.offset + offset;
  return id;
}

int Network::new_loop(int after) {
  loops_.push_back({});
  loops_.back().after = after;
  return static_cast<int>(loops_.size()) - 1;
}

ValueId Network::add_feed(Feed feed, const Shape& shape, int loop) {
  Loop& reader = loops_[static_cast<std::size_t>(loop)];
  for (const std::size_t known : reader.feeds) {
    if (feeds_[known].same(feed)) return feeds_[known].to;
  }
  feed.to = add_value(shape, true, loop);
  reader.feeds.push_back(feeds_.size());
  const Value& source = value(feed.from);
  if (source.sequence) {
    loops_[static_cast<std::size_t>(source.loop)].fed.push_back(feeds_.size());
  }
  feeds_.push_back(feed);
  return feed.to;
}

// All that read the same at the same pace share a loop.
ValueId Network::fed_loop(Feed feed, const Shape& shape) {
  for (const Feed& known : feeds_) {
    if (known.same(feed) && !feed.plain()) return known.to;
  }
  const Value& source = value(feed.from);
  const int after =
      source.sequence ? loops_[static_cast<std::size_t>(source.loop)].after : source.loop;
  return add_feed(std::move(feed), shape, new_loop(after));
}

ValueId Network::add_window(const std::string& name, ValueId id, const TimeWindow& window) {
  Shape shape = value(id).shape;
  shape.insert(shape.begin(), static_cast<std::size_t>(window.size));
  return fed_loop({name, id, 0, Feed::Kind::window, window}, shape);
}

ValueId Network::add_repeated(const std::string& name, ValueId id, std::int64_t times, bool zeros) {
  return fed_loop({name, id, 0, Feed::Kind::repeat, {}, times, zeros}, value(id).shape);
}

ValueId Network::add_reversed(const std::string& name, ValueId id) {
  return fed_loop({name, id, 0, Feed::Kind::reversed}, value(id).shape);
}

ValueId Network::add_slices(const std::string& name, ValueId single) {
  const Shape shape = value(single).shape;
  if (shape.empty() || value(single).sequence) {
    throw UnsupportedError(name + ": expected a single with an axis to be time");
  }
  const auto length = static_cast<std::int64_t>(shape[0]);
  return fed_loop({name, single, 0, Feed::Kind::slices, {}, length},
                  Shape(shape.begin() + 1, shape.end()));
}

void Network::add_output(const std::string& name, ValueId id,
                         const std::vector<std::size_t>& order) {
  for (const Port& port : outputs_) {
    if (port.name == name) throw UnsupportedError("output '" + name + "': expected a new name");
  }
  const Value& shown = value(id);
  Shape outside(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) outside.at(order[i]) = shown.shape.at(i);
  outputs_.emplace_back(name, id, outside, order);
}

bool Network::depends(int loop, int on) const {
  if (loop == on) return true;
  if (loop < on) return false;
  const std::vector<std::size_t>& feeds = loops_[static_cast<std::size_t>(loop)].feeds;
  return std::any_of(feeds.begin(), feeds.end(), [&](std::size_t feed) {
    const Value& source = value(feeds_[feed].from);
    return source.sequence && depends(source.loop, on);
  });
}

int Network::meeting(const std::vector<int>& wanted, int after) {
  for (const int loop : wanted)
    after = std::max(after, loops_[static_cast<std::size_t>(loop)].after);
  const int last = *std::max_element(wanted.begin(), wanted.end());
  for (int loop = last; loop < static_cast<int>(loops_.size()); ++loop) {
    // One of theirs will do when the others reach it; so will one made for such a meeting.
    const Loop& candidate = loops_[static_cast<std::size_t>(loop)];
    const bool plain = std::all_of(candidate.feeds.begin(), candidate.feeds.end(),
                                   [&](std::size_t feed) { return feeds_[feed].plain(); });
    const bool fits = candidate.after == after && (loop == last || plain) &&
                      std::all_of(wanted.begin(), wanted.end(),
                                  [&](int source) { return depends(loop, source); });
    if (fits) return loop;
  }
  return new_loop(after);
}

Network::Added Network::add_layer(NewLayer layer) {
  std::vector<int> loops;
  int known = -1;  // the loop after whose end all singles are known
  const auto look = [&](const std::vector<ValueId>& ids) {
    for (const ValueId id : ids) {
      if (value(id).sequence) {
        loops.push_back(value(id).loop);
      } else {
        known = std::max(known, value(id).loop);
      }
    }
  };
  look(layer.inputs);
  look(layer.initial);
  const bool sequence = !loops.empty();
  const int loop = sequence ? meeting(loops, known) : known;
  if (sequence) {
    for (ValueId& id : layer.inputs) {
      if (!value(id).sequence || value(id).loop == loop) continue;
      const Shape shape = value(id).shape;
      id = add_feed({layer.name, id, 0}, shape, loop);
    }
  }
  const std::vector<StatePart> parts = layer.layer->state_parts();
  for (std::size_t i = 0; i < layer.initial.size(); ++i) {
    const Shape& given = value(layer.initial[i]).shape;
    if (layer.initial.size() > parts.size() || given != parts[i].shape) {
      throw UnsupportedError("initial state: expected a tensor for each part at most, found " +
                             to_string(given));
    }
  }
  Added added;
  for (const Shape& shape : layer.outputs) {
    added.outputs.push_back(add_value(shape, sequence, loop));
  }
  for (const Shape& shape : layer.final) added.final.push_back(add_value(shape, false, loop));
  std::vector<std::size_t>& place = loop < 0   ? start_steps_
                                    : sequence ? loops_[static_cast<std::size_t>(loop)].frame_steps
                                               : loops_[static_cast<std::size_t>(loop)].end_steps;
  place.push_back(steps_.size());
  steps_.push_back({layer.name, std::move(layer.layer), layer.inputs, added.outputs, layer.initial,
                    added.final, layer.keeps_state, loop});
  return added;
}

std::size_t Network::bytes_touched(const Step& step) const {
  std::size_t floats = step.layer->state_floats();
  for (const ValueId id : step.inputs) floats += element_count(value(id).shape);
  for (const ValueId id : step.outputs) floats += element_count(value(id).shape);
  return floats * sizeof(float);
}

}  // namespace cn
