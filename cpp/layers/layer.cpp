#include "layers/layer.hpp"

#include <algorithm>

#include "base/parallel.hpp"

namespace cn {

void Layer::clear(const Exec& exec, State& state) const {
  Buffer& data = state.data;
  const int threads = threads_for(exec, static_cast<double>(data.size()));
  parallel_for(threads, data.size(), [&](std::size_t begin, std::size_t end) {
    std::fill(data.data() + begin, data.data() + end, 0.0F);
  });
  state.frames = 0;
  state.zero = false;
}

}  // namespace cn
