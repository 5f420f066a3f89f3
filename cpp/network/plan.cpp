#include "network/plan.hpp"

#include <algorithm>
#include <numeric>

#include "base/buffer.hpp"

namespace cn {
namespace {

bool alive_together(const Lifetime& a, const Lifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

}  // namespace

std::size_t plan_arena(std::vector<Lifetime>& tensors) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return tensors[a].floats > tensors[b].floats;
  });
  std::size_t arena = 0;
  std::vector<const Lifetime*> placed;  // by offset
  for (const std::size_t i : order) {
    Lifetime& tensor = tensors[i];
    const std::size_t size = round_up(tensor.floats, kAlignedFloats);
    tensor.offset = 0;
    for (const Lifetime* other : placed) {
      if (!alive_together(tensor, *other)) continue;
      if (tensor.offset + size <= other->offset) break;
      tensor.offset =
          std::max(tensor.offset, other->offset + round_up(other->floats, kAlignedFloats));
    }
    arena = std::max(arena, tensor.offset + size);
    const auto at = std::find_if(placed.begin(), placed.end(), [&](const Lifetime* other) {
      return other->offset > tensor.offset;
    });
    placed.insert(at, &tensor);
  }
  return arena;
}

}  // namespace cn
