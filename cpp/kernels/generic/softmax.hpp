// Exponentials over their sum; kernel_table.hpp has the formula.
#pragma once

#include <cstddef>

#include "kernels/generic/activation.hpp"
#include "kernels/generic/reduce.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// exp(x) for x <= 0, within 2e-7 of it; below -87, where float32 ends, exp(-87).
template <class V>
CN_INLINE V exp_of_negative(V x) {
  const auto constant = [](float c) CN_LAMBDA { return V::broadcast(c); };
  const V bounded = V::max(constant(-87.0F), x);
  // x = n log 2 + r, |r| <= log(2) / 2: the magic number leaves n in the last bits.
  constexpr float kMagic = 12582912.0F;  // 1.5 * 2^23
  const V magic = V::fma(bounded, constant(1.44269504F), constant(kMagic));
  const V n = magic - constant(kMagic);
  // log 2 in two parts, the first short enough for an exact product.
  V r = V::fma(n, constant(-0.693359375F), bounded);
  r = V::fma(n, constant(2.12194440e-4F), r);
  // Taylor's polynomial; its first term left out is below 1e-8 of the result.
  constexpr float kTaylor[] = {1.0F,         1.0F,          0.5F,          1.0F / 6.0F,
                               1.0F / 24.0F, 1.0F / 120.0F, 1.0F / 720.0F, 1.0F / 5040.0F};
  const V argument[1] = {r};
  V p[1];
  polynomial(kTaylor, argument, p);
  return p[0] * V::power_of_two(magic);
}

template <class V>
CN_INLINE void store_until(V x, float* p, const float* end) {
  if (end - p >= static_cast<std::ptrdiff_t>(V::width)) return x.store(p);
  float lanes[V::width];
  x.store(lanes);
  for (std::size_t i = 0; p + i < end; ++i) p[i] = lanes[i];
}

template <class V>
CN_INLINE V logarithm_of(V x) {
  float lanes[V::width];
  x.store(lanes);
  for (float& lane : lanes) lane = __builtin_logf(lane);
  return V::load(lanes);
}

// A vector of columns, one place of the axis below the other.
template <class V>
CN_INLINE void softmax_columns(const SoftmaxBlock& b, std::size_t col) {
  const std::size_t count = b.columns - col < V::width ? b.columns - col : V::width;
  const auto load = [&](const float* at) CN_LAMBDA { return load_until<V>(at, at + count); };
  const float* x = b.x + col;
  float* y = b.y + col;
  V largest = load(x);
  for (std::size_t a = 1; a < b.axis; ++a) largest = V::max(largest, load(x + a * b.step));
  V sum = V::broadcast(0.0F);
  for (std::size_t a = 0; a < b.axis; ++a) {
    const V e = exp_of_negative(load(x + a * b.step) - largest);
    sum = sum + e;
    if (!b.logarithm) store_until(e, y + a * b.step, y + a * b.step + count);
  }
  const V last = b.logarithm ? logarithm_of(sum) : V::broadcast(1.0F) / sum;
  for (std::size_t a = 0; a < b.axis; ++a) {
    float* to = y + a * b.step;
    const V e = b.logarithm ? (load(x + a * b.step) - largest) - last : load(to) * last;
    store_until(e, to, to + count);
  }
}

// One column whose places are neighbours: the lanes lie along the axis.
template <class V>
CN_INLINE void softmax_row(const SoftmaxBlock& b) {
  const float* end = b.x + b.axis;
  const std::size_t whole = b.axis / V::width * V::width;
  V largest = V::broadcast(b.x[0]);
  for (std::size_t i = 0; i < whole; i += V::width) largest = V::max(largest, V::load(b.x + i));
  float lanes[V::width];
  largest.store(lanes);
  float most = lanes[0];
  for (const float lane : lanes) most = lane > most ? lane : most;
  for (std::size_t i = whole; i < b.axis; ++i) most = b.x[i] > most ? b.x[i] : most;
  const V shift = V::broadcast(most);
  double sum = 0.0;
  const auto exponential = [&](std::size_t i)
                               CN_LAMBDA { return exp_of_negative(V::load(b.x + i) - shift); };
  for (std::size_t first = 0; first < whole; first += kRowsInFloat * V::width) {
    V part = V::broadcast(0.0F);
    const std::size_t next = first + kRowsInFloat * V::width;
    for (std::size_t i = first; i < (next < whole ? next : whole); i += V::width) {
      const V e = exponential(i);
      if (!b.logarithm) e.store(b.y + i);
      part = part + e;
    }
    part.store(lanes);
    for (const float lane : lanes) sum += static_cast<double>(lane);
  }
  if (whole != b.axis) {
    const V e = exp_of_negative(load_until<V>(b.x + whole, end) - shift);
    e.store(lanes);
    for (std::size_t i = whole; i < b.axis; ++i) sum += static_cast<double>(lanes[i - whole]);
    if (!b.logarithm) store_until(e, b.y + whole, b.y + b.axis);
  }
  const V last = V::broadcast(static_cast<float>(b.logarithm ? __builtin_log(sum) : 1.0 / sum));
  const float* from = b.logarithm ? b.x : b.y;
  const auto finish = [&](V x) CN_LAMBDA { return b.logarithm ? (x - shift) - last : x * last; };
  for (std::size_t i = 0; i < whole; i += V::width) finish(V::load(from + i)).store(b.y + i);
  if (whole != b.axis) {
    const V x = load_until<V>(from + whole, from + b.axis);
    store_until(finish(x), b.y + whole, b.y + b.axis);
  }
}

template <class V>
void softmax_block(const SoftmaxBlock& b) {
  if (b.step == 1 && b.columns == 1) return softmax_row<V>(b);
  for (std::size_t col = 0; col < b.columns; col += V::width) softmax_columns<V>(b, col);
}

}  // namespace cn
