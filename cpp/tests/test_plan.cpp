// The arena: tensors that live together never overlap, those that do not share memory.
#include "check.hpp"
#include "network/plan.hpp"

int main() {
  using cn::Lifetime;
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<Lifetime> tensors;
    std::size_t sum = 0;
    for (int i = 0; i < 12; ++i) {
      const std::size_t first = random() % 10;
      tensors.push_back({1 + random() % 300, first, first + random() % 4});
      sum += tensors.back().floats + 16;
    }
    const std::size_t arena = cn::plan_arena(tensors);
    CN_CHECK(arena <= sum);
    for (std::size_t a = 0; a < tensors.size(); ++a) {
      CN_CHECK(tensors[a].offset % 16 == 0);
      CN_CHECK(tensors[a].offset + tensors[a].floats <= arena);
      for (std::size_t b = 0; b < a; ++b) {
        const Lifetime &s = tensors[a], &t = tensors[b];
        const bool together = s.first <= t.last && t.first <= s.last;
        const bool apart = s.offset + s.floats <= t.offset || t.offset + t.floats <= s.offset;
        CN_CHECK(!together || apart);
      }
    }
  }
  std::vector<Lifetime> chain{{160, 0, 1}, {160, 1, 2}, {160, 2, 3}, {160, 3, 4}};
  CN_CHECK(cn::plan_arena(chain) == 320);
  return cn::test::report();
}
