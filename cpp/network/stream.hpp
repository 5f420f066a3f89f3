// One run of a network over one sample: all that changes from frame to frame.
#pragma once

#include <memory>
#include <vector>

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

  // Runs one frame; `frame` holds one tensor for each input that is a sequence. Throws
  // InputError, and leaves the stream as it was, when a number is not finite.
  void push(const std::vector<TensorView>& frame);

  // Copies an output of phase 0, for the frame pushed last.
  void copy_output(std::size_t output, float* to) const;

  // Ends the sequence and writes all other outputs: `to[i]` takes the single, or all frames()
  // frames, of output i, and may be null for those of phase 0.
  void finish(const std::vector<float*>& to);

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
  float* at(ValueId id);
  const float* at(ValueId id) const;
  bool import_input(std::size_t input, const TensorView& from);
  void run_step(std::size_t index);
  void set_frame(std::int64_t frame);
  void import_initial(const Phase& phase);
  void end_phase(const Phase& phase);
  void record(int phase);
  void play(const Phase& phase, std::size_t frame);

  std::shared_ptr<const Network> network_;
  Exec exec_;
  Buffer arena_, singles_, scratch_;
  std::vector<State> states_;                // of each step
  std::vector<std::vector<float>> records_;  // of each replay: its frames so far
  std::vector<const float*> in_;             // pointers for run_step, kept to spare the heap
  std::vector<float*> out_;
  std::size_t frames_ = 0;
  bool finished_ = false;
  std::unique_ptr<Profile> profile_;  // null: nothing is recorded
};

}  // namespace cn
