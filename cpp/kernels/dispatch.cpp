#include "kernels/dispatch.hpp"

#include "base/error.hpp"

namespace cn {

// One exported by each file in isa/.
const KernelTable& scalar_table();
#ifdef CN_ISA_X86
const KernelTable& avx2_table();
const KernelTable& avx512_table();
#endif
#ifdef CN_ISA_NEON
const KernelTable& neon_table();
#endif

namespace {

struct Isa {
  const KernelTable& (*table)();
  bool (*runs_here)();
};

// Best first.
constexpr Isa kIsas[] = {
#ifdef CN_ISA_X86
    // __builtin_cpu_supports also asks whether the system saves the wide registers.
    {avx512_table,
     [] { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"); }},
    {avx2_table, [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }},
#endif
#ifdef CN_ISA_NEON
    {neon_table, [] { return true; }},  // part of every AArch64 CPU
#endif
    {scalar_table, [] { return true; }},
};

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : kIsas) {
    if (isa.runs_here()) names.emplace_back(isa.table().name);
  }
  return names;
}

const KernelTable& select_kernels(const std::string& name) {
  std::string known;
  for (const Isa& isa : kIsas) {
    if (!isa.runs_here()) continue;
    const KernelTable& table = isa.table();
    if (name.empty() || name == table.name) return table;
    known += known.empty() ? "'" : ", '";
    known += table.name;
    known += "'";
  }
  throw InputError("isa: expected one that this build and this CPU have (" + known + "), found '" +
                   name + "'");
}

}  // namespace cn
