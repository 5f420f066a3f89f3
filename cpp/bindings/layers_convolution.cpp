// Convolutions.
#include <algorithm>
#include <array>

#include "bindings/build.hpp"
#include "layers/convolution.hpp"

namespace cn {
namespace {

using Map = std::array<std::size_t, 4>;  // channels and three axes, those that are missing being 1

struct ConvolutionArguments {
  std::string name;
  ValueId x;
  Map map;
  Size3 strides, dilation, before, output;
};

ConvolutionOptions options_of(const Network& network, const ConvolutionArguments& a,
                              const Floats& kernel, const Function& activation) {
  ConvolutionOptions o;
  o.channels = a.map[0];
  o.input = {a.map[1], a.map[2], a.map[3]};
  if (kernel.ndim() != 5 ||
      element_count({a.map.begin(), a.map.end()}) != element_count(network.value(a.x).shape)) {
    throw UnsupportedError(a.name + ": expected a kernel of rank 5 and a map that is the frame");
  }
  for (std::size_t axis = 0; axis < 3; ++axis) {
    o.kernel[axis] = static_cast<std::size_t>(kernel.shape(static_cast<py::ssize_t>(axis) + 2));
  }
  o.strides = a.strides;
  o.dilation = a.dilation;
  o.before = a.before;
  o.output = a.output;
  o.activation = activation_of(activation);
  return o;
}

ValueId add(Network& network, const ConvolutionArguments& a, const ConvolutionOptions& o,
            std::unique_ptr<Layer> layer) {
  return add_simple(network, a.name, a.x, std::move(layer),
                    {o.filters, o.output[0], o.output[1], o.output[2]});
}

ValueId add_convolution(Network& network, const ConvolutionArguments& a, const Floats& kernel,
                        const Floats& bias, std::size_t groups, const Function& activation) {
  ConvolutionOptions o = options_of(network, a, kernel, activation);
  o.groups = groups;
  o.filters = static_cast<std::size_t>(kernel.shape(0));
  expect_size("kernel", kernel,
              {o.filters, o.channels / std::max<std::size_t>(groups, 1), o.kernel[0], o.kernel[1],
               o.kernel[2]});
  expect_size("bias", bias, {o.filters});
  if (pays_apart(o, network.allow_winograd(), network.kernels())) {
    const ConvolutionOptions apart = dilated_apart(o);
    const MapPhases in = o.input_phases(), out = o.output_phases();
    ConvolutionArguments inner = a;
    inner.x =
        add_simple(network, a.name + ":split", a.x, std::make_unique<SplitPhases>(in), in.apart());
    const ValueId y =
        add(network, inner, apart,
            make_convolution(apart, true, network.kernels(), kernel.data(), bias.data()));
    return add_simple(network, a.name + ":join", y, std::make_unique<JoinPhases>(out),
                      out.joined());
  }
  return add(
      network, a, o,
      make_convolution(o, network.allow_winograd(), network.kernels(), kernel.data(), bias.data()));
}

ValueId add_convolution_transpose(Network& network, const ConvolutionArguments& a,
                                  const Floats& kernel, const Floats& bias,
                                  const Function& activation) {
  ConvolutionOptions o = options_of(network, a, kernel, activation);
  o.filters = static_cast<std::size_t>(kernel.shape(1));
  expect_size("kernel", kernel, {o.channels, o.filters, o.kernel[0], o.kernel[1], o.kernel[2]});
  expect_size("bias", bias, {o.filters});
  return add(
      network, a, o,
      std::make_unique<ConvolutionTranspose>(o, network.kernels(), kernel.data(), bias.data()));
}

}  // namespace

void add_convolution_methods(NetworkClass& network) {
  network.def(
      "add_convolution",
      [](Network& n, const std::string& name, ValueId x, const Map& map, const Floats& kernel,
         const Floats& bias, const Size3& strides, const Size3& dilation, const Size3& before,
         const Size3& output, std::size_t groups, const Function& activation) {
        return add_convolution(n, {name, x, map, strides, dilation, before, output}, kernel, bias,
                               groups, activation);
      },
      py::kw_only(), py::arg("name"), py::arg("x"), py::arg("map"), py::arg("kernel"),
      py::arg("bias"), py::arg("strides"), py::arg("dilation"), py::arg("before"),
      py::arg("output"), py::arg("groups"), py::arg("activation"));
  network.def(
      "add_convolution_transpose",
      [](Network& n, const std::string& name, ValueId x, const Map& map, const Floats& kernel,
         const Floats& bias, const Size3& strides, const Size3& dilation, const Size3& before,
         const Size3& output, const Function& activation) {
        return add_convolution_transpose(n, {name, x, map, strides, dilation, before, output},
                                         kernel, bias, activation);
      },
      py::kw_only(), py::arg("name"), py::arg("x"), py::arg("map"), py::arg("kernel"),
      py::arg("bias"), py::arg("strides"), py::arg("dilation"), py::arg("before"),
      py::arg("output"), py::arg("activation"));
}

}  // namespace cn
