// Activation functions by name.
#pragma once

#include <string>
#include <vector>

#include "kernels/activation.hpp"

namespace cn {

// The activation of that name (those of `ACTIVATIONS` in activations.py that work on single
// elements) with its parameters. Throws UnsupportedError for any other name.
Activation make_activation(const std::string& name, const std::vector<double>& parameters);

}  // namespace cn
