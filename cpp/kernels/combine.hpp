// Arithmetic of two numbers by name, for layers that merge tensors element by element.
#pragma once

namespace cn {

enum class Combine {
  add,
  subtract,
  multiply,
  divide,
  maximum,  // a NaN in either comes through, here and below
  minimum,
  prelu,  // a >= 0 ? a : a * b
};

}  // namespace cn
