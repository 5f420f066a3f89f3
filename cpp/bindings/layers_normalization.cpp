// Layers that scale a frame by its own numbers.
#include "bindings/build.hpp"

namespace cn {
namespace {

LayerNorm::Kind kind_of(const std::string& name) {
  if (name == "layer") return LayerNorm::Kind::layer;
  if (name == "variance") return LayerNorm::Kind::variance;
  if (name == "rms") return LayerNorm::Kind::rms;
  if (name == "unit") return LayerNorm::Kind::unit;
  throw UnsupportedError("normalization: expected layer, variance, rms or unit, found " + name);
}

// Along the axes from the first to before the last.
ValueId add_layer_norm(Network& network, const std::string& name, ValueId x,
                       std::pair<std::size_t, std::size_t> axes, const std::string& kind,
                       double epsilon, const std::optional<Floats>& scale,
                       const std::optional<Floats>& shift) {
  const Shape shape = network.value(x).shape;
  auto layer =
      std::make_unique<LayerNorm>(around_axes(shape, axes.first, axes.second), kind_of(kind),
                                  epsilon, scale ? to_vector(*scale) : std::vector<float>{},
                                  shift ? to_vector(*shift) : std::vector<float>{});
  return add_simple(network, name, x, std::move(layer), shape);
}

}  // namespace

void add_normalization_methods(NetworkClass& network) {
  network.def("add_layer_norm", &add_layer_norm);
}

}  // namespace cn
