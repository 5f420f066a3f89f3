#include "layers/reduce.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {
namespace {

// Columns that a task joins; so many accumulators stay in L1.
constexpr std::size_t kColumns = 128;
// Narrow rows are taken several at a time, as rows of about this many columns.
constexpr std::size_t kLanes = 16;
// Rows that are summed in float32 before the sum joins a double: rounding does not grow with the
// size of the map.
constexpr std::size_t kBlock = 64;

struct Add {
  using Total = double;
  static float join(float a, float b) { return a + b; }
  static void add(double& total, double part) { total += part; }
  static float finish(double total, std::size_t count) {
    return static_cast<float>(total / static_cast<double>(count));
  }
};

// A NaN once met stays.
struct Largest {
  using Total = float;
  static float join(float a, float b) {
    const float larger = b <= a ? a : b;
    return a == a ? larger : a;
  }
  static void add(float& total, float part) { total = join(total, part); }
  static float finish(float total, std::size_t) { return total; }
};

// all[c] = rows joined, for `cols` <= kColumns columns that lie `stride` apart from row to row.
template <class Op>
void join_rows(const float* x, std::size_t rows, std::size_t stride, std::size_t cols, float* all) {
  std::copy_n(x, cols, all);
  std::size_t row = 1;
  for (; row + 4 <= rows; row += 4) {
    const float* a = x + row * stride;
    const float* b = a + stride;
    const float* c = b + stride;
    const float* d = c + stride;
    for (std::size_t i = 0; i < cols; ++i) {
      all[i] = Op::join(all[i], Op::join(Op::join(a[i], b[i]), Op::join(c[i], d[i])));
    }
  }
  for (; row < rows; ++row) {
    const float* a = x + row * stride;
    for (std::size_t i = 0; i < cols; ++i) all[i] = Op::join(all[i], a[i]);
  }
}

// totals[c] = all rows joined, block by block.
template <class Op>
void join_blocks(const float* x, std::size_t rows, std::size_t stride, std::size_t cols,
                 typename Op::Total* totals) {
  for (std::size_t row = 0; row < rows; row += kBlock) {
    float block[kColumns];
    join_rows<Op>(x + row * stride, std::min(kBlock, rows - row), stride, cols, block);
    for (std::size_t i = 0; i < cols; ++i) {
      const auto part = static_cast<typename Op::Total>(block[i]);
      if (row == 0) {
        totals[i] = part;
      } else {
        Op::add(totals[i], part);
      }
    }
  }
}

// A slice (count, inner) with inner < kLanes: as rows of several times `inner` columns first.
template <class Op>
void reduce_narrow(const float* x, std::size_t count, std::size_t inner, float* out) {
  const std::size_t together = std::min(kLanes / inner, count);
  const std::size_t cols = together * inner;
  const std::size_t rows = count / together;
  typename Op::Total totals[kLanes];
  // A constant number of columns keeps the sums of the usual slice in registers.
  if (cols == kLanes) {
    join_blocks<Op>(x, rows, kLanes, kLanes, totals);
  } else {
    join_blocks<Op>(x, rows, cols, cols, totals);
  }
  for (std::size_t i = inner; i < cols; ++i) Op::add(totals[i % inner], totals[i]);
  for (std::size_t i = rows * cols; i < count * inner; ++i) {
    Op::add(totals[i % inner], static_cast<typename Op::Total>(x[i]));
  }
  for (std::size_t i = 0; i < inner; ++i) out[i] = Op::finish(totals[i], count);
}

template <class Op>
void reduce(const Exec& exec, std::size_t outer, std::size_t count, std::size_t inner,
            const float* x, float* out) {
  const std::size_t chunks = inner < kLanes ? 1 : (inner + kColumns - 1) / kColumns;
  const int threads = threads_for(exec, static_cast<double>(outer * count * inner));
  parallel_for(threads, outer * chunks, [&](std::size_t begin, std::size_t end) {
    for (std::size_t task = begin; task < end; ++task) {
      const float* slice = x + task / chunks * count * inner;
      float* to = out + task / chunks * inner;
      if (inner < kLanes) {
        reduce_narrow<Op>(slice, count, inner, to);
        continue;
      }
      const std::size_t first = task % chunks * kColumns;
      const std::size_t cols = std::min(kColumns, inner - first);
      typename Op::Total totals[kColumns];
      join_blocks<Op>(slice + first, count, inner, cols, totals);
      for (std::size_t i = 0; i < cols; ++i) to[first + i] = Op::finish(totals[i], count);
    }
  });
}

}  // namespace

Reduce::Reduce(Function function, std::size_t outer, std::size_t count, std::size_t inner)
    : function_(function), outer_(outer), count_(count), inner_(inner) {
  if (outer == 0 || count == 0 || inner == 0) {
    throw UnsupportedError("reduce: expected axes of at least 1");
  }
}

void Reduce::run(const Exec& exec, const float* const* in, float* const* out, State&) const {
  if (function_ == Function::mean) {
    reduce<Add>(exec, outer_, count_, inner_, in[0], out[0]);
  } else {
    reduce<Largest>(exec, outer_, count_, inner_, in[0], out[0]);
  }
}

}  // namespace cn
