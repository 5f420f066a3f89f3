// What the files of the Python module share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace cn {

namespace py = pybind11;

// Dense float32; anything else is converted once.
using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

void register_network(py::module_& module);
void register_stream(py::module_& module);

}  // namespace cn
