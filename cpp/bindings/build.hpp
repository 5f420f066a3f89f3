// What the builders of all layers share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "bindings/bindings.hpp"
#include "kernels/make_activation.hpp"
#include "layers/along_axis.hpp"
#include "layers/norm_pool.hpp"
#include "network/network.hpp"

namespace cn {

using NetworkClass = py::class_<Network, std::shared_ptr<Network>>;

// Each adds the methods of a family of layers, one a layer.
void add_convolution_methods(NetworkClass& network);
void add_dense_methods(NetworkClass& network);
void add_merging_methods(NetworkClass& network);
void add_normalization_methods(NetworkClass& network);
void add_pooling_methods(NetworkClass& network);
void add_recurrent_methods(NetworkClass& network);
void add_resizing_methods(NetworkClass& network);
void add_shaping_methods(NetworkClass& network);
void add_time_methods(NetworkClass& network);

using Function = std::pair<std::string, std::vector<double>>;
using NormArgument = std::optional<std::tuple<std::size_t, Floats, Floats>>;  // axis, scale, shift
// Window, strides, whether padded as 'same', whether the mean.
using PoolArgument = std::optional<std::tuple<Size3, Size3, bool, bool>>;

inline Activation activation_of(const Function& f) { return make_activation(f.first, f.second); }

inline std::vector<float> to_vector(const Floats& array) {
  return {array.data(), array.data() + array.size()};
}

inline std::optional<Norm> norm_of(const NormArgument& argument) {
  if (!argument) return std::nullopt;
  const auto& [axis, scale, shift] = *argument;
  return Norm{axis, to_vector(scale), to_vector(shift)};
}

inline std::optional<Pool> pool_of(const PoolArgument& argument) {
  if (!argument) return std::nullopt;
  const auto& [window, strides, same, mean] = *argument;
  return Pool{window, strides, same, mean};
}

inline void expect_size(const char* what, const Floats& array, const Shape& shape) {
  const auto size = static_cast<std::size_t>(array.size());
  if (size != element_count(shape)) {
    throw UnsupportedError(std::string(what) + ": expected " + to_string(shape) + ", found " +
                           std::to_string(size) + " elements");
  }
}

// A frame seen around its axes first <= axis < last, which become one.
inline AroundAxis around_axes(const Shape& shape, std::size_t first, std::size_t last) {
  if (first > last || last > shape.size()) {
    throw UnsupportedError("expected axes of " + to_string(shape));
  }
  const auto at = [&](std::size_t axis) {
    return shape.begin() + static_cast<std::ptrdiff_t>(axis);
  };
  return {element_count({shape.begin(), at(first)}), element_count({at(first), at(last)}),
          element_count({at(last), shape.end()})};
}

inline Shape shape_of(const Size3& size) { return {size.begin(), size.end()}; }

// Adds a layer with one input and one output.
inline ValueId add_simple(Network& network, const std::string& name, ValueId x,
                          std::unique_ptr<Layer> layer, const Shape& output) {
  Network::NewLayer added;
  added.name = name;
  added.layer = std::move(layer);
  added.inputs = {x};
  added.outputs = {output};
  return network.add_layer(std::move(added)).outputs.front();
}

}  // namespace cn
