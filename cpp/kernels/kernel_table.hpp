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
#include "kernels/combine.hpp"

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

// Winograd, for kernels with stride and dilation 1: F(4x4, 3x3) or F(2x2, 5x5).
//
// Tile-planar layout: a map is cut into tiles of T x T pixels, T = 4 or 2, and pixel (q, p) of all
// tiles forms a plane of its own, so that neighbouring floats belong to neighbouring tiles. Tile t
// of tile row R is place n = R * pitch + t. With a pitch of the tiles of a row, `left` and `right`
// mask the taps beyond its ends. Where pixels there are read, as by a 'valid' convolution, the
// pitch is larger, and the places between two rows, which hold these pixels of x and zeros of h,
// are the right border of one and the left border of the next. A channel is T * T planes,
// q * T + p, `plane` floats apart; one row of places before the first and behind the last must be
// readable.
//
// Pointers are at the first place of the block; a block is tiles_per_block places.
struct TileGrid {
  std::size_t plane, pitch;
  const std::uint32_t* left;   // [places]: zero for the first tile of a row, else all ones; or null
  const std::uint32_t* right;  // zero for the last one; null where left is
};

// Channels on their way into the Winograd domain.
struct WinogradPatches {
  TileGrid grid;
  const float* x;  // planes
  std::size_t channels;
  float* v;  // [6 columns][v_channels][6 rows][places], at the first of these channels
  std::size_t v_channels;
};

// A 3x3 convolution by Winograd of channels that are in that domain, for runs of four filters.
struct WinogradConvBlock {
  const float* v;
  std::size_t channels;
  const float* weights;  // [run][6 columns][6 rows][channels][4 filters], or rows inside channels
  bool far_weights;      // those of the layer are more than a near cache holds
  const float* bias;     // [run][4 filters]
  std::size_t runs;
  bool relu;   // max(0, sum) at the end
  float* out;  // [run][4 filters][16 pixels of a tile], out_plane floats apart
  std::size_t out_plane;
};

// The step of ConvLstmBlock by Winograd.
struct WinogradBlock {
  TileGrid grid;
  const float* x;
  std::size_t x_channels;
  const float* h;
  std::size_t h_channels;
  // [filter][6 columns][6 rows][h, then x channels][4 gates], or rows inside channels.
  const float* weights;
  bool far_weights;           // as of WinogradConvBlock
  const float* bias;          // [filter][4 gates]
  const std::uint32_t* mask;  // [T * T pixels][mask_stride], all ones or zero; null: all ones
  std::size_t mask_stride;
  bool zero_state;  // h and c are zero, whatever their memory holds
  float* c;         // [filter][T * T pixels][tiles_per_block]; updated in place
  float* h_out;     // planes of the next h, laid out as h
  std::size_t filters;
  // With T = 4, where `pooled` is not null, the largest of each 2x2 pixels of scale * h + shift,
  // too: [filter][2x2 pixels of the tile][pooled_plane].
  float* pooled;
  std::size_t pooled_plane;
  enum class Norm { none, filter, row, col } norm;
  // [filter], or of the four rows or columns of a tile [4][norm_step] at the first place.
  const float* scale;
  const float* shift;
  std::size_t norm_step;
  float* v;               // scratch, 36 * channels * tiles_per_block floats
  bool v_has_x, v_has_h;  // it holds the transform of these already
  Activation activation;
  Activation recurrent_activation;
};

// One step of a recurrent layer on vectors for a block of units. A panel is the part of a matrix
// that these units need: [row][gate][units_per_block] floats, read from first to last.
//
// With z_g = bias_g + sum_i x[i] * w[i][g] + sum_k h[k] * u[k][g], w and u the panels of x and h:
//   lstm         gates i, f, c, o:
//                c' = rec(z_i) * act(z_c) + rec(z_f) * c
//                h' = rec(z_o) * act(c')
//   gru          gates z, r, h; u_h and its bias make a sum of their own:
//                a = act(z_h + rec(z_r) * (recurrent_bias + sum_k h[k] * u[k][h]))
//                h' = rec(z_z) * h + (1 - rec(z_z)) * a
//   gru_gates    gates z, r, h, where h sums over x alone:
//                update = rec(z_z), reset_h = rec(z_r) * h, c = z_h
//   gru_candidate, one gate over reset_h, which is passed as h:
//                a = act(c + sum_k h[k] * u[k]),  h' = update * previous + (1 - update) * a
//   simple_rnn   one gate: h' = act(z)
//
// Biases are [gate][units_per_block]; they may hold the sums over x already, with no inputs. A
// block is computed whole: all arrays of units are padded to blocks.
struct RecurrentBlock {
  const float* x;
  std::size_t inputs;
  const float* x_panel;
  const float* h;
  std::size_t units;  // of the layer
  const float* h_panel;
  const float* bias;
  const float* recurrent_bias;  // of gru
  const float* previous;        // h, at the first unit of the block
  float* c;  // as all below at the first unit of the block; lstm: updated in place
  float* update;
  float* reset_h;
  float* h_out;
  Activation activation;
  Activation recurrent_activation;
};

