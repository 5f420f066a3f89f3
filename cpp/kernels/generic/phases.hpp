// Rows of a map between dense and split into phases; kernel_table.hpp has the formulas.
#pragma once

#include <cstddef>

namespace cn {

// From a step of `size` columns at `col` to the next: where less than a step is left, whole places
// that end near the end, some of them for a second time.
template <std::size_t Phases>
inline std::size_t next_step(std::size_t col, std::size_t size, std::size_t cols) {
  const std::size_t left = cols - col - size;
  return left >= size || left < Phases ? size : left / Phases * Phases;
}

template <class V, std::size_t Phases>
inline void join(const float* planes, std::size_t plane, std::size_t cols, float* out) {
  constexpr std::size_t kCols = Phases * V::width;
  std::size_t col = 0;
  while (col + kCols <= cols) {
    V x[Phases];
    for (std::size_t k = 0; k < Phases; ++k) x[k] = V::load(planes + k * plane + col / Phases);
    V::interleave(x);
    for (std::size_t k = 0; k < Phases; ++k) x[k].store(out + col + k * V::width);
    col += next_step<Phases>(col, kCols, cols);
  }
  if (col == cols) return;
  float rest[kCols];
  V x[Phases];
  for (std::size_t k = 0; k < Phases; ++k) x[k] = V::load(planes + k * plane + col / Phases);
  V::interleave(x);
  for (std::size_t k = 0; k < Phases; ++k) x[k].store(rest + k * V::width);
  for (std::size_t i = 0; col + i < cols; ++i) out[col + i] = rest[i];
}

template <class V, std::size_t Phases>
inline void split(const float* x, std::size_t cols, std::size_t first, float* planes,
                  std::size_t plane) {
  constexpr std::size_t kCols = Phases * V::width;
  const auto move = [=](std::size_t col) {
    planes[(first + col) % Phases * plane + (first + col) / Phases] = x[col];
  };
  std::size_t col = 0;
  for (; col < cols && (first + col) % Phases != 0; ++col) move(col);
  while (col + kCols <= cols) {
    V v[Phases];
    for (std::size_t k = 0; k < Phases; ++k) v[k] = V::load(x + col + k * V::width);
    V::deinterleave(v);
    for (std::size_t k = 0; k < Phases; ++k) {
      v[k].store(planes + k * plane + (first + col) / Phases);
    }
    col += next_step<Phases>(col, kCols, cols);
  }
  for (; col + Phases <= cols; col += Phases) {
    float* to = planes + (first + col) / Phases;
    for (std::size_t k = 0; k < Phases; ++k) to[k * plane] = x[col + k];
  }
  for (; col < cols; ++col) move(col);
}

template <class V>
void join_phases(std::size_t phases, const float* planes, std::size_t plane, std::size_t cols,
                 float* out) {
  phases == 4 ? join<V, 4>(planes, plane, cols, out) : join<V, 2>(planes, plane, cols, out);
}

template <class V>
void split_phases(std::size_t phases, const float* x, std::size_t cols, std::size_t first,
                  float* planes, std::size_t plane) {
  phases == 4 ? split<V, 4>(x, cols, first, planes, plane)
              : split<V, 2>(x, cols, first, planes, plane);
}

}  // namespace cn
