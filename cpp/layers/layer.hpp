// A layer of a running network: immutable weights and the code for one frame.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/buffer.hpp"
#include "base/shape.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// How to run: which kernels, on how many threads.
struct Exec {
  const KernelTable* kernels;
  int threads;
  // Memory that each thread may write while a layer runs: Layer::scratch_floats() of them.
  float* scratch = nullptr;
  std::size_t scratch_stride = 0;

  // Set where a number of a layer's inputs may not be finite; null where nobody asks.
  std::atomic<bool>* not_finite = nullptr;

  float* scratch_of(std::size_t part) const { return scratch + part * scratch_stride; }
  // What a kernel has seen of a layer's inputs.
  void report(bool finite) const {
    if (not_finite != nullptr && !finite) not_finite->store(true, std::memory_order_relaxed);
  }
  // Looks at numbers that are near: just read, or just made of those that were read.
  void check(const float* x, std::size_t count) const {
    if (not_finite != nullptr) report(kernels->all_finite(x, count));
  }
};

// Threads worth waking for `operations` multiply-adds: a team costs a few microseconds,
// which is some ten thousand of them.
inline int threads_for(const Exec& exec, double operations) {
  constexpr double kOperationsPerThread = 50e3;
  const double useful = operations / kOperationsPerThread;
  if (useful >= exec.threads) return exec.threads;
  return useful < 1.0 ? 1 : static_cast<int>(useful);
}

class Layer;
struct State;

// A layer that takes the rows of a frame as they are made, and its state, which keeps them in an
// order of its own; or nobody.
struct Reader {
  const Layer* layer = nullptr;
  State* state = nullptr;

  explicit operator bool() const { return layer != nullptr; }
  void put_row(std::size_t row, const float* x) const;
};

// What a layer remembers from frame to frame, in one stream.
struct State {
  Buffer data;
  std::int64_t frames = 0;         // processed since the state was zero or imported
  bool zero = false;               // the state is zero, whatever `data` holds
  std::vector<char> written = {};  // of the newest frame: 1 for each row that has left the layer
  Reader reader = {};              // of the layer's frames, in place of `out`
};

// A part of the state that users may read and set, such as h and c.
struct StatePart {
  std::string name;
  Shape shape;
};

class Layer {
 public:
  virtual ~Layer() = default;

  // Computes one frame. `in` and `out` are dense tensors in the shapes that the network gave
  // the layer; none overlaps another. `out` is null when only the state is wanted. out[0] is null
  // where the frame goes to State::reader, in[0] where put_row() has had it already.
  virtual void run(const Exec& exec, const float* const* in, float* const* out,
                   State& state) const = 0;

  // True where run() reports to Exec on all its inputs, and so spares them a pass before. An alarm
  // may be false.
  virtual bool checks_inputs() const { return false; }

  // True where several frames at once take less time than one by one. Such a layer keeps no state
  // and has one input and one output.
  virtual bool likes_batches() const { return false; }
  // Computes `frames` frames to the same bits as run(), each `in_step` and `out_step` floats after
  // the one before.
  virtual void run_batch(const Exec&, std::size_t /*frames*/, const float* /*in*/,
                         std::size_t /*in_step*/, float* /*out*/, std::size_t /*out_step*/) const {}

  // True where frames may wait for a batch on their way to the layer.
  virtual bool can_wait() const { return state_floats() == 0; }

  // True where rows of the one input may come by put_row().
  virtual bool takes_rows() const { return false; }
  // Row `row` of the next frame, a dense tensor cut into rows of its last axis. Threads may bring
  // different rows at the same time.
  virtual void put_row(State&, std::size_t /*row*/, const float* /*x*/) const {}
  // True where the frame goes to State::reader if there is one.
  virtual bool gives_rows() const { return false; }

  // Makes the state that of a sequence that has not begun; `data` holds zeros or an old state.
  virtual void clear(const Exec& exec, State& state) const;

  // Floats of State::data; a stream starts with zeros.
  virtual std::size_t state_floats() const { return 0; }
  // Floats of scratch that each thread needs.
  virtual std::size_t scratch_floats() const { return 0; }
  virtual std::vector<StatePart> state_parts() const { return {}; }
  virtual void export_state(const State&, std::size_t /*part*/, float* /*to*/) const {}
  // `state.frames` is set before the first part comes.
  virtual void import_state(State&, std::size_t /*part*/, const float* /*from*/) const {}
  // What the layer shows when its sequence has ended; its state parts, unless it says otherwise.
  virtual void export_final(const State& state, std::size_t part, float* to) const {
    export_state(state, part, to);
  }

  // Which code runs, for people.
  virtual std::string kernel(const Exec&) const { return "plain"; }
  // Why that code, where there was a choice: a sentence with the costs compared; "" otherwise.
  virtual std::string choice() const { return ""; }
};

inline void Reader::put_row(std::size_t row, const float* x) const {
  layer->put_row(*state, row, x);
}

}  // namespace cn
