// The convolution that Convolution and ConvolutionTranspose are made of.
#pragma once

#include <array>
#include <vector>

#include "layers/layer.hpp"

namespace cn {

// One of the three axes (depth, rows, cols) of a map, seen from the places that are computed:
// place i reads input i * stride + taps[k] for each tap and is output first + i * step.
struct TapAxis {
  std::size_t input = 1;
  std::size_t output = 1;  // length of the frame that is written
  std::size_t places = 1;
  std::size_t stride = 1;
  std::vector<std::ptrdiff_t> taps{0};  // outside of the input: zeros
  std::size_t first = 0, step = 1;
};

struct PlaneConvolutionOptions {
  std::size_t channels = 1, filters = 1, groups = 1;
  std::array<TapAxis, 3> axes;
  // More than 1: as many filters as row_phases * col_phases share a map of the output, of which
  // filter (row, col) makes the rows row + i * step and the columns col + j * step.
  std::size_t row_phases = 1, col_phases = 1;
  Activation activation;

  bool joins_phases() const { return col_phases > 1; }

  std::size_t taps() const {  // of a filter
    return channels / groups * axes[0].taps.size() * axes[1].taps.size() * axes[2].taps.size();
  }
};

// out[f, place] = activation(bias[f] + sum over channels c of the group, then taps, of
//                            kernel[f, c, taps] * x[c, place and tap])
//
// The places are cut into blocks. A thread packs what a block reads into its scratch: zeros around
// the map, columns that a stride leads to side by side, rows with one pitch, so that every tap is a
// constant offset. Then the kernel goes over it for a piece of the filters, and their rows leave
// for the output. Sums go on in the order of the taps whatever the cuts are.
class PlaneConvolution {
 public:
  // `kernel` is (filters, channels / groups, taps of depth, rows, cols), dense.
  PlaneConvolution(const PlaneConvolutionOptions& options, const KernelTable& kernels,
                   const float* kernel, const float* bias);

  void run(const Exec& exec, const float* x, float* out) const;
  std::size_t scratch_floats() const { return packed_ + staged_; }  // of each thread

 private:
  // How the planes of a block hold an axis that is split by its stride: place j of plane k is input
  // (first place of the block + j) * stride + origin + phases[k].
  struct Split {
    std::ptrdiff_t origin = 0;
    std::vector<std::size_t> phases;              // remainders by the stride, or where taps are
    std::size_t reach = 0;                        // places that taps read behind those computed
    std::vector<std::size_t> phase_of, shift_of;  // of every tap
  };
  struct Block {
    std::size_t group, depth, row, col, rows, cols;
  };

  struct Piece {  // of the filters of a group
    std::size_t first, count;
  };

  static Split split(const TapAxis& axis);
  void spread_columns();
  void choose_blocks();
  void choose_pitch();
  void list_taps();
  void pack_weights(const KernelTable& kernels, const float* kernel, const float* bias);
  Block block(std::size_t index) const;
  void pack(const KernelTable& kernels, const Block& block, const float* x, float* planes) const;
  void pack_rows(const KernelTable& kernels, const Block& block, std::size_t phase, const float* x,
                 float* planes) const;
  void pack_row(const KernelTable& kernels, const Block& block, const float* x, float* to) const;
  void join(const KernelTable& kernels, const Block& block, std::size_t filter, const float* staged,
            std::size_t stride, float* out) const;
  void compute(const KernelTable& kernels, const Block& block, const Piece& piece,
               const float* planes, float* staged, float* out) const;

  std::size_t group_channels() const { return o_.channels / o_.groups; }
  std::size_t group_filters() const { return o_.filters / o_.groups; }
  std::size_t slices() const { return group_channels() * o_.axes[0].taps.size(); }
  std::size_t slice_taps() const { return o_.axes[1].taps.size() * o_.axes[2].taps.size(); }
  std::size_t slice_planes() const { return rows_.phases.size() * cols_.phases.size(); }
  std::size_t blocks() const;
  std::size_t places() const { return round_up(block_rows_ * pitch_, kConvPlaces); }
  // Places of a map, or of a block, are whole vectors in a row, as in the output.
  bool maps_in_a_row() const;
  bool writes_places() const;

  PlaneConvolutionOptions o_;
  Split rows_, cols_;
  std::size_t block_rows_, block_cols_;  // of outputs in a block
  std::size_t pitch_;                    // floats from one row of a plane to the next
  std::size_t plane_;                    // floats from one plane to the next
  std::size_t packed_, staged_;
  std::size_t piece_;                    // most filters that are computed at once
  std::size_t sum_step_;                 // slices that are summed at once
  std::vector<std::ptrdiff_t> offsets_;  // of all taps of a filter
  Buffer weights_;                       // [groups][steps of slices], each as in ConvBlock
  Buffer bias_;
};

}  // namespace cn
