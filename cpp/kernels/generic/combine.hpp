// Two tensors made one, element by element; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/combine.hpp"
#include "kernels/generic/finite.hpp"
#include "kernels/generic/inline.hpp"

namespace cn {

template <class V, Combine F>
CN_INLINE V combined(V a, V b) {
  switch (F) {
    case Combine::add:
      return a + b;
    case Combine::subtract:
      return a - b;
    case Combine::multiply:
      return a * b;
    case Combine::divide:
      return a / b;
    case Combine::maximum:  // of V::max only a NaN in its second argument comes through
      return V::where_ge(a, a, V::max(a, b), a);
    case Combine::minimum:
      return V::where_ge(a, a, V::min(a, b), a);
    case Combine::prelu:
      return V::where_ge(a, V::broadcast(0.0F), a, a * b);
  }
  return a;
}

// Steps are known to the compiler: 0 is one number for all, which stays in a register.
template <class V, Combine F, std::size_t AStep, std::size_t BStep>
bool combine_stepping(const float* a, const float* b, float* out, std::size_t count) {
  constexpr std::size_t kVectors = 4;
  FiniteCheck<V, kVectors> check;
  const auto one = [&](auto chain, std::size_t i) CN_LAMBDA {
    const V x = AStep != 0 ? V::load(a + i) : V::broadcast(*a);
    const V y = combined<V, F>(x, BStep != 0 ? V::load(b + i) : V::broadcast(*b));
    check.template look<chain>(y);
    y.store(out + i);
  };
  std::size_t i = 0;
  for (; i + kVectors * V::width <= count; i += kVectors * V::width) {
    unroll<kVectors>([&](auto k) CN_LAMBDA { one(k, i + k * V::width); });
  }
  for (; i + V::width <= count; i += V::width) one(Index<0>{}, i);
  for (; i < count; ++i) {
    // One element in all lanes: the same arithmetic as in a full vector.
    float lanes[V::width];
    combined<V, F>(V::broadcast(a[i * AStep]), V::broadcast(b[i * BStep])).store(lanes);
    check.look_at_one(lanes[0]);
    out[i] = lanes[0];
  }
  return check.all_finite();
}

template <class V, Combine F>
bool combine_as(const float* a, std::size_t a_step, const float* b, std::size_t b_step, float* out,
                std::size_t count) {
  if (a_step != 0 && b_step != 0) return combine_stepping<V, F, 1, 1>(a, b, out, count);
  if (a_step != 0) return combine_stepping<V, F, 1, 0>(a, b, out, count);
  if (b_step != 0) return combine_stepping<V, F, 0, 1>(a, b, out, count);
  return combine_stepping<V, F, 0, 0>(a, b, out, count);
}

template <class V>
bool combine(Combine f, const float* a, std::size_t a_step, const float* b, std::size_t b_step,
             float* out, std::size_t count) {
  switch (f) {
    case Combine::add:
      return combine_as<V, Combine::add>(a, a_step, b, b_step, out, count);
    case Combine::subtract:
      return combine_as<V, Combine::subtract>(a, a_step, b, b_step, out, count);
    case Combine::multiply:
      return combine_as<V, Combine::multiply>(a, a_step, b, b_step, out, count);
    case Combine::divide:
      return combine_as<V, Combine::divide>(a, a_step, b, b_step, out, count);
    case Combine::maximum:
      return combine_as<V, Combine::maximum>(a, a_step, b, b_step, out, count);
    case Combine::minimum:
      return combine_as<V, Combine::minimum>(a, a_step, b, b_step, out, count);
    case Combine::prelu:
      return combine_as<V, Combine::prelu>(a, a_step, b, b_step, out, count);
  }
  return false;
}

}  // namespace cn
