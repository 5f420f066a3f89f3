// Looking for infinities and NaN, beside other work on the same numbers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/generic/inline.hpp"

namespace cn {

// What is left of a tensor from p on, zeros behind its end.
template <class V>
CN_INLINE V load_until(const float* p, const float* end) {
  if (end - p >= static_cast<std::ptrdiff_t>(V::width)) return V::load(p);
  float lanes[V::width] = {};
  for (std::size_t i = 0; p + i < end; ++i) lanes[i] = p[i];
  return V::load(lanes);
}

template <class V>
CN_INLINE void store_until(V x, float* p, const float* end) {
  if (end - p >= static_cast<std::ptrdiff_t>(V::width)) return x.store(p);
  float lanes[V::width];
  x.store(lanes);
  for (std::size_t i = 0; p + i < end; ++i) p[i] = lanes[i];
}

// Half to half, so that few joins wait for each other; destroys the lanes.
template <std::size_t Width, class T, class Join>
CN_INLINE T join_lanes(T (&lanes)[Width], Join join) {
  for (std::size_t half = Width / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) lanes[i] = join(lanes[i], lanes[half + i]);
  }
  return lanes[0];
}

// A sum of zero times each number is zero, unless one is infinite or not a number. `Chains`
// overlap.
template <class V, std::size_t Chains>
class FiniteCheck {
 public:
  CN_INLINE FiniteCheck() {
    for (V& sum : sums_) sum = V::broadcast(0.0F);
  }
  template <std::size_t Chain>
  CN_INLINE void look(V x) {
    static_assert(Chain < Chains);
    sums_[Chain] = V::fma(V::broadcast(0.0F), x, sums_[Chain]);
  }
  CN_INLINE void look_at_one(float x) { one_ += 0.0F * x; }
  CN_INLINE bool all_finite() const {
    V all = sums_[0];
    for (std::size_t k = 1; k < Chains; ++k) all = all + sums_[k];
    float lanes[V::width];
    all.store(lanes);
    return join_lanes<V::width>(lanes, [](float a, float b) { return a + b; }) + one_ == 0.0F;
  }

 private:
  float one_ = 0.0F;
  V sums_[Chains];
};

template <class V>
bool all_finite(const float* x, std::size_t count) {
  constexpr std::size_t kChains = 4;
  FiniteCheck<V, kChains> check;
  std::size_t i = 0;
  for (; i + kChains * V::width <= count; i += kChains * V::width) {
    unroll<kChains>([&](auto k)
                        CN_LAMBDA { check.template look<k>(V::load(x + i + k * V::width)); });
  }
  for (; i < count; i += V::width) check.template look<0>(load_until<V>(x + i, x + count));
  return check.all_finite();
}

// out = x, which it looks at. Stores are aligned but for both ends. A load waits for the stores
// before it that have not left the core yet and whose addresses end in the same 12 bits: those of a
// place up to a few lines ahead of its own modulo a page. So loads are `kAhead` vectors ahead of
// stores.
template <class V>
bool copy_finite(const float* x, std::size_t count, float* out) {
  constexpr std::size_t kChains = 4, kAhead = 8, kStep = kAhead * V::width;
  FiniteCheck<V, kChains> check;
  if (count < V::width) {
    for (std::size_t i = 0; i < count; ++i) {
      check.look_at_one(x[i]);
      out[i] = x[i];
    }
    return check.all_finite();
  }
  const auto put = [&](auto k, V v, std::size_t i) CN_LAMBDA {
    check.template look<k % kChains>(v);
    v.store(out + i);
  };
  put(Index<0>{}, V::load(x), 0);
  std::size_t i = V::width - reinterpret_cast<std::uintptr_t>(out) / sizeof(float) % V::width;
  if (i + kStep <= count) {
    V loaded[kAhead];
    unroll<kAhead>([&](auto k) CN_LAMBDA { loaded[k] = V::load_once(x + i + k * V::width); });
    for (; i + 2 * kStep <= count; i += kStep) {
      unroll<kAhead>([&](auto k) CN_LAMBDA {
        const V next = V::load_once(x + i + kStep + k * V::width);
        put(k, loaded[k], i + k * V::width);
        loaded[k] = next;
      });
    }
    unroll<kAhead>([&](auto k) CN_LAMBDA { put(k, loaded[k], i + k * V::width); });
    i += kStep;
  }
  for (; i + V::width <= count; i += V::width) put(Index<0>{}, V::load(x + i), i);
  if (i < count) put(Index<0>{}, V::load(x + count - V::width), count - V::width);
  return check.all_finite();
}

}  // namespace cn
