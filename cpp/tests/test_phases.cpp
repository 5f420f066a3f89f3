// Rows from and to phases, on every instruction set that runs here, against the formulas.
#include <algorithm>
#include <string>

#include "check.hpp"
#include "kernels/dispatch.hpp"

namespace cn::test {
namespace {

constexpr std::size_t kMostCols = 70;
constexpr std::size_t kPlane = 163;  // an odd distance: no plane but the first is aligned
constexpr float kUntouched = -1.0F;

// Each number says where it stood.
std::vector<float> numbered(std::size_t count) {
  std::vector<float> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<float>(i + 1);
  return numbers;
}

void check_join(const KernelTable& table, std::size_t phases, std::size_t cols, std::size_t at) {
  const std::vector<float> planes = numbered(phases * kPlane);
  std::vector<float> expected(kMostCols + 20, kUntouched), found = expected;
  for (std::size_t i = 0; i < cols; ++i) {
    expected[at + i] = planes[i % phases * kPlane + i / phases + at];
  }
  table.join_phases(phases, planes.data() + at, kPlane, cols, found.data() + at);
  CN_CHECK(found == expected);
}

void check_split(const KernelTable& table, std::size_t phases, std::size_t cols,
                 std::size_t first) {
  const std::vector<float> x = numbered(cols);
  std::vector<float> expected(phases * kPlane, kUntouched), found = expected;
  for (std::size_t i = 0; i < cols; ++i) {
    expected[(first + i) % phases * kPlane + (first + i) / phases] = x[i];
  }
  table.split_phases(phases, x.data(), cols, first, found.data(), kPlane);
  CN_CHECK(found == expected);
}

}  // namespace
}  // namespace cn::test

int main() {
  using namespace cn::test;
  for (const std::string& isa : cn::available_isas()) {
    const cn::KernelTable& table = cn::select_kernels(isa);
    for (const std::size_t phases : {2U, 4U}) {
      for (std::size_t cols = 1; cols <= kMostCols; ++cols) {
        for (std::size_t first = 0; first <= 9; ++first) {
          check_join(table, phases, cols, first);
          check_split(table, phases, cols, first);
        }
      }
    }
  }
  return report();
}
