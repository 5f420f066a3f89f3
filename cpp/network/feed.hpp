// How the frames of one loop reach another that runs at its own pace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace cn {

using ValueId = std::size_t;

// Frames that lie near in time: number i of window t is frame t * stride + i * dilation - before.
// `before` places in front and `after` places behind the sequence hold `fill`; negative numbers
// leave frames out.
struct TimeWindow {
  std::int64_t size = 1, stride = 1, dilation = 1;
  std::int64_t before = 0, after = 0;
  float fill = 0.0F;
};

// What a loop reads of an earlier one, or of a single: each of its ticks finds a frame of `to`.
struct Feed {
  enum class Kind {
    window,    // of TimeWindow; one frame as it is unless `to` has an axis more than `from`
    repeat,    // every frame `times` times, or once and then `times - 1` frames of zeros
    reversed,  // from last to first
    slices,    // a single: its first axis is time
  };

  std::string name;  // the layer that asked for it
  ValueId from, to;
  Kind kind = Kind::window;
  TimeWindow window = {};
  std::int64_t times = 1;
  bool zeros = false;

  // Ticks that can run when the source has given `frames`, and will give no more when `ended`.
  std::int64_t ticks(std::int64_t frames, bool ended) const;
  // Frames that the source must have given for `ticks` of a window or repetition to run.
  std::int64_t frames_for(std::int64_t ticks) const;
  // The oldest frame that tick number `tick` and those after it look at.
  std::int64_t oldest(std::int64_t tick) const;
  // True when it asks for the same as `other`, of the same value.
  bool same(const Feed& other) const;
  // True for one frame of the source a tick, as it is.
  bool plain() const;
};

}  // namespace cn
