// Memory for floats that vector kernels read and write.
#pragma once

#include <cstddef>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace cn {

inline constexpr std::size_t kAlignment = 64;  // bytes: a cache line, an AVX-512 vector
inline constexpr std::size_t kAlignedFloats = kAlignment / sizeof(float);

// Elements that an address can count: those of a tensor of floats.
inline constexpr std::size_t kMostElements = std::numeric_limits<std::size_t>::max() / 16;

// a * b and a + b, or an error where a tensor of that many elements could not be addressed.
inline void require_fit(std::size_t a, std::size_t b, bool fits) {
  if (!fits) {
    throw UnsupportedError("a tensor of this network has more elements than fit an address: " +
                           std::to_string(a) + " by " + std::to_string(b));
  }
}
inline std::size_t checked_mul(std::size_t a, std::size_t b) {
  require_fit(a, b, b == 0 || a <= kMostElements / b);
  return a * b;
}

inline std::size_t checked_add(std::size_t a, std::size_t b) {
  require_fit(a, b, a <= kMostElements && b <= kMostElements - a);
  return a + b;
}

// `count` rounded up to a multiple of `step`.
inline std::size_t round_up(std::size_t count, std::size_t step) {
  return (count + step - 1) / step * step;
}

// At least `floats`, and an odd number of cache lines: neighbours do not fall on the same sets.
inline std::size_t odd_lines(std::size_t floats) {
  const std::size_t size = round_up(floats, kAlignedFloats);
  return size / kAlignedFloats % 2 == 0 ? size + kAlignedFloats : size;
}

// Memory aligned to kAlignment; on Linux, of half a large page and more, whole large pages where
// the system gives them on request. The kernels walk hundreds of planes side by side, more pages of
// 4 KB than a core keeps at hand, and weights that just fit a cache do not where small pages put
// some of them on the same sets. Throws std::bad_alloc.
void* take_memory(std::size_t bytes);
void give_back(void* memory, std::size_t bytes) noexcept;

// An owned, aligned array of floats, zero when made. Copies are explicit.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size) : size_(size) {
    if (size == 0) return;
    const std::size_t bytes = checked_mul(size, sizeof(float));
    data_ = static_cast<float*>(take_memory(bytes));
    std::memset(data_, 0, bytes);
  }
  Buffer(Buffer&& other) noexcept : data_(other.data_), size_(other.size_) {
    other.data_ = nullptr;
    other.size_ = 0;
  }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (data_ != nullptr) give_back(data_, size_ * sizeof(float));
  }

  Buffer clone() const {
    Buffer copy(size_);
    if (size_ != 0) std::memcpy(copy.data_, data_, size_ * sizeof(float));
    return copy;
  }

  float* data() { return data_; }
  const float* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  float* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace cn
