// Errors of the C++ side. bindings/errors.cpp is the one place that turns them into
// Python exceptions.
#pragma once

#include <stdexcept>

namespace cn {

// Frames, states or arguments that do not fit the network.
struct InputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A network description that the engine cannot run.
struct UnsupportedError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace cn
