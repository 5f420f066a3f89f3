// Layers that move the numbers of a frame.
#include "bindings/build.hpp"
#include "layers/elementwise.hpp"

namespace cn {
namespace {

// The frame with its axes in another order: axis i of the result is axis order[i].
ValueId add_permute(Network& network, const std::string& name, ValueId x,
                    const std::vector<std::size_t>& order) {
  const Shape from = network.value(x).shape;
  std::vector<std::size_t> strides(from.size(), 1);
  for (std::size_t axis = from.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * from[axis];
  Shape shape;
  std::vector<std::size_t> reordered;
  for (const std::size_t axis : order) {
    shape.push_back(from.at(axis));
    reordered.push_back(strides.at(axis));
  }
  return add_simple(network, name, x, std::make_unique<Permute>(shape, reordered), shape);
}

}  // namespace

void add_shaping_methods(NetworkClass& network) { network.def("add_permute", &add_permute); }

}  // namespace cn
