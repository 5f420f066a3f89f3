// Dense and activation layers.
#include "bindings/build.hpp"
#include "layers/along_axis.hpp"
#include "layers/dense.hpp"
#include "layers/elementwise.hpp"

namespace cn {
namespace {

ValueId add_dense(Network& network, const std::string& name, ValueId x, const Floats& kernel,
                  const Floats& bias, const Function& function) {
  Shape shape = network.value(x).shape;
  if (kernel.ndim() != 2 || shape.empty()) {
    throw UnsupportedError(name + ": expected a kernel of rank 2 and a frame with an axis");
  }
  const auto units = static_cast<std::size_t>(kernel.shape(1));
  expect_size("kernel", kernel, {shape.back(), units});
  expect_size("bias", bias, {units});
  const std::size_t inputs = shape.back();
  const std::size_t rows = element_count(shape) / inputs;
  shape.back() = units;
  return add_simple(network, name, x,
                    std::make_unique<Dense>(network.kernels(), rows, inputs, units, kernel.data(),
                                            bias.data(), activation_of(function)),
                    shape);
}

ValueId add_activation(Network& network, const std::string& name, ValueId x,
                       const Function& function) {
  const Shape shape = network.value(x).shape;
  return add_simple(
      network, name, x,
      std::make_unique<ActivationLayer>(element_count(shape), activation_of(function)), shape);
}

ValueId add_softmax(Network& network, const std::string& name, ValueId x, std::size_t axis,
                    bool logarithm) {
  const Shape shape = network.value(x).shape;
  return add_simple(network, name, x,
                    std::make_unique<Softmax>(around_axes(shape, axis, axis + 1), logarithm),
                    shape);
}

}  // namespace

void add_dense_methods(NetworkClass& network) {
  network.def("add_dense", &add_dense)
      .def("add_activation", &add_activation)
      .def("add_softmax", &add_softmax);
}

}  // namespace cn