// A row of the maximum or mean of scale * x + shift over a window of planes, rows and columns; and
// those behind it, whose windows begin x_step floats further.
//
//   out[j] = max, or with `mean` the mean,
//            over p < planes, r < rows, 0 <= j * stride - left + k < cols, k < window
//            of y(p, r, j * stride - left + k)
//   y(p, r, i) = scale[s] * x[p * plane_stride + r * row_stride + i] + shift[s],
//   s          = p * plane_step + r * row_step + i * col_step
//
// Without a norm `scale` is null and y = x. Every window must hold at least one column.
struct NormPoolRows {
  const float* x;
  std::size_t count, x_step;  // rows of the result; more than one without a norm of rows
  std::size_t planes, plane_stride;
  std::size_t rows, row_stride;
  std::size_t cols;
  const float* scale;
  const float* shift;
  std::size_t plane_step, row_step, col_step;  // one of them is 1: the axis of the norm
  std::size_t window, stride, left;
  bool mean;
  const float* window_cols;  // of the mean: how many columns each window holds
  float* out;                // dense rows
  std::size_t out_cols;
};

// A convolution for a run of places and filters that read the same taps.
//
//   out[f][n] = bias[f] + sum_k w[f][k] * x[offsets[k] + n]
//
// Sums go in the order of the taps. A call without bias goes on where an earlier one left `out`, so
// that no cut of places, filters or taps changes a bit. Planes are flattened with one pitch: every
// tap is one offset.
struct ConvBlock {
  const float* x;                 // packed planes, at the first place
  const std::ptrdiff_t* offsets;  // of every tap, in floats
  std::size_t taps;
  // Runs of conv_filters filters, [taps][filters of the run] each; what is left in runs of half as
  // many, of a quarter and so on.
  const float* weights;
  const float* bias;  // [filters], or null: go on
  float* out;         // [filters][out_stride], at the first place
  std::size_t out_stride;
  std::size_t filters;
  std::size_t places;  // a multiple of kConvPlaces
  bool relu;           // max(0, sum) at the end
};
inline constexpr std::size_t kConvPlaces = 16;  // the widest vector

// Convolutions of maps with a kernel each, of stride 1 and to maps of the same size.
//
//   out[c][n] = bias[c] + sum over the taps (col, row) of w[c][col][row] * x[c][n + offset]
//
// for the taps whose mask at n is not zero: those within the row of n. Beyond the map x is zero.
struct DepthwiseBlock {
  const float* x;                // [channels][places]
  std::size_t channels, places;  // at least kConvPlaces
  const float* weights;          // [channels][tap_cols][tap_rows]
  const float* bias;
  std::size_t tap_cols, tap_rows;
  const std::ptrdiff_t* offsets;      // [tap_cols][tap_rows]
  const std::uint32_t* const* masks;  // [tap_cols], each [places] or null: all ones
  std::size_t reach;                  // the largest offset either way
  bool relu;
  float* padded;  // scratch, 2 * (places + 2 * reach)
  float* out;
};

// y[r][u] = bias[u] + sum over k of weights[k][u] * x[r][k], each y to the same bits in whatever
// block it is computed. Units come in panels of KernelTable::units_per_panel, padded to whole ones.
// Where they are few, most of a panel would be padding: of many inputs the lanes are these then.
struct DenseBlock {
  const float* weights;  // [panel][inputs][units_per_panel], or of few units [unit][inputs]
  const float* bias;     // [units], padded as the panels are
  std::size_t inputs, units;
  const float* x;  // [rows], x_stride floats apart
  std::size_t rows, x_stride;
  bool relu;  // max(0, y)
  float* y;
  std::size_t y_stride;
};

