// A network ready to run: immutable, shared by any number of streams.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "layers/layer.hpp"

namespace cn {

using ValueId = std::size_t;

// Time runs in phases. Phase 0 is the loop over the frames that come in; what needs a whole
// sequence (a reversed one, the last state) is known when it ends, and layers that go on from
// there run in the loop of phase 1, and so on.
struct Value {
  Shape shape;         // in the engine's axis order
  bool sequence;       // one tensor a frame; otherwise one a sample
  int phase;           // a sequence: the loop it appears in; a single: the loop after which it is
                       // known, -1 before any
  ValueId root;        // the value whose memory this one shows: itself, unless it is a view
  std::size_t offset;  // floats from the start of the root
  std::size_t location = 0;  // of a root, in the arena (sequences) or among the singles
};

// One layer in its place.
struct Step {
  std::string name;
  std::unique_ptr<Layer> layer;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;  // may be empty when only the state is wanted
  std::vector<ValueId> initial;  // singles that its state parts start from, or none
  std::vector<ValueId> final;    // singles that show its state parts at the end, or none
  bool keeps_state = false;      // Keras' stateful: the next sequence goes on from here
};

// A sequence held until its phase has ended and played again in a later one.
struct Replay {
  std::string name;
  ValueId from, to;
  bool reversed;
};

// The loop of one phase, and what runs once when it has ended.
struct Phase {
  std::vector<std::size_t> frame_steps;
  std::vector<std::size_t> end_steps;
  std::vector<std::size_t> replays;  // that feed this phase
};

// A tensor that crosses the network's edge: its axes there, in the order of the model file,
// and which of them each axis inside is.
struct Port {
  Port(std::string name, ValueId value, Shape shape, std::vector<std::size_t> order);

  std::string name;
  ValueId value;
  Shape shape;
  std::vector<std::size_t> order;
  // Of the tensor inside, as rows of its last axis.
  std::size_t rows, cols;
  std::vector<std::ptrdiff_t> dense;  // strides of a dense tensor outside, in elements
};

class Network {
 public:
  // `allow_winograd` false: 3x3 convolutions are computed directly too.
  explicit Network(const KernelTable& kernels, bool allow_winograd = true)
      : kernels_(&kernels), allow_winograd_(allow_winograd) {}

  // Building, in an order in which the layers can run. `order[i]` is the outer axis that axis i
  // inside shows.
  ValueId add_input(const std::string& name, const Shape& shape,
                    const std::vector<std::size_t>& order, bool sequence);
  ValueId add_view(ValueId of, std::size_t offset, const Shape& shape);
  // The sequence reversed, in a phase of its own.
  ValueId add_reversed(const std::string& name, ValueId value);
  void add_output(const std::string& name, ValueId value, const std::vector<std::size_t>& order);

  struct NewLayer {
    std::string name;
    std::unique_ptr<Layer> layer;
    std::vector<ValueId> inputs;
    std::vector<ValueId> initial;
    bool keeps_state = false;
    std::vector<Shape> outputs;  // shape of each frame that run() writes
    std::vector<Shape> final;    // shape of each state part, when wanted
  };
  struct Added {
    std::vector<ValueId> outputs;
    std::vector<ValueId> final;
  };
  Added add_layer(NewLayer layer);

  // Lays out the memory; no building after that.
  void finish();

  const KernelTable& kernels() const { return *kernels_; }
  bool allow_winograd() const { return allow_winograd_; }
  const Value& value(ValueId id) const { return values_.at(id); }
  const std::vector<Step>& steps() const { return steps_; }
  const std::vector<Replay>& replays() const { return replays_; }
  const std::vector<Phase>& phases() const { return phases_; }
  // Steps that need nothing but inputs known at the start.
  const std::vector<std::size_t>& start_steps() const { return start_steps_; }
  const std::vector<Port>& inputs() const { return inputs_; }
  const std::vector<Port>& outputs() const { return outputs_; }
  std::size_t arena_floats() const { return arena_floats_; }
  std::size_t single_floats() const { return single_floats_; }
  // Bytes of the tensors and the state of a step: what a frame of it reads and writes at least,
  // its weights aside.
  std::size_t bytes_touched(const Step& step) const;

 private:
  ValueId add_value(const Shape& shape, bool sequence, int phase);
  ValueId replay(const std::string& name, ValueId value, int phase, bool reversed);
  Phase& phase(int index);
  void place_singles();
  void place_sequences(std::size_t phase);

  const KernelTable* kernels_;
  bool allow_winograd_;
  std::vector<Value> values_;
  std::vector<Step> steps_;
  std::vector<Replay> replays_;
  std::vector<Phase> phases_{1};
  std::vector<std::size_t> start_steps_;
  std::vector<Port> inputs_, outputs_;
  std::size_t arena_floats_ = 0, single_floats_ = 0;
};

}  // namespace cn
