// The avx512 kernels. Compiled with the flags that cmake/isa.cmake gives this file alone: include
// nothing here that another file could share code with.
#include "kernels/simd/avx512.hpp"

#include "kernels/generic/table.hpp"

namespace cn {

const KernelTable& avx512_table();

// 24 accumulators, 3 inputs and a broadcast in 32 registers.
const KernelTable& avx512_table() {
  static constexpr KernelTable table = make_table<Vec, 2, 3>("avx512");
  return table;
}

}  // namespace cn
