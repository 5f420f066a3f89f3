// One number for all places of some axes: global pooling.
#pragma once

#include "layers/layer.hpp"

namespace cn {

// y[o, i] = the mean or the largest of x[o, n, i] over n.
class Reduce : public Layer {
 public:
  enum class Function { mean, max };
  Reduce(Function function, std::size_t outer, std::size_t count, std::size_t inner);

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  bool checks_inputs() const override { return true; }
  std::string kernel(const Exec& exec) const override;

 private:
  Function function_;
  std::size_t outer_, count_, inner_;
};

}  // namespace cn
