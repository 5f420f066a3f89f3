#include "network/tensor_io.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "base/parallel.hpp"

namespace cn {
namespace {

// Copies a row with a stride in bytes.
template <class T>
void copy_row(const std::byte* from, std::ptrdiff_t stride, std::size_t count, float* to) {
  for (std::size_t i = 0; i < count; ++i, from += stride) {
    T element;
    std::memcpy(&element, from, sizeof element);
    to[i] = static_cast<float>(element);
  }
}

// Rows inside whose elements are neighbours outside, as channels are in channels_last, are copied
// a few at a time: a cache line outside is met for many of its elements at once. Not more than L1
// has ways: rows of 32x32 maps are 4 KB apart.
constexpr std::size_t kRowsAtOnce = 8;

constexpr std::size_t kNeighbours = 16;

// Some rows of the tensor inside.
struct Rows {
  std::size_t count, cols;
  std::size_t step;                 // inside, from one row to the next
  std::ptrdiff_t row_step, stride;  // outside: from row to row, and along a row
};

// Inlined: with a constant count and step the compiler uses vectors.
template <class T>
inline void copy_columns(const std::byte* from, std::size_t count, std::ptrdiff_t step,
                         const Rows& rows, float* to) {
  float elements[kRowsAtOnce];
  for (std::size_t col = 0; col < rows.cols; ++col, from += rows.stride) {
    copy_row<T>(from, step, count, elements);
    for (std::size_t row = 0; row < count; ++row) to[row * rows.step + col] = elements[row];
  }
}

template <class T>
void copy_rows(const std::byte* from, const Rows& rows, float* to) {
  constexpr auto kDense = static_cast<std::ptrdiff_t>(sizeof(T));
  if (rows.count == 1) {
    // The usual case with the stride known to the compiler, which then uses vectors.
    if (rows.stride == kDense) return copy_row<T>(from, kDense, rows.cols, to);
    return copy_row<T>(from, rows.stride, rows.cols, to);
  }
  if (rows.count == kRowsAtOnce && rows.row_step == kDense) {
    return copy_columns<T>(from, kRowsAtOnce, kDense, rows, to);
  }
  return copy_columns<T>(from, rows.count, rows.row_step, rows, to);
}

void export_rows(const float* from, const Rows& rows, float* to) {
  if (rows.count == 1 && rows.stride == 1) {
    std::copy_n(from, rows.cols, to);
    return;
  }
  for (std::size_t col = 0; col < rows.cols; ++col, to += rows.stride) {
    float* out = to;
    for (std::size_t row = 0; row < rows.count; ++row, out += rows.row_step) {
      *out = from[row * rows.step + col];
    }
  }
}

// Offset outside of a row inside, given the strides of the axes outside.
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

// Calls body(part, offset outside, first row inside, rows) until all rows have been met, on some
// threads.
template <class Body>
void for_rows(const Exec& exec, const Port& port, const std::vector<std::ptrdiff_t>& strides,
              const Body& body) {
  const std::size_t rank = port.order.size();
  // The first axis inside, where it is the last one outside and not the only one.
  const bool inner = rank > 1 && port.order[0] + 1 == rank;
  // All channels of a row one after another: who computes a part of the map has brought it.
  const std::size_t channels = inner || rank > 2 ? port.shape[port.order[0]] : 1;
  const std::size_t at_once = inner ? kRowsAtOnce : 1, rest = port.rows / channels;
  const Rows all{1, port.cols, rest * port.cols, inner ? strides[port.order[0]] : 0,
                 rank == 0 ? 1 : strides[port.order[rank - 1]]};
  // An element takes a nanosecond or two, as much as this many multiply-adds.
  constexpr double kElement = 10.0;
  const double operations =
      kElement * static_cast<double>(port.rows) * static_cast<double>(port.cols);
  const auto run = [&](std::size_t part, std::size_t begin, std::size_t end) {
    // What a layer makes of neighbouring rows may share cache lines, so these follow each other.
    for (std::size_t from = begin; from < end; from += kNeighbours) {
      Rows rows = all;
      for (std::size_t channel = 0; channel < channels; channel += at_once) {
        rows.count = std::min(at_once, channels - channel);
        for (std::size_t row = from; row < std::min(end, from + kNeighbours); ++row) {
          const std::size_t first = channel * rest + row;
          body(part, row_offset(port, strides, first), first, rows);
        }
      }
    }
  };
  parallel_for(threads_for(exec, operations), rest, run);
}

constexpr auto kFloat = static_cast<std::ptrdiff_t>(sizeof(float));

bool is_aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % sizeof(float) == 0; }

// True for one row that can be read where it is.
bool is_row(const TensorView& from, const Rows& rows, const std::byte* there) {
  return from.dtype == DType::float32 && rows.count == 1 && rows.stride == kFloat &&
         is_aligned(there);
}

// Copies rows of the caller's tensor; false when a number in them is not finite.
bool copy_finite(const KernelTable& kernels, const TensorView& from, std::ptrdiff_t offset,
                 const Rows& rows, float* to) {
  const std::byte* data = static_cast<const std::byte*>(from.data) + offset;
  if (from.dtype == DType::uint8) {
    copy_rows<std::uint8_t>(data, rows, to);
    return true;
  }
  copy_rows<float>(data, rows, to);
  bool finite = true;
  for (std::size_t row = 0; row < rows.count; ++row) {
    finite = kernels.all_finite(to + row * rows.step, rows.cols) && finite;
  }
  return finite;
}

}  // namespace

