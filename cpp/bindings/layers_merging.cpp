// Layers that make one value of several.
#include <map>

#include "bindings/build.hpp"
#include "layers/merging.hpp"

namespace cn {
namespace {

Combine combine_of(const std::string& name) {
  static const std::map<std::string, Combine> kNames{
      {"add", Combine::add},       {"subtract", Combine::subtract}, {"multiply", Combine::multiply},
      {"divide", Combine::divide}, {"maximum", Combine::maximum},   {"minimum", Combine::minimum},
      {"prelu", Combine::prelu}};
  const auto found = kNames.find(name);
  if (found == kNames.end()) throw UnsupportedError("merge: expected a function, found " + name);
  return found->second;
}

ValueId add_joining(Network& network, const std::string& name, const std::vector<ValueId>& inputs,
                    std::unique_ptr<Layer> layer, const Shape& output) {
  Network::NewLayer added;
  added.name = name;
  added.layer = std::move(layer);
  added.inputs = inputs;
  added.outputs = {output};
  return network.add_layer(std::move(added)).outputs.front();
}

void expect_within(const std::string& name, const Shape& output,
                   const std::vector<std::size_t>& strides, std::size_t count) {
  std::size_t last = 0;
  bool fits = strides.size() == output.size() && count > 0;
  for (std::size_t axis = 0; fits && axis < output.size(); ++axis) {
    last = checked_add(last, checked_mul(output[axis] - 1, strides[axis]));
  }
  if (!fits || last >= count) {
    throw UnsupportedError(name + ": expected strides that stay within each operand");
  }
}

// The operands are the values, then the constants.
ValueId add_merge(Network& network, const std::string& name, const std::vector<ValueId>& values,
                  const std::vector<Floats>& constants, const Shape& output,
                  const std::vector<std::vector<std::size_t>>& strides,
                  const std::vector<std::string>& functions) {
  std::vector<Operand> operands;
  for (const std::vector<std::size_t>& axes : strides) {
    const std::size_t i = operands.size();
    const bool constant = i >= values.size();
    Operand operand{axes};
    if (constant) operand.constant = to_vector(constants.at(i - values.size()));
    expect_within(
        name, output, axes,
        constant ? operand.constant.size() : element_count(network.value(values[i]).shape));
    operands.push_back(std::move(operand));
  }
  std::vector<Combine> combines;
  for (const std::string& function : functions) combines.push_back(combine_of(function));
  if (operands.size() != values.size() + constants.size()) {
    throw UnsupportedError(name + ": expected strides of each operand");
  }
  return add_joining(network, name, values,
                     std::make_unique<Merge>(output, std::move(operands), std::move(combines)),
                     output);
}

ValueId add_concatenate(Network& network, const std::string& name,
                        const std::vector<ValueId>& values, std::size_t axis) {
  Shape output = network.value(values.at(0)).shape;
  output.at(axis) = 0;
  const Shape alike = output;
  std::vector<std::size_t> lengths;
  for (const ValueId id : values) {
    Shape shape = network.value(id).shape;
    std::size_t length = 1;
    for (std::size_t i = axis; i < shape.size(); ++i) length *= shape[i];
    lengths.push_back(length);
    output[axis] += shape.at(axis);
    shape[axis] = 0;
    if (shape != alike) throw UnsupportedError(name + ": expected frames alike but for the axis");
  }
  std::size_t rows = 1;
  for (std::size_t i = 0; i < axis; ++i) rows *= output[i];
  return add_joining(network, name, values, std::make_unique<Concatenate>(rows, lengths), output);
}

// Both have the axis of the sums last.
ValueId add_dot(Network& network, const std::string& name, ValueId a, ValueId b) {
  Shape first = network.value(a).shape, second = network.value(b).shape;
  if (first.empty() || second.empty() || first.back() != second.back()) {
    throw UnsupportedError(name + ": expected last axes of one length");
  }
  const std::size_t products = first.back();
  first.pop_back();
  second.pop_back();
  const std::size_t rows = element_count(first), cols = element_count(second);
  Shape output = first;
  output.insert(output.end(), second.begin(), second.end());
  return add_joining(network, name, {a, b}, std::make_unique<Dot>(rows, cols, products), output);
}

}  // namespace

void add_merging_methods(NetworkClass& network) {
  network.def("add_merge", &add_merge)
      .def("add_concatenate", &add_concatenate)
      .def("add_dot", &add_dot);
}

}  // namespace cn
