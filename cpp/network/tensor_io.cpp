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

// Offset of a row inside, given the strides of the axes outside.
std::ptrdiff_t row_offset(const Port& port, const std::vector<std::ptrdiff_t>& strides,
                          std::size_t row) {
  std::ptrdiff_t offset = 0;
  for (std::size_t i = port.order.size(); i-- > 1;) {
    const std::size_t axis = port.order[i - 1];
    offset += static_cast<std::ptrdiff_t>(row % port.shape[axis]) * strides[axis];
    row /= port.shape[axis];
  }
  return offset;
}

// Stride of the elements of a row inside.
std::ptrdiff_t col_stride(const Port& port, const std::vector<std::ptrdiff_t>& strides) {
  return port.order.empty() ? 1 : strides[port.order.back()];
}

int threads_of(const Exec& exec, const Port& port) {
  return threads_for(exec, static_cast<double>(port.rows) * static_cast<double>(port.cols));
}

}  // namespace

bool import_tensor(const Exec& exec, const Port& port, const TensorView& from, float* to) {
  const std::ptrdiff_t stride = col_stride(port, from.strides);
  const auto* data = static_cast<const std::byte*>(from.data);
  std::atomic<bool> finite{true};
  parallel_for(threads_of(exec, port), port.rows, [&](std::size_t begin, std::size_t end) {
    std::int32_t largest = 0;
    for (std::size_t row = begin; row < end; ++row) {
      const std::byte* at = data + row_offset(port, from.strides, row);
      float* out = to + row * port.cols;
      largest = std::max(largest, from.dtype == DType::uint8
                                      ? import_row<std::uint8_t>(at, stride, port.cols, out)
                                      : import_row<float>(at, stride, port.cols, out));
    }
    if (largest >= kInfinityBits) finite.store(false, std::memory_order_relaxed);
  });
  return finite.load();
}

void export_tensor(const Exec& exec, const Port& port, const float* from, float* to) {
  const std::ptrdiff_t stride = col_stride(port, port.dense);
  parallel_for(threads_of(exec, port), port.rows, [&](std::size_t begin, std::size_t end) {
    for (std::size_t row = begin; row < end; ++row) {
      float* out = to + row_offset(port, port.dense, row);
      const float* in = from + row * port.cols;
      for (std::size_t i = 0; i < port.cols; ++i) {
        out[static_cast<std::ptrdiff_t>(i) * stride] = in[i];
      }
    }
  });
}

}  // namespace cn
