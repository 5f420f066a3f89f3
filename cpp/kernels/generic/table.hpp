// The kernel table of one instruction set.
#pragma once

#include "kernels/generic/activation.hpp"
#include "kernels/generic/combine.hpp"
#include "kernels/generic/conv.hpp"
#include "kernels/generic/conv_lstm.hpp"
#include "kernels/generic/conv_lstm_winograd.hpp"
#include "kernels/generic/dense.hpp"
#include "kernels/generic/depthwise.hpp"
#include "kernels/generic/fma_burst.hpp"
#include "kernels/generic/norm_pool.hpp"
#include "kernels/generic/phases.hpp"
#include "kernels/generic/recurrent.hpp"
#include "kernels/generic/reduce.hpp"
#include "kernels/generic/softmax.hpp"
#include "kernels/generic/winograd_conv.hpp"
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
  constexpr std::size_t kTiles = kColumnInRegisters<V> ? 1 : P;
  table.tiles_per_block = kTiles * V::width;
  table.winograd_rows_inside = kColumnInRegisters<V>;
  if constexpr (V::fused) {
    table.conv_lstm_winograd_4x4_block = conv_lstm_winograd_block<V, kTiles, 4>;
    table.conv_lstm_winograd_2x2_block = conv_lstm_winograd_block<V, kTiles, 2>;
    table.winograd_4x4_patches = winograd_patches<V, kTiles, 4>;
    table.winograd_4x4_conv_block = winograd_conv_block<V, kTiles>;
  }
  table.conv_lstm_block = conv_lstm_block<V, F, P>;
  table.units_per_block = kUnitVectors * V::width;
  table.units_per_block_of_one_gate = kOneGateVectors * V::width;
  table.lstm_block = lstm_block<V>;
  table.gru_block = gru_block<V>;
  table.gru_gates_block = gru_gates_block<V>;
  table.gru_candidate_block = gru_candidate_block<V>;
  table.simple_rnn_block = simple_rnn_block<V>;
  // The four gates of a filter of the cell are as many sums as four filters of a convolution.
  constexpr std::size_t kFilters = 4 * F;
  table.conv_filters = kFilters;
  table.conv_block = conv_block<V, kFilters, P>;
  table.depthwise_block = depthwise_block<V>;
  table.copy_rows = copy_rows<V>;
  table.join_phases = join_phases<V>;
  table.split_phases = split_phases<V>;
  table.units_per_panel = V::width;
  table.dense_block = dense_block<V>;
  table.few_units = V::width / 4;
  table.dense_few_units = dense_few_units<V>;
  table.norm_pool_rows = norm_pool_rows<V>;
  table.reduce_block = reduce_block<V>;
  table.softmax_block = softmax_block<V>;
  table.copy_finite = copy_finite<V>;
  table.all_finite = all_finite<V>;
  table.activate = activate<V>;
  table.combine = combine<V>;
  table.fma_burst = fma_burst<V>;
  return table;
}

}  // namespace cn
