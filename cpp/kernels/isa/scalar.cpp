// The scalar kernels. Compiled with the flags that cmake/isa.cmake gives this file alone: include
// nothing here that another file could share code with.
#include "kernels/simd/scalar.hpp"

#include "kernels/generic/table.hpp"

namespace cn {

const KernelTable& scalar_table();

// 8 accumulators and 2 inputs in 16 registers.
const KernelTable& scalar_table() {
  static constexpr KernelTable table = make_table<Vec, 1, 2>("scalar");
  return table;
}

}  // namespace cn
