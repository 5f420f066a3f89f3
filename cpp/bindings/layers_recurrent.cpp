// Layers that remember.
#include "bindings/build.hpp"
#include "layers/conv_lstm_2d.hpp"
#include "layers/masked.hpp"
#include "layers/recurrent.hpp"

namespace cn {
namespace {

using Lengths = std::vector<std::size_t>;
using OutputsAndStates = std::pair<std::vector<ValueId>, std::vector<ValueId>>;

// Frames to pass over: where the value is zero; and whether their output is zeros.
using MaskArgument = std::optional<std::pair<ValueId, bool>>;

// What all recurrent layers are told: the sequence, the singles that the states start from, whether
// every frame and the last states are wanted.
struct Sequence {
  std::string name;
  ValueId x;
  MaskArgument mask;
  std::vector<ValueId> initial;
  bool frames, final, stateful;
};

OutputsAndStates add_sequence(Network& network, const Sequence& a, std::unique_ptr<Layer> layer,
                              const Shape& output) {
  Network::NewLayer added;
  added.inputs = {a.x};
  if (a.mask) {
    const Value& mask = network.value(a.mask->first);
    if (element_count(mask.shape) != 1) {
      throw UnsupportedError(a.name + ": expected one number a frame as mask");
    }
    layer = std::make_unique<Masked>(std::move(layer), output, a.mask->second);
    added.inputs.push_back(a.mask->first);
  }
  if (a.frames) added.outputs = {output};
  if (a.final) {
    for (const StatePart& part : layer->state_parts()) added.final.push_back(part.shape);
  }
  added.name = a.name;
  added.layer = std::move(layer);
  added.initial = a.initial;
  added.keeps_state = a.stateful;
  const Network::Added values = network.add_layer(std::move(added));
  return {values.outputs, values.final};
}

// Spatial axes as depth, rows and cols; what a map of fewer axes lacks has length one.
std::array<std::size_t, 3> three_axes(const char* what, const Lengths& lengths, std::size_t rank) {
  if (lengths.size() != rank) {
    throw UnsupportedError(std::string(what) + ": expected " + std::to_string(rank) +
                           " length(s), found " + to_string(lengths));
  }
  std::array<std::size_t, 3> axes{1, 1, 1};
  std::copy(lengths.begin(), lengths.end(), axes.end() - static_cast<std::ptrdiff_t>(rank));
  return axes;
}

OutputsAndStates add_conv_lstm(Network& network, const Sequence& a, std::size_t filters,
                               const Floats& kernel, const Floats& recurrent_kernel,
                               const Floats& bias, const Lengths& kernel_size,
                               const Lengths& strides, const Lengths& dilation_rate, bool same,
                               std::size_t groups, const Function& activation,
                               const Function& recurrent_activation, const NormArgument& norm,
                               const PoolArgument& pool) {
  const Shape& input = network.value(a.x).shape;
  if (input.size() < 2 || input.size() > 4 || groups == 0) {
    throw UnsupportedError(a.name + ": expected frames of rank 2 to 4 and groups");
  }
  ConvLstm2dOptions o;
  o.rank = input.size() - 1;
  const auto map = three_axes("map", {input.begin() + 1, input.end()}, o.rank);
  const auto size = three_axes("kernel_size", kernel_size, o.rank);
  const auto stride = three_axes("strides", strides, o.rank);
  const auto dilation = three_axes("dilation_rate", dilation_rate, o.rank);
  o.input = {input[0], map[1], map[2]};
  o.filters = filters;
  o.kernel_size = {size[1], size[2]};
  o.strides = {stride[1], stride[2]};
  o.dilation_rate = {dilation[1], dilation[2]};
  o.depth = {map[0], size[0], stride[0], dilation[0]};
  o.same = same;
  o.groups = groups;
  o.activation = activation_of(activation);
  o.recurrent_activation = activation_of(recurrent_activation);
  o.norm = norm_of(norm);
  o.pool = pool_of(pool);
  const std::size_t gates = checked_mul(4, filters);
  expect_size("kernel", kernel, {gates, input[0], size[0], size[1], size[2]});
  expect_size("recurrent_kernel", recurrent_kernel,
              {gates, filters / groups, size[0], size[1], size[2]});
  expect_size("bias", bias, {gates});
  o.allow_winograd = network.allow_winograd();
  auto layer = std::make_unique<ConvLstm2d>(
      o, network.kernels(), ConvLstmWeights{kernel.data(), recurrent_kernel.data(), bias.data()});
  const Shape output = layer->output();
  return add_sequence(network, a, std::move(layer), output);
}

OutputsAndStates add_recurrent(Network& network, const Sequence& a, RecurrentOptions::Kind kind,
                               std::size_t units, const Floats& kernel,
                               const Floats& recurrent_kernel, const Floats& bias,
                               const std::optional<Floats>& recurrent_bias,
                               const Function& activation, const Function& recurrent_activation) {
  const Shape& input = network.value(a.x).shape;
  if (input.size() != 1) throw UnsupportedError(a.name + ": expected frames of rank 1");
  const std::size_t columns = checked_mul(gates_of(kind), units);
  expect_size("kernel", kernel, {input[0], columns});
  expect_size("recurrent_kernel", recurrent_kernel, {units, columns});
  expect_size("bias", bias, {columns});
  RecurrentWeights weights{kernel.data(), recurrent_kernel.data(), bias.data()};
  if (recurrent_bias) {
    if (kind != RecurrentOptions::Kind::gru) {
      throw UnsupportedError("recurrent_bias: expected none but in a gru");
    }
    expect_size("recurrent_bias", *recurrent_bias, {columns});
    weights.recurrent_bias = recurrent_bias->data();
  }
  RecurrentOptions o{kind, input[0], units, activation_of(activation),
                     activation_of(recurrent_activation)};
  o.reads_product = RecurrentLayer::product_pays(o);
  auto layer = std::make_unique<RecurrentLayer>(o, network.kernels(), weights);
  Sequence sequence = a;
  if (o.reads_product) {
    sequence.x =
        add_simple(network, a.name + ":input product", a.x,
                   layer->input_product(network.kernels(), weights), {layer->product_size()});
  }
  return add_sequence(network, sequence, std::move(layer), {units});
}

// The frame with zeros in place of frames that do not count, and the mask.
std::pair<ValueId, ValueId> add_mask(Network& network, const std::string& name, ValueId x,
                                     float value) {
  const Shape shape = network.value(x).shape;
  Network::NewLayer added;
  added.name = name;
  added.layer = std::make_unique<Mask>(element_count(shape), value);
  added.inputs = {x};
  added.outputs = {shape, {1}};
  const std::vector<ValueId> made = network.add_layer(std::move(added)).outputs;
  return {made[0], made[1]};
}

}  // namespace

void add_recurrent_methods(NetworkClass& network) {
  network.def("add_mask", &add_mask);
  network.def(
      "add_conv_lstm",
      [](Network& n, const std::string& name, ValueId x, const MaskArgument& mask,
         const std::vector<ValueId>& initial, bool frames, bool final, bool stateful,
         std::size_t filters, const Floats& kernel, const Floats& recurrent_kernel,
         const Floats& bias, const Lengths& kernel_size, const Lengths& strides,
         const Lengths& dilation_rate, bool same, std::size_t groups, const Function& activation,
         const Function& recurrent_activation, const NormArgument& norm, const PoolArgument& pool) {
        return add_conv_lstm(n, {name, x, mask, initial, frames, final, stateful}, filters, kernel,
                             recurrent_kernel, bias, kernel_size, strides, dilation_rate, same,
                             groups, activation, recurrent_activation, norm, pool);
      },
      py::kw_only(), py::arg("name"), py::arg("x"), py::arg("mask"), py::arg("initial"),
      py::arg("frames"), py::arg("final"), py::arg("stateful"), py::arg("filters"),
      py::arg("kernel"), py::arg("recurrent_kernel"), py::arg("bias"), py::arg("kernel_size"),
      py::arg("strides"), py::arg("dilation_rate"), py::arg("same"), py::arg("groups"),
      py::arg("activation"), py::arg("recurrent_activation"), py::arg("norm"), py::arg("pool"));

  const auto def_recurrent = [&network](const char* method, RecurrentOptions::Kind kind) {
    network.def(
        method,
        [kind](Network& n, const std::string& name, ValueId x, const MaskArgument& mask,
               const std::vector<ValueId>& initial, bool frames, bool final, bool stateful,
               std::size_t units, const Floats& kernel, const Floats& recurrent_kernel,
               const Floats& bias, const std::optional<Floats>& recurrent_bias,
               const Function& activation, const Function& recurrent_activation) {
          return add_recurrent(n, {name, x, mask, initial, frames, final, stateful}, kind, units,
                               kernel, recurrent_kernel, bias, recurrent_bias, activation,
                               recurrent_activation);
        },
        py::kw_only(), py::arg("name"), py::arg("x"), py::arg("mask"), py::arg("initial"),
        py::arg("frames"), py::arg("final"), py::arg("stateful"), py::arg("units"),
        py::arg("kernel"), py::arg("recurrent_kernel"), py::arg("bias"),
        py::arg("recurrent_bias") = py::none(), py::arg("activation"),
        py::arg("recurrent_activation") = Function{"linear", {}});
  };
  using Kind = RecurrentOptions::Kind;
  def_recurrent("add_lstm", Kind::lstm);
  def_recurrent("add_gru", Kind::gru);
  def_recurrent("add_gru_reset_before", Kind::gru_reset_before);
  def_recurrent("add_simple_rnn", Kind::simple_rnn);
}

}  // namespace cn
