// The only place where C++ errors become Python exceptions.
#pragma once

#include <pybind11/pybind11.h>

namespace cn {

namespace py = pybind11;

// InputError and UnsupportedError become the classes of convlstm_native.errors;
// std::bad_alloc becomes MemoryError, as pybind11 has it.
void register_errors();

}  // namespace cn
