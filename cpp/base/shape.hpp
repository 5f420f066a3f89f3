// Sizes of a tensor, outermost axis first.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "base/buffer.hpp"

namespace cn {

using Shape = std::vector<std::size_t>;

inline std::size_t element_count(const Shape& shape) {
  std::size_t count = 1;
  for (const std::size_t length : shape) count = checked_mul(count, length);
  return count;
}

inline std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i != 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + ")";
}

// The largest length of an axis, kernel, stride or dilation: sums and products of two of them fit
// 64 bits, so that shape arithmetic needs no check at every step.
inline constexpr std::size_t kLargestLength = 0x7fffffff;

// Rows and columns, of a kernel, a stride, a map.
struct Size2 {
  std::size_t rows = 1;
  std::size_t cols = 1;
};

// A frame seen as planes of rows of columns.
using Size3 = std::array<std::size_t, 3>;

}  // namespace cn
