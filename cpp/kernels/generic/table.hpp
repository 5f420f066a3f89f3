// The kernel table of one instruction set.
#pragma once

#include "kernels/generic/activation.hpp"
#include "kernels/generic/combine.hpp"
#include "kernels/generic/conv_lstm.hpp"
#include "kernels/generic/conv_lstm_winograd.hpp"
#include "kernels/generic/dense.hpp"
#include "kernels/generic/fma_burst.hpp"
#include "kernels/generic/norm_pool.hpp"
#include "kernels/generic/phases.hpp"
#include "kernels/kernel_table.hpp"

namespace cn {

// F filters by P vectors of pixels is the register tile of the ConvLSTM kernel: 4 * F * P
// accumulators, P inputs and one broadcast have to fit the registers.
template <class V, std::size_t F, std::size_t P>
constexpr KernelTable make_table(const char* name) {
  KernelTable table{};
  table.name = name;
  table.pixels_per_block = P * V::width;
  table.filters_per_block = F;
  table.tiles_per_block = P * V::width;
  if constexpr (V::fused) {
    table.conv_lstm_winograd_4x4_block = conv_lstm_winograd_block<V, P, 4>;
    table.conv_lstm_winograd_2x2_block = conv_lstm_winograd_block<V, P, 2>;
  }
  table.conv_lstm_block = conv_lstm_block<V, F, P>;
  table.join_phases = join_phases<V>;
  table.split_phases = split_phases<V>;
  table.dense_block = dense_block<V>;
  table.norm_pool_row = norm_pool_row<V>;
  table.activate = activate<V>;
  table.combine = combine<V>;
  table.fma_burst = fma_burst<V>;
  return table;
}

}  // namespace cn
