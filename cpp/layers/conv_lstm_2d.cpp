#include "layers/conv_lstm_2d.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {
namespace {

Size3 checked_map(const ConvLstm2dOptions& o) {
  const std::size_t sizes[] = {
      o.input[0],     o.input[1],           o.input[2],          o.filters,
      o.groups,       o.kernel_size.rows,   o.kernel_size.cols,  o.strides.rows,
      o.strides.cols, o.dilation_rate.rows, o.dilation_rate.cols};
  for (const std::size_t size : sizes) {
    if (size == 0 || size > kLargestLength) {
      throw UnsupportedError("ConvLSTM2D: expected sizes of 1 to " +
                             std::to_string(kLargestLength) + ", found " + std::to_string(size));
    }
  }
  if (o.filters % o.groups != 0) {
    throw UnsupportedError("ConvLSTM2D: expected filters to be a multiple of groups");
  }
  if (o.pool && (o.pool->window[0] != 1 || o.pool->strides[0] != 1)) {
    throw UnsupportedError("ConvLSTM2D: expected a fused pool of one plane");
  }
  return {o.filters, row_axis(o).output, col_axis(o).output};
}

}  // namespace

ConvLstm2d::ConvLstm2d(const ConvLstm2dOptions& options, const KernelTable& kernels,
                       const ConvLstmWeights& weights)
    : map_(checked_map(options)),
      writer_(map_, options.norm, options.pool),
      window_rows_(options.pool ? std::min(options.pool->window[1], map_[1]) : 1),
      cell_(make_cell(options, kernels, weights)),
      choice_(explain_cell(options, kernels)) {}

std::size_t ConvLstm2d::scratch_floats() const {
  return std::max(cell_->scratch_floats(), checked_mul(window_rows_, map_[2]));
}

void ConvLstm2d::run(const Exec& exec, const float* const* in, float* const* out,
                     State& state) const {
  cell_->step(exec, in[0], state);
  if (out != nullptr) write_frame(exec, state, out[0]);
}

void ConvLstm2d::write_frame(const Exec& exec, const State& state, float* out) const {
  const Size3& frame = writer_.output();
  const auto rows = [&](std::size_t part, std::size_t begin, std::size_t end) {
    for (std::size_t index = begin; index < end; ++index) {
      const std::size_t filter = index / frame[1], row = index % frame[1];
      float* to = out + index * frame[2];
      if (writer_.plain()) {
        cell_->read_row(state, ConvLstmCell::kH, filter, row, to);
        continue;
      }
      const NormPool::Span span = writer_.rows_of(row);
      float* scratch = exec.scratch_of(part);
      for (std::size_t i = 0; i < span.count; ++i) {
        cell_->read_row(state, ConvLstmCell::kH, filter, span.begin + i, scratch + i * map_[2]);
      }
      writer_.run_row(*exec.kernels, filter, row, scratch, map_[2], to);
    }
  };
  const double operations = 2.0 * static_cast<double>(map_[0] * map_[1] * map_[2]);
  parallel_for(threads_for(exec, operations), frame[0] * frame[1], rows);
}

std::vector<StatePart> ConvLstm2d::state_parts() const {
  const Shape shape{map_.begin(), map_.end()};
  return {{"h", shape}, {"c", shape}};
}

void ConvLstm2d::export_state(const State& state, std::size_t part, float* to) const {
  const auto which = part == 0 ? ConvLstmCell::kH : ConvLstmCell::kC;
  for (std::size_t i = 0; i < map_[0] * map_[1]; ++i, to += map_[2]) {
    cell_->read_row(state, which, i / map_[1], i % map_[1], to);
  }
}

void ConvLstm2d::import_state(State& state, std::size_t part, const float* from) const {
  const auto which = part == 0 ? ConvLstmCell::kH : ConvLstmCell::kC;
  for (std::size_t i = 0; i < map_[0] * map_[1]; ++i, from += map_[2]) {
    cell_->write_row(state, which, i / map_[1], i % map_[1], from);
  }
}

std::string ConvLstm2d::kernel(const Exec& exec) const {
  return cell_->name() + " " + exec.kernels->name;
}

}  // namespace cn