bool import_tensor(const Exec& exec, const Port& port, const TensorView& from, float* to) {
  std::atomic<bool> finite{true};
  for_rows(exec, port, from.strides,
           [&](std::size_t, std::ptrdiff_t offset, std::size_t first, const Rows& rows) {
             if (copy_finite(*exec.kernels, from, offset, rows, to + first * port.cols)) return;
             finite.store(false, std::memory_order_relaxed);
           });
  return finite.load();
}

bool lies_as_inside(const Port& port, const TensorView& from) {
  if (from.dtype != DType::float32 || !port.same_order()) return false;
  for (std::size_t axis = 0; axis < port.shape.size(); ++axis) {
    if (port.shape[axis] != 1 && from.strides[axis] != port.dense[axis] * kFloat) return false;
  }
  return is_aligned(from.data);
}

bool is_finite(const Exec& exec, const Port& port, const TensorView& from) {
  const std::size_t count = element_count(port.shape);
  const auto* data = static_cast<const float*>(from.data);
  std::atomic<bool> finite{true};
  const auto check = [&](std::size_t begin, std::size_t end) {
    if (exec.kernels->all_finite(data + begin, end - begin)) return;
    finite.store(false, std::memory_order_relaxed);
  };
  parallel_for(threads_for(exec, static_cast<double>(count)), count, check);
  return finite.load();
}

std::size_t import_scratch_floats(const Port& port) { return checked_mul(kRowsAtOnce, port.cols); }

bool import_rows(const Exec& exec, const Port& port, const TensorView& from, const Reader& to) {
  std::atomic<bool> finite{true};
  for_rows(exec, port, from.strides,
           [&](std::size_t part, std::ptrdiff_t offset, std::size_t first, const Rows& rows) {
             const auto* there = static_cast<const std::byte*>(from.data) + offset;
             if (is_row(from, rows, there)) {
               const auto* row = reinterpret_cast<const float*>(there);
               if (!exec.kernels->all_finite(row, rows.cols)) {
                 finite.store(false, std::memory_order_relaxed);
               }
               to.put_row(first, row);
               return;
             }
             float* scratch = exec.scratch_of(part);
             Rows near = rows;
             near.step = port.cols;
             if (!copy_finite(*exec.kernels, from, offset, near, scratch)) {
               finite.store(false, std::memory_order_relaxed);
             }
             for (std::size_t i = 0; i < rows.count; ++i) {
               to.put_row(first + i * (rows.step / port.cols), scratch + i * port.cols);
             }
           });
  return finite.load();
}

void export_tensor(const Exec& exec, const Port& port, const float* from, float* to) {
  for_rows(exec, port, port.dense,
           [&](std::size_t, std::ptrdiff_t offset, std::size_t first, const Rows& rows) {
             export_rows(from + first * port.cols, rows, to + offset);
           });
}

}  // namespace cn
