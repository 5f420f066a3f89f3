// Convolutional LSTM by Winograd: 36 products a tile, whether 4x4 pixels of a 3x3 kernel (which
// takes 144 directly) or 2x2 pixels of a 5x5 kernel (100).
#pragma once

#include "base/parallel.hpp"
#include "layers/conv_lstm_cell.hpp"
#include "layers/cost.hpp"

namespace cn {

// The state holds x, two sets of h (read one, write the other, swap) and c. x and h are in the
// tile-planar layout of kernel_table.hpp; c, which only its own block reads, lies block by block:
// [block][filter][pixels of a tile][places of a block]. Where the cell pools, the newest pooled
// pixels follow: [filter][2x2 pixels of a tile][places].
class WinogradCell : public ConvLstmCell {
 public:
  WinogradCell(const ConvLstm2dOptions& options, const KernelTable& kernels,
               const ConvLstmWeights& weights);

  // True for 3x3 and 5x5 kernels with stride and dilation 1, where these kernels have the step.
  static bool fits(const ConvLstm2dOptions& options, const KernelTable& kernels);
  // What DirectCell::cost counts, for these kernels.
  static double cost(const ConvLstm2dOptions& options, const KernelTable& kernels);

  void put_row(State& state, std::size_t channel, std::size_t row, const float* x) const override;
  void step(const Exec& exec, State& state, RowSink& sink) const override;
  bool knows_zero() const override { return true; }
  std::size_t state_floats() const override;
  std::size_t scratch_floats() const override;
  void read_row(const State& state, Part part, std::size_t filter, std::size_t row, float* to,
                bool next) const override;
  bool pools() const override { return pools_; }
  void read_pooled_row(const State& state, std::size_t filter, std::size_t row,
                       float* to) const override;
  void write_row(State& state, Part part, std::size_t filter, std::size_t row,
                 const float* from) const override;
  std::string name() const override { return name_for(o_); }
  static std::string name_for(const ConvLstm2dOptions& options) {
    return options.kernel_size.rows == 3 ? "winograd 4x4" : "winograd 2x2";
  }

 private:
  void make_mask();
  void make_edges();
  void make_norm();
  void transform_weights(const ConvLstmWeights& weights);
  void run_tasks(const Exec& exec, std::size_t part, Tasks& tasks, const FilterSplit& split,
                 State& state, RowSink& sink) const;

  std::size_t pixels() const { return tile_ * tile_; }
  std::size_t channel_floats() const { return pixels() * plane_; }
  std::size_t h_start(bool newest, const State& state) const;
  std::size_t c_start() const;
  std::size_t pooled_start() const { return c_start() + o_.filters * pixels() * places_; }
  // Where a pixel of the newest h, or of c, lies.
  std::size_t at(const State& state, Part part, std::size_t filter, std::size_t row,
                 std::size_t col, bool next = false) const;

  ConvLstm2dOptions o_;
  const KernelTable* kernels_;
  ConvAxis rows_, cols_;
  std::size_t tile_;                 // pixels along one axis of a tile
  std::size_t block_;                // places of a block
  std::size_t pitch_;                // places from one row of tiles to the next
  std::size_t places_;               // of all rows of tiles, whole blocks
  std::size_t front_;                // floats before the first place of a plane
  std::size_t plane_;                // floats from one plane to the next
  Buffer weights_;                   // as WinogradBlock::weights
  Buffer bias_;                      // [filter][4 gates]
  std::vector<std::uint32_t> mask_;  // [pixels of a tile][places]
  // Of rows of tiles without places between them: [left, right][places], zero at the ends of a row.
  std::vector<std::uint32_t> edges_;
  bool pools_;               // 2x2 pixels of a tile at a time, as they are computed
  Buffer norm_;              // scale, then shift: of each filter, or row or column of a tile
  std::vector<char> whole_;  // of each block: 1 where the mask keeps all of it
};

}  // namespace cn
