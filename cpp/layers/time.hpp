// Layers that turn a sequence into a single.
#pragma once

#include <string>

#include "layers/layer.hpp"

namespace cn {

// All frames side by side, in the order in which they came: (length, *frame).
class Collect : public Layer {
 public:
  Collect(std::string name, std::size_t length, const Shape& frame);

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  std::size_t state_floats() const override { return checked_mul(length_, floats_); }
  std::vector<StatePart> state_parts() const override;
  void export_state(const State& state, std::size_t part, float* to) const override;
  void import_state(State& state, std::size_t part, const float* from) const override;
  // Throws InputError when other than `length` frames have come.
  void export_final(const State& state, std::size_t part, float* to) const override;

 private:
  std::string name_;
  std::size_t length_, floats_;
  Shape shape_;
};

// The mean or the largest of all frames, element by element. The sum is kept with what rounding
// took from it (Neumaier's compensated sum), so that its error does not grow with the frames.
class ReduceTime : public Layer {
 public:
  enum class Function { mean, max };
  ReduceTime(Function function, const Shape& frame);

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  std::size_t state_floats() const override { return 2 * floats_; }
  std::vector<StatePart> state_parts() const override;
  void export_state(const State& state, std::size_t part, float* to) const override;
  void import_state(State& state, std::size_t part, const float* from) const override;
  void export_final(const State& state, std::size_t part, float* to) const override;

 private:
  Function function_;
  Shape shape_;
  std::size_t floats_;
};

}  // namespace cn
