// Convolutions with 3x3 kernels by Winograd: 36 products a tile of 4x4 outputs in place of 144.
#pragma once

#include <string>
#include <vector>

#include "layers/convolution.hpp"

namespace cn {

// The map is cut into blocks of tiles. A thread takes the channels of a block into the Winograd
// domain, a few at a time by way of tile-planar planes (kernel_table.hpp has that layout); then it
// goes over them for a piece of the filters, whose rows leave for the output while they are near.
class WinogradConvolution : public Layer {
 public:
  WinogradConvolution(const ConvolutionOptions& options, const KernelTable& kernels,
                      const float* kernel, const float* bias, std::string choice);

  // True for 3x3 kernels with stride and dilation 1, where these kernels have it. Maps along a
  // third axis are as many frames.
  static bool fits(const ConvolutionOptions& options, const KernelTable& kernels);
  // Multiply-adds that would take as long.
  static double cost(const ConvolutionOptions& options, const KernelTable& kernels);

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  // Small maps: the tiles of one fill a part of a vector.
  bool likes_batches() const override { return frames_ > depth(); }
  void run_batch(const Exec& exec, std::size_t frames, const float* in, std::size_t in_step,
                 float* out, std::size_t out_step) const override;
  std::size_t scratch_floats() const override { return planes_ + values_ + staged_; }
  std::string kernel(const Exec& exec) const override;
  std::string choice() const override { return choice_; }

 private:
  // Tiles of a block, and the places from one row of them to the next. Whole rows of a map that
  // has zeros around it lie without a place between them; TileGrid's masks are for these.
  struct Tiling {
    std::size_t rows, cols, pitch;
    bool masked;
    std::size_t vectors(std::size_t block_rows, std::size_t block_cols, std::size_t lanes) const {
      return ((block_rows - 1) * pitch + block_cols + lanes - 1) / lanes;
    }
  };
  struct Block {
    std::size_t row, col, rows, cols;  // in tiles
    std::size_t first_frame, frames;
  };
  // Frames of a batch, `step` floats from one to the next, and `depth` maps of a channel in each,
  // which are frames here.
  template <class T>
  struct Maps {
    T* data;
    std::size_t step, depth, map;
    T* of(std::size_t channel, std::size_t frame) const {
      return data + frame / depth * step + (channel * depth + frame % depth) * map;
    }
  };

  static std::size_t vectors_of_map(const ConvolutionOptions& options, const Tiling& tiling,
                                    std::size_t lanes);
  static Tiling choose_tiling(const ConvolutionOptions& options, std::size_t lanes);
  static std::size_t frames_of(const ConvolutionOptions& options, const Tiling& tiling,
                               std::size_t lanes);
  void pack_weights(const KernelTable& kernels, const float* kernel, const float* bias);
  Block block(std::size_t index) const;
  std::size_t vectors(const Block& block) const;
  void transform(const KernelTable& kernels, const Block& block, std::size_t group,
                 const Maps<const float>& x, float* planes, float* values) const;
  void pack_row(const KernelTable& kernels, const Block& block, std::ptrdiff_t row, const float* x,
                float* planes) const;
  void compute(const KernelTable& kernels, const Block& block, std::size_t group, std::size_t first,
               std::size_t runs, const float* values, float* staged, const Maps<float>& out) const;
  void leave(const KernelTable& kernels, const Block& block, const float* planes, float* out) const;

  std::size_t depth() const { return o_.input[0]; }
  std::size_t group_channels() const { return o_.channels / o_.groups; }
  std::size_t group_filters() const { return o_.filters / o_.groups; }
  std::size_t group_runs() const;
  // From one frame of a block to the next: a row of places more than its tiles have is the border
  // below the one and above the other.
  std::size_t frame_places() const { return (tiling_.rows + 1) * tiling_.pitch; }

  ConvolutionOptions o_;
  std::string choice_;
  double cost_;
  std::size_t lanes_;  // places that a kernel takes at once
  Tiling tiling_;
  std::size_t row_blocks_, col_blocks_;
  std::size_t frames_;         // of a block
  std::size_t front_, plane_;  // floats before the first place of a plane; to the next plane
  std::size_t places_;         // of a block: whole vectors
  std::size_t planes_, values_, staged_;  // floats of the parts of the scratch
  std::vector<std::uint32_t> edges_;      // [left, right][places], where they are needed
  Buffer weights_, bias_;                 // of all groups, as WinogradConvBlock has them
};

}  // namespace cn
