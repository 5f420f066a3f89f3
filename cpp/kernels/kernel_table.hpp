// The kernels: pure functions on one block. They know nothing of threads, allocate
// nothing and throw nothing. Each instruction set exports one table of them; the bodies
// are in generic/, written once over the vector type of simd/<isa>.hpp.
//
// All pointers may have any alignment unless said otherwise. Outputs never overlap inputs
// except where said.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/activation.hpp"

namespace cn {

// One fused step of a convolutional LSTM for a run of pixels and a run of filters.
//
//   z_g[n] = bias_g + sum_k w_g[k] * x[x_offsets[k] + n] + sum_k w_g[..] * h[h_offsets[k] + n]
//            for the gates g = i, f, c, o
//   c[n]   = rec(z_f) * c[n] + rec(z_i) * act(z_c)
//   h'[n]  = rec(z_o) * act(c[n])
//
// Planes are flattened with one pitch, so every tap of the convolutions is one offset and
// neighbouring pixels are neighbouring floats. Where mask[n] is zero (the gap between
// rows) c and h' become +0, whatever was computed there.
struct ConvLstmBlock {
  const float* x;                   // planes of the input frame, at the first pixel
  const std::ptrdiff_t* x_offsets;  // of every tap, in floats
  std::size_t x_taps;
  const float* h;  // planes of the previous h, at the first pixel
  const std::ptrdiff_t* h_offsets;
  std::size_t h_taps;
  const float* weights;       // [filter][x_taps + h_taps][4 gates]
  const float* bias;          // [filter][4 gates]
  const std::uint32_t* mask;  // [pixels], all ones or zero
  float* c;                   // [filter][c_stride], at the first pixel; updated in place
  std::size_t c_stride;       // floats from one filter to the next
  float* h_out;               // [filter][h_stride], at the first pixel
  std::size_t h_stride;
  std::size_t filters;  // how many, all of them with the same taps
  std::size_t pixels;   // a multiple of pixels_per_block
  Activation activation;
  Activation recurrent_activation;
};

// One row of max(scale * x + shift) over a window of planes, rows and columns.
//
//   out[j] = max over p < planes, r < rows, 0 <= j * stride - left + k < cols, k < window
//            of y(p, r, j * stride - left + k)
//   y(p, r, i) = scale[s] * x[p * plane_stride + r * row_stride + i] + shift[s],
//   s          = p * plane_step + r * row_step + i * col_step
//
// Without a norm `scale` is null and y = x. Every window must hold at least one column.
struct NormPoolRow {
  const float* x;
  std::size_t planes, plane_stride;
  std::size_t rows, row_stride;
  std::size_t cols;
  const float* scale;
  const float* shift;
  std::size_t plane_step, row_step, col_step;  // one of them is 1: the axis of the norm
  std::size_t window, stride, left;
  float* out;
  std::size_t out_cols;
};

struct KernelTable {
  const char* name;               // how users ask for it
  std::size_t pixels_per_block;   // granularity of ConvLstmBlock::pixels
  std::size_t filters_per_block;  // the register tile; any number of filters is allowed

  void (*conv_lstm_block)(const ConvLstmBlock& block);
  void (*norm_pool_row)(const NormPoolRow& row);
  // out[i] = activation(x[i]); out may be x.
  void (*activate)(const Activation& activation, const float* x, float* out, std::size_t count);
  // Runs `rounds` of independent fused multiply-adds in registers; returns the number of
  // floating point operations, for measuring what this core can do at most. `sink` gets a
  // value that depends on all of them.
  double (*fma_burst)(std::size_t rounds, float* sink);
};

}  // namespace cn
