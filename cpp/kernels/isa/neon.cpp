// The neon kernels. Compiled with the flags that cmake/isa.cmake gives this file alone: include
// nothing here that another file could share code with.
#include "kernels/simd/neon.hpp"

#include "kernels/generic/table.hpp"

namespace cn {

const KernelTable& neon_table();

// 16 accumulators, 4 inputs and a broadcast in 32 registers.
const KernelTable& neon_table() {
  static constexpr KernelTable table = make_table<Vec, 1, 4>("neon");
  return table;
}

}  // namespace cn
