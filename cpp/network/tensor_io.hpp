// The edge of the network: the caller's tensors in, ours out.
#pragma once

#include <cstddef>
#include <vector>

#include "layers/layer.hpp"
#include "network/network.hpp"

namespace cn {

enum class DType { float32, uint8 };

// A tensor of the caller's: axes in the order of the model file, any strides, in bytes.
struct TensorView {
  const void* data;
  DType dtype;
  std::vector<std::ptrdiff_t> strides;
};

// Reads a tensor into the engine's axis order as float32. Returns false when a number in it is
// infinite or not a number. No function here touches the heap.
bool import_tensor(const Exec& exec, const Port& port, const TensorView& from, float* to);

// True where the caller's tensor can be read in place: float32, dense, its axes in our order.
bool lies_as_inside(const Port& port, const TensorView& from);
// Of such a tensor: what import_tensor() returns.
bool is_finite(const Exec& exec, const Port& port, const TensorView& from);

// The same as import_tensor(), its rows to a layer; each thread needs so much scratch.
bool import_rows(const Exec& exec, const Port& port, const TensorView& from, const Reader& to);
std::size_t import_scratch_floats(const Port& port);

// Writes a tensor of the engine to a dense one in the order of the model file.
void export_tensor(const Exec& exec, const Port& port, const float* from, float* to);

}  // namespace cn
