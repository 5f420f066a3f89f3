// Building a network from Python: one method a layer.
#include "network/network.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "bindings/bindings.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/make_activation.hpp"
#include "layers/conv_lstm_2d.hpp"
#include "layers/dense.hpp"
#include "layers/elementwise.hpp"

namespace cn {
namespace {

using Function = std::pair<std::string, std::vector<double>>;
using NormArgument = std::optional<std::tuple<std::size_t, Floats, Floats>>;  // axis, scale, shift
using PoolArgument = std::optional<std::tuple<Size3, Size3, bool>>;  // window, strides, same

Activation activation_of(const Function& f) { return make_activation(f.first, f.second); }

std::vector<float> to_vector(const Floats& array) {
  return {array.data(), array.data() + array.size()};
}

std::optional<Norm> norm_of(const NormArgument& argument) {
  if (!argument) return std::nullopt;
  const auto& [axis, scale, shift] = *argument;
  return Norm{axis, to_vector(scale), to_vector(shift)};
}

std::optional<Pool> pool_of(const PoolArgument& argument) {
  if (!argument) return std::nullopt;
  const auto& [window, strides, same] = *argument;
  return Pool{window, strides, same};
}

void expect_size(const char* what, const Floats& array, const Shape& shape) {
  const auto size = static_cast<std::size_t>(array.size());
  if (size != element_count(shape)) {
    throw UnsupportedError(std::string(what) + ": expected " + to_string(shape) + ", found " +
                           std::to_string(size) + " elements");
  }
}

Shape shape_of(const Size3& size) { return {size.begin(), size.end()}; }

// Adds a layer with one input and one output.
ValueId add_simple(Network& network, const std::string& name, ValueId x,
                   std::unique_ptr<Layer> layer, const Shape& output) {
  Network::NewLayer added;
  added.name = name;
  added.layer = std::move(layer);
  added.inputs = {x};
  added.outputs = {output};
  return network.add_layer(std::move(added)).outputs.front();
}

ValueId add_norm_pool(Network& network, const std::string& name, ValueId x, const Size3& planes,
                      const NormArgument& norm, const PoolArgument& pool) {
  if (element_count(shape_of(planes)) != element_count(network.value(x).shape)) {
    throw UnsupportedError(name + ": expected planes that cover the frame");
  }
  auto layer = std::make_unique<NormPool>(planes, norm_of(norm), pool_of(pool));
  const Shape output = shape_of(layer->output());
  return add_simple(network, name, x, std::move(layer), output);
}

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
                    std::make_unique<Dense>(rows, inputs, units, kernel.data(), bias.data(),
                                            activation_of(function)),
                    shape);
}

ValueId add_activation(Network& network, const std::string& name, ValueId x,
                       const Function& function) {
  const Shape shape = network.value(x).shape;
  return add_simple(
      network, name, x,
      std::make_unique<ActivationLayer>(element_count(shape), activation_of(function)), shape);
}

ValueId add_softmax(Network& network, const std::string& name, ValueId x, bool logarithm) {
  const Shape shape = network.value(x).shape;
  const std::size_t cols = shape.at(shape.size() - 1);
  return add_simple(network, name, x,
                    std::make_unique<Softmax>(element_count(shape) / cols, cols, logarithm), shape);
}

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

struct ConvLstmArguments {
  std::string name;
  ValueId x;
  std::vector<ValueId> initial;
  bool frames, final, stateful;
};

