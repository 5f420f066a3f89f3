// Layers that look at windows of a frame without weights.
#include "bindings/build.hpp"
#include "layers/reduce.hpp"

namespace cn {
namespace {

ValueId add_norm_pool(Network& network, const std::string& name, ValueId x, const Size3& planes,
                      const NormArgument& norm, const PoolArgument& pool) {
  if (element_count(shape_of(planes)) != element_count(network.value(x).shape)) {
    throw UnsupportedError(name + ": expected planes that cover the frame");
  }
  auto layer = std::make_unique<NormPool>(planes, norm_of(norm), pool_of(pool));
  const Shape output = shape_of(layer->output());
  return add_simple(network, name, x, std::move(layer), output);
}

// `planes` are the axes before those that are reduced, these, and the axes behind.
ValueId add_reduce(Network& network, const std::string& name, ValueId x, const Size3& planes,
                   bool mean) {
  if (element_count(shape_of(planes)) != element_count(network.value(x).shape)) {
    throw UnsupportedError(name + ": expected planes that cover the frame");
  }
  const auto function = mean ? Reduce::Function::mean : Reduce::Function::max;
  auto layer = std::make_unique<Reduce>(function, planes[0], planes[1], planes[2]);
  return add_simple(network, name, x, std::move(layer), {planes[0], planes[2]});
}

}  // namespace

void add_pooling_methods(NetworkClass& network) {
  network.def("add_norm_pool", &add_norm_pool).def("add_reduce", &add_reduce);
}

}  // namespace cn
