// Layers that remember.
#include "bindings/build.hpp"
#include "layers/conv_lstm_2d.hpp"

namespace cn {
namespace {

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

}  // namespace

void add_recurrent_methods(NetworkClass& network) {
  network.def(
      "add_conv_lstm_2d",
      [](Network& n, const std::string& name, ValueId x, const std::vector<ValueId>& initial,
         bool frames, bool final, bool stateful, std::size_t filters, const Floats& kernel,
         const Floats& recurrent_kernel, const Floats& bias,
         std::pair<std::size_t, std::size_t> strides,
         std::pair<std::size_t, std::size_t> dilation_rate, bool same, std::size_t groups,
         const Function& activation, const Function& recurrent_activation, const NormArgument& norm,
         const PoolArgument& pool) {
        return add_conv_lstm_2d(n, {name, x, initial, frames, final, stateful}, filters, kernel,
                                recurrent_kernel, bias, strides, dilation_rate, same, groups,
                                activation, recurrent_activation, norm, pool);
      },
      py::kw_only(), py::arg("name"), py::arg("x"), py::arg("initial"), py::arg("frames"),
      py::arg("final"), py::arg("stateful"), py::arg("filters"), py::arg("kernel"),
      py::arg("recurrent_kernel"), py::arg("bias"), py::arg("strides"), py::arg("dilation_rate"),
      py::arg("same"), py::arg("groups"), py::arg("activation"), py::arg("recurrent_activation"),
      py::arg("norm"), py::arg("pool"));
}

}  // namespace cn
