#include "bindings/errors.hpp"

#include <exception>

#include "base/error.hpp"

namespace cn {
namespace {

void raise(const char* type, const std::exception& error) {
  const py::object errors = py::module_::import("convlstm_native.errors");
  py::set_error(errors.attr(type), error.what());
}

}  // namespace

void register_errors() {
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const InputError& error) {
      raise("InputError", error);
    } catch (const UnsupportedError& error) {
      raise("UnsupportedModelError", error);
    }
  });
}

}  // namespace cn