// out[c] = the mean, or the largest, of x[row * stride + c] over the rows; of each slice, rows *
// stride floats of x and cols floats of out behind the one before.
struct ReduceBlock {
  const float* x;
  std::size_t slices, rows, stride, cols;
  bool mean;
  float* out;
};

// y = exp(x - m) / sum exp(x - m) along an axis, m the maximum there, or the logarithm of it; place
// `a` of column `c` is at a * step + c * column_step, and one of these steps is 1. Where it is
// `step` the axis is of kShortestSoftmaxRow or more and y is not x, which it may be otherwise.
inline constexpr std::size_t kShortestSoftmaxRow = 64;
struct SoftmaxBlock {
  const float* x;
  float* y;
  std::size_t axis, step, columns, column_step;
  bool logarithm;
};

struct KernelTable {
  const char* name;               // how users ask for it
  std::size_t pixels_per_block;   // granularity of ConvLstmBlock::pixels
  std::size_t filters_per_block;  // the register tile; any number of filters is allowed

  std::size_t tiles_per_block;  // places of a WinogradBlock
  bool winograd_rows_inside;    // of its weights: [channels][6 rows], not [6 rows][channels]

  std::size_t conv_filters;  // of a run of a ConvBlock's weights, a power of two

  void (*conv_lstm_block)(const ConvLstmBlock& block);
  // Null where multiply-adds are not fused: their rounding would exceed 3e-6 over 1000 steps.
  void (*conv_lstm_winograd_4x4_block)(const WinogradBlock& block);  // kernels 3x3
  void (*conv_lstm_winograd_2x2_block)(const WinogradBlock& block);  // kernels 5x5
  void (*winograd_4x4_patches)(const WinogradPatches& patches);      // of one block
  void (*winograd_4x4_conv_block)(const WinogradConvBlock& block);

  // Units of a RecurrentBlock: of those with three or four gates, and of those with one.
  std::size_t units_per_block, units_per_block_of_one_gate;
  void (*lstm_block)(const RecurrentBlock& block);
  void (*gru_block)(const RecurrentBlock& block);
  void (*gru_gates_block)(const RecurrentBlock& block);
  void (*gru_candidate_block)(const RecurrentBlock& block);
  void (*simple_rnn_block)(const RecurrentBlock& block);
  void (*conv_block)(const ConvBlock& block);
  void (*depthwise_block)(const DepthwiseBlock& block);
  // to[r * to_pitch + i] = from[r * from_pitch + i] for r < rows, i < cols.
  void (*copy_rows)(const float* from, std::size_t from_pitch, std::size_t rows, std::size_t cols,
                    float* to, std::size_t to_pitch);

  // A row of pixels from and to `phases` (2 or 4) planes, `plane` floats apart:
  //   out[i] = planes[i % phases * plane + i / phases]
  //   planes[(first + i) % phases * plane + (first + i) / phases] = x[i]
  void (*join_phases)(std::size_t phases, const float* planes, std::size_t plane, std::size_t cols,
                      float* out);
  void (*split_phases)(std::size_t phases, const float* x, std::size_t cols, std::size_t first,
                       float* planes, std::size_t plane);
  std::size_t units_per_panel;
  void (*dense_block)(const DenseBlock& block);
  std::size_t few_units;  // so many at most
  void (*dense_few_units)(const DenseBlock& block);
  // These five return false when a number of x is infinite or not a number; a sum of large ones
  // that overflows may pass for one.
  bool (*norm_pool_rows)(const NormPoolRows& rows);  // of maxima; a mean shows what it was made of
  bool (*reduce_block)(const ReduceBlock& block);
  bool (*softmax_block)(const SoftmaxBlock& block);
  // out[i] = activation(x[i]); out may be x.
  bool (*activate)(const Activation& activation, const float* x, float* out, std::size_t count);
  bool (*copy_finite)(const float* x, std::size_t count, float* out);
  // False when a number is infinite or not a number.
  bool (*all_finite)(const float* x, std::size_t count);
  // out[i] = f(a[i * a_step], b[i * b_step]) with steps of 0 or 1; out may be an operand of step 1.
  // False when one of these is infinite or not a number.
  bool (*combine)(Combine f, const float* a, std::size_t a_step, const float* b, std::size_t b_step,
                  float* out, std::size_t count);
  // Runs `rounds` of independent fused multiply-adds in registers; returns the number of
  // floating point operations, for measuring what this core can do at most. `sink` gets a
  // value that depends on all of them.
  double (*fma_burst)(std::size_t rounds, float* sink);
};

}  // namespace cn
