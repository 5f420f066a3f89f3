// Where the tensors of one frame lie in memory.
#pragma once

#include <cstddef>
#include <vector>

namespace cn {

// A tensor that must exist from one moment to another, both included.
struct Lifetime {
  std::size_t floats;
  std::size_t first, last;
  std::size_t offset = 0;  // what plan_arena() finds
};

// Gives every tensor an offset in one arena, so that no two overlap while both live. Largest
// first, each at the lowest place that is free. Returns the floats of the arena.
std::size_t plan_arena(std::vector<Lifetime>& tensors);

}  // namespace cn