std::pair<std::vector<ValueId>, std::vector<ValueId>> add_conv_lstm_2d(
    Network& network, const ConvLstmArguments& a, std::size_t filters, const Floats& kernel,
    const Floats& recurrent_kernel, const Floats& bias, std::pair<std::size_t, std::size_t> strides,
    std::pair<std::size_t, std::size_t> dilation_rate, bool same, std::size_t groups,
    const Function& activation, const Function& recurrent_activation, const NormArgument& norm,
    const PoolArgument& pool) {
  const Shape& input = network.value(a.x).shape;
  if (input.size() != 3 || kernel.ndim() != 4 || groups == 0) {
    throw UnsupportedError(a.name + ": expected frames of rank 3 and a kernel of rank 4");
  }
  ConvLstm2dOptions o;
  o.input = {input[0], input[1], input[2]};
  o.filters = filters;
  o.kernel_size = {static_cast<std::size_t>(kernel.shape(2)),
                   static_cast<std::size_t>(kernel.shape(3))};
  o.strides = {strides.first, strides.second};
  o.dilation_rate = {dilation_rate.first, dilation_rate.second};
  o.same = same;
  o.groups = groups;
  o.activation = activation_of(activation);
  o.recurrent_activation = activation_of(recurrent_activation);
  o.norm = norm_of(norm);
  o.pool = pool_of(pool);
  const std::size_t gates = checked_mul(4, filters);
  expect_size("kernel", kernel, {gates, input[0], o.kernel_size.rows, o.kernel_size.cols});
  expect_size("recurrent_kernel", recurrent_kernel,
              {gates, filters / groups, o.kernel_size.rows, o.kernel_size.cols});
  expect_size("bias", bias, {gates});

  Network::NewLayer added;
  o.allow_winograd = network.allow_winograd();
  auto layer = std::make_unique<ConvLstm2d>(
      o, network.kernels(), ConvLstmWeights{kernel.data(), recurrent_kernel.data(), bias.data()});
  if (a.frames) added.outputs = {shape_of(layer->output())};
  if (a.final) {
    for (const StatePart& part : layer->state_parts()) added.final.push_back(part.shape);
  }
  added.name = a.name;
  added.layer = std::move(layer);
  added.inputs = {a.x};
  added.initial = a.initial;
  added.keeps_state = a.stateful;
  const Network::Added values = network.add_layer(std::move(added));
  return {values.outputs, values.final};
}

// What people want to know of a step.
struct StepInfo {
  std::string name, kernel, choice;
  std::size_t state_bytes;
};

std::vector<StepInfo> steps_of(const Network& network) {
  std::vector<StepInfo> steps;
  for (const Step& step : network.steps()) {
    const Layer& layer = *step.layer;
    steps.push_back({step.name, layer.kernel({&network.kernels(), 1}), layer.choice(),
                     layer.state_floats() * sizeof(float)});
  }
  return steps;
}

void register_step(py::module_& module) {
  py::class_<StepInfo>(module, "Step")
      .def_readonly("name", &StepInfo::name)
      .def_readonly("kernel", &StepInfo::kernel)
      .def_readonly("choice", &StepInfo::choice)
      .def_readonly("state_bytes", &StepInfo::state_bytes);
}

}  // namespace

void register_network(py::module_& module) {
  register_step(module);
  py::class_<Network, std::shared_ptr<Network>>(module, "Network")
      .def(py::init([](const std::string& isa, bool allow_winograd) {
             return std::make_shared<Network>(select_kernels(isa), allow_winograd);
           }),
           py::arg("isa"), py::arg("allow_winograd"))
      .def_property_readonly("isa", [](const Network& n) { return n.kernels().name; })
      .def("shape", [](const Network& n, ValueId id) { return n.value(id).shape; })
      .def("streams",
           [](const Network& n) { return n.phases().size() == 1 && n.replays().empty(); })
      .def("steps", &steps_of)
      .def("add_input", &Network::add_input)
      .def("add_view", &Network::add_view)
      .def("add_reversed", &Network::add_reversed)
      .def("add_output", &Network::add_output)
      .def("add_norm_pool", &add_norm_pool)
      .def("add_dense", &add_dense)
      .def("add_activation", &add_activation)
      .def("add_softmax", &add_softmax)
      .def("add_permute", &add_permute)
      .def(
          "add_conv_lstm_2d",
          [](Network& n, const std::string& name, ValueId x, const std::vector<ValueId>& initial,
             bool frames, bool final, bool stateful, std::size_t filters, const Floats& kernel,
             const Floats& recurrent_kernel, const Floats& bias,
             std::pair<std::size_t, std::size_t> strides,
             std::pair<std::size_t, std::size_t> dilation_rate, bool same, std::size_t groups,
             const Function& activation, const Function& recurrent_activation,
             const NormArgument& norm, const PoolArgument& pool) {
            return add_conv_lstm_2d(n, {name, x, initial, frames, final, stateful}, filters, kernel,
                                    recurrent_kernel, bias, strides, dilation_rate, same, groups,
                                    activation, recurrent_activation, norm, pool);
          },
          py::kw_only(), py::arg("name"), py::arg("x"), py::arg("initial"), py::arg("frames"),
          py::arg("final"), py::arg("stateful"), py::arg("filters"), py::arg("kernel"),
          py::arg("recurrent_kernel"), py::arg("bias"), py::arg("strides"),
          py::arg("dilation_rate"), py::arg("same"), py::arg("groups"), py::arg("activation"),
          py::arg("recurrent_activation"), py::arg("norm"), py::arg("pool"))
      .def("finish", &Network::finish);
}

}  // namespace cn
