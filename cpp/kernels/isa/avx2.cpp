// The avx2 kernels. Compiled with the flags that cmake/isa.cmake gives this file alone: include
// nothing here that another file could share code with.
#include "kernels/simd/avx2.hpp"

#include "kernels/generic/table.hpp"

namespace cn {

const KernelTable& avx2_table();

// 12 accumulators, 3 inputs and a broadcast fill the 16 registers.
const KernelTable& avx2_table() {
  static constexpr KernelTable table = make_table<Vec, 1, 3>("avx2");
  return table;
}

}  // namespace cn
