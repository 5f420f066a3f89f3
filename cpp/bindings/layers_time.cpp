// Layers that look along time.
#include "bindings/build.hpp"
#include "layers/time.hpp"

namespace cn {
namespace {

ValueId add_window(Network& network, const std::string& name, ValueId x, std::int64_t size,
                   std::int64_t stride, std::int64_t dilation, std::int64_t before,
                   std::int64_t after, float fill) {
  constexpr auto kLargest = static_cast<std::int64_t>(kLargestLength);
  for (const std::int64_t length : {size, stride, dilation}) {
    if (length < 1 || length > kLargest) {
      throw UnsupportedError("window: expected sizes of 1 to " + std::to_string(kLargest) +
                             ", found " + std::to_string(length));
    }
  }
  for (const std::int64_t places : {before, after}) {
    if (places < -kLargest || places > kLargest) {
      throw UnsupportedError("window: expected at most " + std::to_string(kLargest) +
                             " places around the sequence, found " + std::to_string(places));
    }
  }
  return network.add_window(name, x, {size, stride, dilation, before, after, fill});
}

// A layer that shows a single when the sequence has ended.
ValueId add_final(Network& network, const std::string& name, ValueId x,
                  std::unique_ptr<Layer> layer, const Shape& shape) {
  Network::NewLayer added;
  added.name = name;
  added.layer = std::move(layer);
  added.inputs = {x};
  added.final = {shape};
  return network.add_layer(std::move(added)).final.front();
}

ValueId add_collect(Network& network, const std::string& name, ValueId x, std::size_t length) {
  const Shape frame = network.value(x).shape;
  Shape shape = frame;
  shape.insert(shape.begin(), length);
  return add_final(network, name, x, std::make_unique<Collect>(name, length, frame), shape);
}

ValueId add_reduce_time(Network& network, const std::string& name, ValueId x, bool mean) {
  const Shape frame = network.value(x).shape;
  const auto function = mean ? ReduceTime::Function::mean : ReduceTime::Function::max;
  return add_final(network, name, x, std::make_unique<ReduceTime>(function, frame), frame);
}

}  // namespace

void add_time_methods(NetworkClass& network) {
  network
      .def("add_window", &add_window, py::arg("name"), py::arg("value"), py::kw_only(),
           py::arg("size"), py::arg("stride"), py::arg("dilation"), py::arg("before"),
           py::arg("after"), py::arg("fill"))
      .def("add_repeated", &Network::add_repeated)
      .def("add_reversed", &Network::add_reversed)
      .def("add_slices", &Network::add_slices)
      .def("add_collect", &add_collect)
      .def("add_reduce_time", &add_reduce_time);
}

}  // namespace cn
