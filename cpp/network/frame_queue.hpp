// Frames that wait for a loop to look at them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace cn {

// The newest frames of a sequence, by their number in it. A ring: the memory grows only while
// more frames wait than ever before.
class FrameQueue {
 public:
  explicit FrameQueue(std::size_t floats = 0) : floats_(floats) {}

  std::size_t begin() const { return begin_; }
  std::size_t end() const { return end_; }
  std::size_t size() const { return end_ - begin_; }
  const float* at(std::size_t frame) const {
    return borrowed_ ? borrowed_ + (frame - first_borrowed_) * floats_
                     : data_.data() + place(frame);
  }
  // True where `count` frames from this one on are there, one behind the other.
  bool in_a_row(std::size_t frame, std::size_t count) const {
    return frame >= begin_ && frame + count <= end_ &&
           (borrowed_ || frame % capacity_ + count <= capacity_);
  }

  void push(const float* frame) {
    own();
    if (size() == capacity_) grow();
    std::copy_n(frame, floats_, data_.data() + place(end_++));
  }
  // Takes a frame that stays where it is until own(): no copy while one lies behind the other.
  void borrow(const float* frame) {
    if (size() == 0) {
      borrowed_ = frame;
      first_borrowed_ = end_;
    }
    if (borrowed_ == nullptr || frame != at(end_)) return push(frame);
    if (size() == capacity_) grow();  // so that own() needs no memory
    ++end_;
  }
  // Copies what is left of the borrowed frames.
  void own() noexcept {
    if (borrowed_ == nullptr) return;
    for (std::size_t frame = begin_; frame < end_; ++frame) {
      std::copy_n(at(frame), floats_, data_.data() + place(frame));
    }
    borrowed_ = nullptr;
  }
  void drop_before(std::size_t frame) { begin_ = std::max(begin_, std::min(frame, end_)); }

  // Forgets all; the next frame is number `next`. Memory for a whole sequence is given back.
  void clear(std::size_t next = 0) {
    begin_ = end_ = next;
    borrowed_ = nullptr;
    if (capacity_ > kKept) {
      capacity_ = 0;
      std::vector<float>().swap(data_);
    }
  }

 private:
  static constexpr std::size_t kKept = 16;

  std::size_t place(std::size_t frame) const { return frame % capacity_ * floats_; }
  void grow() {
    const std::size_t wanted = capacity_ == 0 ? 4 : 2 * capacity_;
    std::vector<float> larger(wanted * floats_);
    for (std::size_t frame = begin_; frame < end_; ++frame) {
      std::copy_n(at(frame), floats_, larger.data() + frame % wanted * floats_);
    }
    data_.swap(larger);
    capacity_ = wanted;
  }

  std::size_t floats_, capacity_ = 0, begin_ = 0, end_ = 0;
  const float* borrowed_ = nullptr;  // all frames or none
  std::size_t first_borrowed_ = 0;   // the number of the one there
  std::vector<float> data_;
};

}  // namespace cn
