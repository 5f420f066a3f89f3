// Which kernel tables this build holds and which of them this CPU can run.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernel_table.hpp"

namespace cn {

// Names of the tables that run here, best first. The last one is always "scalar".
std::vector<std::string> available_isas();

// The table of that name, or the best one for an empty name. Throws InputError for a name
// that is unknown, not in this build, or beyond this CPU.
const KernelTable& select_kernels(const std::string& name);

}  // namespace cn
