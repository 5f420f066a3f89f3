// A network ready to run: immutable, shared by any number of streams.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "layers/layer.hpp"
#include "network/feed.hpp"

namespace cn {

// Time runs in loops. Loop 0 ticks once for every frame that comes in. What runs at another pace
// (windows in time, a reversed sequence, what needs a state that is known only at the end) has a
// loop of its own, which ticks as soon as the loops that feed it have given enough, or when they
// have ended. A loop is fed by loops with smaller numbers only.
struct Value {
  Shape shape;         // in the engine's axis order
  bool sequence;       // one tensor a tick; otherwise one a sample
  int loop;            // a sequence: where it appears; a single: the loop after whose end it is
                       // known, -1 before any
  ValueId root;        // the value whose memory this one shows: itself, unless it is a view
  std::size_t offset;  // floats from the start of the root
  std::size_t location = 0;  // of a root, in the arena (sequences) or among the singles
  // Of a root that has no memory: the step that takes its rows as they are made.
  std::size_t taker = kNone;
  // Of a root that has no memory: the output that its frames are made in place for.
  std::size_t output = kNone;

  // Of an input: the first step to run looks whether its numbers are finite.
  bool checked_by_step = false;

  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  bool taken() const { return taker != kNone; }
  bool outside() const { return output != kNone; }
};

// One layer in its place.
struct Step {
  std::string name;
  std::unique_ptr<Layer> layer;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;  // may be empty when only the state is wanted
  std::vector<ValueId> initial;  // singles that its state parts start from, or none
  std::vector<ValueId> final;    // singles that it shows at the end, or none
  bool keeps_state = false;      // Keras' stateful: the next sequence goes on from here
  int loop = 0;                  // as of its outputs
};

struct Loop {
  int after = -1;                  // the loop that must have ended before the first tick
  std::size_t batch = 1;           // ticks that are worth waiting for, to run at once
  std::vector<std::size_t> feeds;  // what it reads of other loops
  std::vector<std::size_t> fed;    // feeds that read it
  std::vector<std::size_t> frame_steps;
  std::vector<std::size_t> end_steps;  // once, when it has ended
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
  bool same_order() const;            // of the axes, inside and outside
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
  // What the frames of a sequence, or a single, look like in a loop of another pace.
  ValueId add_window(const std::string& name, ValueId value, const TimeWindow& window);
  ValueId add_repeated(const std::string& name, ValueId value, std::int64_t times, bool zeros);
  ValueId add_reversed(const std::string& name, ValueId value);
  ValueId add_slices(const std::string& name, ValueId single);
  void add_output(const std::string& name, ValueId value, const std::vector<std::size_t>& order);

  struct NewLayer {
    std::string name;
    std::unique_ptr<Layer> layer;
    std::vector<ValueId> inputs;
    std::vector<ValueId> initial;
    bool keeps_state = false;
    std::vector<Shape> outputs;  // shape of each frame that run() writes
    std::vector<Shape> final;    // shape of each single that it shows at the end, when wanted
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
  std::size_t value_count() const { return values_.size(); }
  const std::vector<Step>& steps() const { return steps_; }
  const std::vector<Feed>& feeds() const { return feeds_; }
  const std::vector<Loop>& loops() const { return loops_; }
  // Steps that need nothing but inputs known at the start.
  const std::vector<std::size_t>& start_steps() const { return start_steps_; }
  const std::vector<Port>& inputs() const { return inputs_; }
  const std::vector<Port>& outputs() const { return outputs_; }
  // Ticks of each loop once `frames` frames have come in, and will be all when `ended`. Throws
  // InputError when an ended sequence leaves a loop without frames, or with two numbers of them.
  std::vector<std::int64_t> ticks(std::size_t frames, bool ended) const;
  // True when nothing waits for the end of the sequence.
  bool streams() const;
  bool streams(int loop) const;
  // Frames that must follow the first one before the slowest streaming loop ticks.
  std::size_t look_ahead() const;
  // Frames that some loop likes to have at once.
  std::size_t batch() const;
  // True where frames do not depend on each other and take so little memory that each thread may
  // run one.
  bool frames_apart() const;
  // True where no frame makes a streaming loop tick more than once.
  bool in_step(int loop) const;
  std::size_t arena_floats() const { return arena_floats_; }
  std::size_t single_floats() const { return single_floats_; }
  // Bytes of the tensors and the state of a step: what a frame of it reads and writes at least,
  // its weights aside.
  std::size_t bytes_touched(const Step& step) const;

 private:
  ValueId add_value(const Shape& shape, bool sequence, int loop);
  // A loop of its own for what `feed` gives, or the one that has it already.
  ValueId fed_loop(Feed feed, const Shape& shape);
  // `feed` as a value of the loop.
  ValueId add_feed(Feed feed, const Shape& shape, int loop);
  int new_loop(int after);
  // Frames that must have come in for a streaming loop to tick so often.
  std::int64_t frames_for(int loop, std::int64_t ticks) const;
  // The loop in which sequences of these loops meet, not before `after` has ended.
  int meeting(const std::vector<int>& loops, int after);
  bool depends(int loop, int on) const;
  void split_off_batches(int loop);
  void move_to_batches(int loop, const std::vector<bool>& moved);
  void find_takers();
  // True where nothing but this step, and this output, looks at the root.
  bool only_read_by(ValueId root, std::size_t step, std::size_t output) const;
  bool shows_all(ValueId id) const;
  void find_outside();
  void find_checked();
  void place_singles();
  void place_sequences(std::size_t loop);

  const KernelTable* kernels_;
  bool allow_winograd_;
  std::vector<Value> values_;
  std::vector<Step> steps_;
  std::vector<Feed> feeds_;
  std::vector<Loop> loops_{1};
  std::vector<std::size_t> start_steps_;
  std::vector<Port> inputs_, outputs_;
  std::size_t arena_floats_ = 0, single_floats_ = 0;
};

}  // namespace cn
