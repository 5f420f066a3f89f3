#include "network/tensor_io.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "base/parallel.hpp"

namespace cn {
namespace {

// Bits of a float32 whose exponent says infinite or NaN, the sign aside.
constexpr std::int32_t kInfinityBits = 0x7f800000;

// Copies a row with a stride in bytes; returns the largest magnitude met, as bits: as
// integers, magnitudes of floats are in the order of the floats, NaN on top.
template <class T>
std::int32_t copy_row(const std::byte* from, std::ptrdiff_t stride, std::size_t count, float* to) {
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < count; ++i, from += stride) {
    T element;
    std::memcpy(&element, from, sizeof element);
    to[i] = static_cast<float>(element);
    std::int32_t bits;
    std::memcpy(&bits, to + i, sizeof bits);
    largest = std::max(largest, bits & 0x7fffffff);
  }
  return largest;
}

template <class T>
std::int32_t import_row(const std::byte* from, std::ptrdiff_t stride, std::size_t count,
                        float* to) {
  // The usual case with the stride known to the compiler, which then uses vectors.
  if (stride == sizeof(T)) return copy_row<T>(from, sizeof(T), count, to);
  return copy_row<T>(from, stride, count, to);
}

// Shape of the port inside, as rows of the last axis.
struct Rows {
  Shape shape;
  std::size_t cols, count;
};

Rows rows_of(const Port& port) {
  Shape shape;
  for (const std::size_t axis : port.order) shape.push_back(port.shape[axis]);
  if (shape.empty()) shape.push_back(1);
  const std::size_t cols = shape.back();
  return {shape, cols, element_count(shape) / cols};
}

// Offset of a row, given the stride of each axis inside.
template <class Stride>
Stride row_offset(const Shape& shape, const std::vector<Stride>& strides, std::size_t row) {
  Stride offset{0};
  for (std::size_t axis = shape.size() - 1; axis-- > 0;) {
    offset += static_cast<Stride>(row % shape[axis]) * strides[axis];
    row /= shape[axis];
  }
  return offset;
}

template <class Stride>
std::vector<Stride> reorder(const std::vector<Stride>& strides,
                            const std::vector<std::size_t>& order) {
  std::vector<Stride> inside;
  for (const std::size_t axis : order) inside.push_back(strides[axis]);
  if (inside.empty()) inside.push_back(1);
  return inside;
}

}  // namespace

bool import_tensor(const Exec& exec, const Port& port, const TensorView& from, float* to) {
  const Rows rows = rows_of(port);
  const std::vector<std::ptrdiff_t> strides = reorder(from.strides, port.order);
  const auto* data = static_cast<const std::byte*>(from.data);
  std::atomic<bool> finite{true};
  const int threads = threads_for(exec, static_cast<double>(rows.count * rows.cols));
  parallel_for(threads, rows.count, [&](std::size_t begin, std::size_t end) {
    std::int32_t largest = 0;
    for (std::size_t row = begin; row < end; ++row) {
      const std::byte* at = data + row_offset(rows.shape, strides, row);
      float* out = to + row * rows.cols;
      largest = std::max(largest, from.dtype == DType::uint8
                                      ? import_row<std::uint8_t>(at, strides.back(), rows.cols, out)
                                      : import_row<float>(at, strides.back(), rows.cols, out));
    }
    if (largest >= kInfinityBits) finite.store(false, std::memory_order_relaxed);
  });
  return finite.load();
}

void export_tensor(const Exec& exec, const Port& port, const float* from, float* to) {
  const Rows rows = rows_of(port);
  std::vector<std::size_t> outside(port.shape.size());
  std::size_t stride = 1;
  for (std::size_t axis = outside.size(); axis-- > 0; stride *= port.shape[axis]) {
    outside[axis] = stride;
  }
  const std::vector<std::size_t> strides = reorder(outside, port.order);
  const int threads = threads_for(exec, static_cast<double>(rows.count * rows.cols));
  parallel_for(threads, rows.count, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      float* out = to + row_offset(rows.shape, strides, row);
      const float* in = from + row * rows.cols;
      for (std::size_t i = 0; i < rows.cols; ++i) out[i * strides.back()] = in[i];
    }
  });
}

}  // namespace cn
