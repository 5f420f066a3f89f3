// Kernels in the Winograd domain: what its convolution and its convolutional LSTM share.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.hpp"

namespace cn {

inline constexpr std::size_t kPoints = 6;  // products along one axis of a tile
inline constexpr std::size_t kProducts = kPoints * kPoints;
// Weights beyond these floats are far: half of a usual L2; V and the state want the rest.
inline constexpr std::size_t kNearWeights = std::size_t{1} << 17;

// Outputs of a tile along one axis, for kernels of `taps`.
constexpr std::size_t tile_of(std::size_t taps) { return kPoints + 1 - taps; }

constexpr std::size_t tiles(std::size_t length, std::size_t tile) {
  return (length + tile - 1) / tile;
}

// The order of WinogradBlock::weights and WinogradConvBlock::weights.
class WinogradWeights {
 public:
  WinogradWeights(const KernelTable& kernels, std::size_t channels);

  std::size_t run_floats() const { return kProducts * channels_ * kLanes; }
  // Puts kernel (taps, taps) of a channel where the four kernels of `run` are: as number `lane`.
  void transform(const float* kernel, std::size_t taps, std::size_t run, std::size_t channel,
                 std::size_t lane, float* weights) const;

 private:
  static constexpr std::size_t kLanes = 4;  // gates of a cell, filters of a convolution
  std::size_t channels_, row_step_, channel_step_;
};

}  // namespace cn
