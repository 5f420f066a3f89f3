// Building a network from Python: one method a layer, in layers_*.cpp.
#include "network/network.hpp"

#include <memory>
#include <string>
#include <vector>

#include "bindings/build.hpp"
#include "kernels/dispatch.hpp"

namespace cn {
namespace {

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
  NetworkClass network(module, "Network");
  network
      .def(py::init([](const std::string& isa, bool allow_winograd) {
             return std::make_shared<Network>(select_kernels(isa), allow_winograd);
           }),
           py::arg("isa"), py::arg("allow_winograd"))
      .def_property_readonly("isa", [](const Network& n) { return n.kernels().name; })
      .def("shape", [](const Network& n, ValueId id) { return n.value(id).shape; })
      .def("streams", [](const Network& n) { return n.streams(); })
      .def("look_ahead", &Network::look_ahead)
      .def("steps", &steps_of)
      .def("add_input", &Network::add_input)
      .def("add_view", &Network::add_view)
      .def("add_output", &Network::add_output)
      .def("finish", &Network::finish);
  add_convolution_methods(network);
  add_dense_methods(network);
  add_merging_methods(network);
  add_normalization_methods(network);
  add_pooling_methods(network);
  add_recurrent_methods(network);
  add_resizing_methods(network);
  add_shaping_methods(network);
  add_time_methods(network);
}

}  // namespace cn
