// One run of a network over one sample: all that changes from frame to frame.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <vector>

#include "network/frame_queue.hpp"
#include "network/network.hpp"
#include "network/profile.hpp"
#include "network/tensor_io.hpp"

namespace cn {

// Not for two threads at the same time; any number of streams may share a network.
//
//   begin(), then push() for every frame, then finish(); then begin() again.
class Stream {
 public:
  Stream(std::shared_ptr<const Network> network, int threads);

  // Starts a sequence, dropping one that has not finished: states become zero, but for those of
  // stateful layers when `keep` is true. `singles` holds one tensor for each input that is not a
  // sequence, in the order of the inputs. Throws InputError when a number in them is not finite;
  // begin again then.
  void begin(const std::vector<TensorView>& singles, bool keep);

  // Where each output goes: its frames one after another, behind those that are there already.
  using Targets = std::vector<float*>;

  // Runs one frame; `frame` holds one tensor for each input that is a sequence. Writes the frames
  // that outputs have then: as many as counts() grows by. With `more` what runs in batches may wait
  // for the frames that follow. Throws InputError, and leaves the stream as it was, when a number
  // is not finite.
  void push(const std::vector<TensorView>& frame, Targets& to, bool more = false);

  // push() for each of `count` frames, `steps[i]` bytes from one to the next in the i-th input.
  // Where they do not depend on each other a thread may run one while others run the next.
  void push_clip(std::vector<TensorView> frame, const std::vector<std::ptrdiff_t>& steps,
                 std::size_t count, Targets& to);

  // Ends the sequence and writes what is left of each output: the frames, or the single.
  void finish(Targets& to);

  // Frames of each output after `frames` frames, all of them when `ended`; 0 and 1 for a single.
  // Throws InputError when a sequence of so many frames cannot end.
  std::vector<std::size_t> counts(std::size_t frames, bool ended) const;

  // Frames pushed since begin().
  std::size_t frames() const { return frames_; }
  std::unique_ptr<Stream> clone() const;

  // What a sequence so far has left behind, for saving and restoring it.
  struct Part {
    std::string name;
    Shape shape;
  };
  // Of a stream that has seen `frames` frames.
  std::vector<Part> state_parts(std::size_t frames) const;
  void export_state(std::size_t part, float* to) const;
  // Restores what export_state() gave; `frames` is frames() at that time, and `from[i]`
  // belongs to state_parts(frames)[i].
  void import_state(std::size_t frames, const std::vector<const float*>& from);

  // Records from now on what takes how long, with room for that many frames made at once. A clone
  // records nothing. profile() is null before.
  void start_profile(std::size_t frames);
  const Profile* profile() const { return profile_.get(); }

  std::size_t state_bytes() const;
  const Network& network() const { return *network_; }

 private:
  struct Progress {
    std::int64_t ticks = 0;
    bool ended = false;
  };

  // Runs some frames of a clip on one thread.
  struct Helper {
    std::unique_ptr<Stream> stream;
    std::vector<TensorView> frame;
    Targets to;
    std::exception_ptr error;  // of frame number `failed` of the clip
    std::size_t failed;
  };

  // While a loop ticks, where a value of it lies; null where a layer takes the frame row by row.
  float* at(ValueId id);
  const float* at(ValueId id) const;
  // From one tick of a batch to the next, in floats.
  std::size_t step_of(ValueId id) const;
  Reader reader_of(ValueId id);
  // False when a number is not finite; where a step looks, exec_.not_finite waits for it.
  bool import_input(std::size_t input, const TensorView& from);
  const Port* refused(const std::vector<TensorView>& frame, std::size_t end) const;
  [[noreturn]] void refuse(const Port& port, Targets& to);
  void import_initial(int loop);
  std::size_t frames_apart(std::size_t count) const;
  void push_apart(const std::vector<TensorView>& frame, const std::vector<std::ptrdiff_t>& steps,
                  std::size_t count, Targets& to);
  void run_step(std::size_t index, std::size_t ticks);
  void write_output(std::size_t output, std::size_t tick, Targets& to);
  void set_frame(std::int64_t frame);

  std::int64_t ready(const Loop& loop, std::int64_t done) const;
  void take(const Feed& feed, std::int64_t tick, float* to) const;
  bool may_borrow(int loop, const Feed& feed) const;
  // `frame`: what was pushed, for inputs that the first step looks at.
  void tick(int loop, std::size_t ticks, Targets& to,
            const std::vector<TensorView>* frame = nullptr);
  void run_ready(int loop, bool wait_for_batch, Targets& to);
  void run_loops(bool wait_for_batch, Targets& to);  // all but the first
  void end(int loop, Targets& to);

  std::shared_ptr<const Network> network_;
  Exec exec_;
  Buffer arena_, singles_, scratch_;
  std::vector<State> states_;       // of each step
  std::vector<FrameQueue> queues_;  // of each feed
  std::vector<Progress> progress_;  // of each loop
  // Of each value: where it lies while it is in the caller's memory, to be read or made there, or
  // in the queue of a feed.
  std::vector<float*> outside_;
  std::atomic<bool> not_finite_{false};
  std::vector<const float*> in_;  // pointers for run_step, kept to spare the heap
  std::vector<float*> out_;
  std::vector<Helper> helpers_;  // none until push_clip() wants them
  std::size_t frames_ = 0;
  bool finished_ = false, in_clip_ = false;
  std::unique_ptr<Profile> profile_;  // null: nothing is recorded
};

}  // namespace cn
