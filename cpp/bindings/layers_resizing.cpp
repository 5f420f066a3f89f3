// Layers that make a frame larger or smaller.
#include "bindings/build.hpp"
#include "layers/pad.hpp"
#include "layers/resize.hpp"

namespace cn {
namespace {

// Taps a place, indices, weights: how an axis becomes one of another length.
using TableArgument =
    std::optional<std::tuple<std::size_t, std::vector<std::size_t>, std::vector<float>>>;

Interpolation interpolation_of(const TableArgument& argument) {
  if (!argument) return {};
  const auto& [taps, indices, weights] = *argument;
  return {taps, indices, weights};
}

ValueId add_pad(Network& network, const std::string& name, ValueId x,
                const std::vector<std::ptrdiff_t>& before, const std::vector<std::ptrdiff_t>& after,
                float value) {
  auto layer = std::make_unique<Pad>(network.value(x).shape, before, after, value);
  const Shape output = layer->output();
  return add_simple(network, name, x, std::move(layer), output);
}

ValueId add_resize(Network& network, const std::string& name, ValueId x,
                   const std::array<std::size_t, 4>& planes, const TableArgument& rows,
                   const TableArgument& cols) {
  const Resize::Planes input{planes[0], planes[1], planes[2], planes[3]};
  if (element_count({planes.begin(), planes.end()}) != element_count(network.value(x).shape)) {
    throw UnsupportedError(name + ": expected planes that cover the frame");
  }
  auto layer = std::make_unique<Resize>(input, interpolation_of(rows), interpolation_of(cols));
  const Resize::Planes to = layer->output();
  return add_simple(network, name, x, std::move(layer), {to.outer, to.rows, to.cols, to.inner});
}

}  // namespace

void add_resizing_methods(NetworkClass& network) {
  network.def("add_pad", &add_pad).def("add_resize", &add_resize);
}

}  // namespace cn
