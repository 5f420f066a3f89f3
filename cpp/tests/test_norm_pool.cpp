// Normalization and pooling against the formula, over windows, paddings and instruction sets.
#include <cmath>
#include <limits>

#include "check.hpp"
#include "kernels/dispatch.hpp"
#include "layers/norm_pool.hpp"

namespace cn::test {
namespace {

void check(Size3 input, Pool pool, std::size_t norm_axis) {
  const bool with_norm = norm_axis < 3;
  std::optional<Norm> norm;
  if (with_norm) {
    norm = Norm{norm_axis, random_floats(input[norm_axis], 1), random_floats(input[norm_axis], 2)};
  }
  const NormPool layer(input, norm, pool);
  const std::vector<float> x = random_floats(input[0] * input[1] * input[2], 3);
  const Size3 out = layer.output();
  std::vector<float> y(out[0] * out[1] * out[2]);
  const auto before = [&](std::size_t axis) {
    return static_cast<std::ptrdiff_t>(
        window(input[axis], pool.window[axis], pool.strides[axis], pool.same).before);
  };
  const auto expected = [&](std::size_t a, std::size_t b, std::size_t c) {
    double best = -std::numeric_limits<double>::infinity();
    double sum = 0.0, count = 0.0;
    const std::size_t at[3] = {a, b, c};
    for (std::size_t i = 0; i < pool.window[0] * pool.window[1] * pool.window[2]; ++i) {
      const std::size_t k[3] = {i / (pool.window[1] * pool.window[2]),
                                i / pool.window[2] % pool.window[1], i % pool.window[2]};
      std::size_t place[3];
      bool inside = true;
      for (std::size_t d = 0; d < 3; ++d) {
        const auto p = static_cast<std::ptrdiff_t>(at[d] * pool.strides[d] + k[d]) - before(d);
        inside = inside && p >= 0 && p < static_cast<std::ptrdiff_t>(input[d]);
        place[d] = static_cast<std::size_t>(p);
      }
      if (!inside) continue;
      auto v = static_cast<double>(x[(place[0] * input[1] + place[1]) * input[2] + place[2]]);
      if (with_norm) {
        v = v * static_cast<double>(norm->scale[place[norm_axis]]) +
            static_cast<double>(norm->shift[place[norm_axis]]);
      }
      best = std::fmax(best, v);
      sum += v;
      count += 1.0;
    }
    return pool.mean ? sum / count : best;
  };
  for (const std::string& isa : available_isas()) {
    State none;
    const float* in = x.data();
    float* to = y.data();
    layer.run({&select_kernels(isa), 2}, &in, &to, none);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double want = expected(i / (out[1] * out[2]), i / out[2] % out[1], i % out[2]);
      CN_CHECK(std::abs(static_cast<double>(y[i]) - want) < 1e-6);
    }
  }
}

}  // namespace
}  // namespace cn::test

int main() {
  using namespace cn;
  using namespace cn::test;
  for (std::size_t axis = 0; axis <= 3; ++axis) {
    check({3, 9, 21}, {}, axis);
    check({3, 9, 21}, {{1, 2, 2}, {1, 2, 2}, true}, axis);
    check({3, 9, 21}, {{1, 3, 3}, {1, 3, 3}, true}, axis);
    check({4, 7, 13}, {{2, 3, 4}, {1, 2, 3}, false}, axis);
    check({2, 3, 1100}, {{2, 2, 5}, {2, 1, 2}, true}, axis);
    check({3, 9, 21}, {{1, 2, 2}, {1, 2, 2}, true, true}, axis);
    check({4, 7, 13}, {{2, 3, 4}, {1, 2, 3}, true, true}, axis);
    check({4, 7, 13}, {{2, 3, 4}, {1, 2, 3}, false, true}, axis);
    // Windows that slide over vectors, and those that are too wide for it.
    check({2, 3, 1100}, {{1, 1, 128}, {1, 1, 1}, true}, axis);
    check({2, 3, 1100}, {{1, 2, 129}, {1, 1, 7}, true, true}, axis);
  }
  CN_CHECK_THROWS(UnsupportedError, NormPool({1, 2, 2}, {}, Pool{{1, 3, 1}, {1, 1, 1}, false}));
  return report();
}
