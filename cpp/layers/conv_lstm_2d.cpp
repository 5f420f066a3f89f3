#include "layers/conv_lstm_2d.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {
namespace {

Size3 checked_map(const ConvLstm2dOptions& o) {
  const std::size_t sizes[] = {
      o.input[0],     o.input[1],           o.input[2],           o.filters,
      o.groups,       o.kernel_size.rows,   o.kernel_size.cols,   o.strides.rows,
      o.strides.cols, o.dilation_rate.rows, o.dilation_rate.cols, o.depth.length,
      o.depth.kernel, o.depth.stride,       o.depth.dilation};
  for (const std::size_t size : sizes) {
    if (size == 0 || size > kLargestLength) {
      throw UnsupportedError("ConvLSTM: expected sizes of 1 to " + std::to_string(kLargestLength) +
                             ", found " + std::to_string(size));
    }
  }
  if (o.filters % o.groups != 0) {
    throw UnsupportedError("ConvLSTM: expected filters to be a multiple of groups");
  }
  if (o.pool && (o.pool->window[0] != 1 || o.pool->strides[0] != 1 || o.pool->mean)) {
    throw UnsupportedError("ConvLSTM: expected a fused pool of the maximum in one plane");
  }
  if ((o.norm || o.pool) && o.rank != 2) {
    throw UnsupportedError("ConvLSTM: expected planes where a norm or a pool is fused");
  }
  const std::size_t rows = checked_mul(depth_axis(o).output, row_axis(o).output);
  return {o.filters, rows, col_axis(o).output};
}

}  // namespace

ConvLstm2d::ConvLstm2d(const ConvLstm2dOptions& options, const KernelTable& kernels,
                       const ConvLstmWeights& weights)
    : input_{options.input[0], options.depth.length * options.input[1], options.input[2]},
      map_(checked_map(options)),
      rank_(options.rank),
      depth_(depth_axis(options).output),
      writer_(map_, options.norm, options.pool),
      window_rows_(options.pool ? std::min(options.pool->window[1], map_[1]) : 1),
      cell_(make_cell(options, kernels, weights)),
      choice_(explain_cell(options, kernels)) {}

std::size_t ConvLstm2d::scratch_floats() const {
  // Rows of h, and a row of the frame on its way to the reader.
  return checked_add(cell_->scratch_floats(), checked_mul(window_rows_ + 1, map_[2]));
}

// Writes the rows of the frame whose rows of h are there, while the cell goes on.
class ConvLstm2d::Writer : public RowSink {
 public:
  Writer(const ConvLstm2d& layer, const Exec& exec, State& state, float* out)
      : layer_(layer), exec_(exec), state_(state), out_(out) {}

  void rows(std::size_t part, std::size_t begin, std::size_t end) override {
    if (out_ == nullptr && !state_.reader) return;
    const Size3& frame = layer_.writer_.output();
    for (std::size_t row = 0; row < frame[1]; ++row) {
      const NormPool::Span span = layer_.writer_.rows_of(row);
      // In this order: rows of other threads are not to be looked at.
      if (span.begin < begin) continue;
      if (span.begin + span.count > end) break;
      if (state_.written[row] != 0) continue;
      for (std::size_t filter = 0; filter < frame[0]; ++filter) {
        layer_.write_row(exec_, state_, true, part, filter, row, out_);
      }
      state_.written[row] = 1;
    }
  }

 private:
  const ConvLstm2d& layer_;
  const Exec& exec_;
  State& state_;
  float* out_;
};

void ConvLstm2d::run(const Exec& exec, const float* const* in, float* const* out,
                     State& state) const {
  float* to = out == nullptr ? nullptr : out[0];
  state.written.assign(writer_.output()[1], 0);
  Writer writer(*this, exec, state, to);
  if (in[0] != nullptr) put_frame(exec, in[0], state);
  cell_->step(exec, state, writer);
  if (to != nullptr || state.reader) write_rest(exec, state, to);
}

void ConvLstm2d::put_row(State& state, std::size_t row, const float* x) const {
  cell_->put_row(state, row / input_[1], row % input_[1], x);
}

void ConvLstm2d::put_frame(const Exec& exec, const float* x, State& state) const {
  const auto put = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      // All channels of a row one after another: who computes a part of the map has put it there.
      const std::size_t row = i % input_[0] * input_[1] + i / input_[0];
      put_row(state, row, x + row * input_[2]);
    }
  };
  const std::size_t rows = input_[0] * input_[1];
  parallel_for(threads_for(exec, static_cast<double>(rows * input_[2])), rows, put);
}

void ConvLstm2d::write_row(const Exec& exec, const State& state, bool next, std::size_t part,
                           std::size_t filter, std::size_t row, float* out) const {
  const Size3& frame = writer_.output();
  const std::size_t index = filter * frame[1] + row;
  float* scratch = exec.scratch_of(part) + cell_->scratch_floats();
  float* to = out != nullptr ? out + index * frame[2] : scratch + window_rows_ * map_[2];
  if (cell_->pools()) {
    cell_->read_pooled_row(state, filter, row, to);
  } else if (writer_.plain()) {
    cell_->read_row(state, ConvLstmCell::kH, filter, row, to, next);
  } else {
    const NormPool::Span span = writer_.rows_of(row);
    for (std::size_t i = 0; i < span.count; ++i) {
      cell_->read_row(state, ConvLstmCell::kH, filter, span.begin + i, scratch + i * map_[2], next);
    }
    writer_.run_row(*exec.kernels, filter, row, scratch, map_[2], to);
  }
  if (out == nullptr) state.reader.put_row(index, to);
}

// Rows of the frame that no thread alone had the h of.
void ConvLstm2d::write_rest(const Exec& exec, const State& state, float* out) const {
  const Size3& frame = writer_.output();
  for (std::size_t row = 0; row < frame[1]; ++row) {
    if (state.written[row] != 0) continue;
    for (std::size_t filter = 0; filter < frame[0]; ++filter) {
      write_row(exec, state, false, 0, filter, row, out);
    }
  }
}

Shape ConvLstm2d::shape_of(const Size3& map) const {
  if (rank_ == 1) return {map[0], map[2]};
  if (rank_ == 2) return {map[0], map[1], map[2]};
  return {map[0], depth_, map[1] / depth_, map[2]};
}

std::vector<StatePart> ConvLstm2d::state_parts() const {
  const Shape shape = shape_of(map_);
  return {{"h", shape}, {"c", shape}};
}

// Most of the memory of a network is here: the first frame does without what would be zero.
void ConvLstm2d::clear(const Exec& exec, State& state) const {
  if (!cell_->knows_zero()) return Layer::clear(exec, state);
  state.frames = 0;
  state.zero = true;
}

void ConvLstm2d::export_state(const State& state, std::size_t part, float* to) const {
  if (state.zero) {
    std::fill_n(to, map_[0] * map_[1] * map_[2], 0.0F);
    return;
  }
  const auto which = part == 0 ? ConvLstmCell::kH : ConvLstmCell::kC;
  for (std::size_t i = 0; i < map_[0] * map_[1]; ++i, to += map_[2]) {
    cell_->read_row(state, which, i / map_[1], i % map_[1], to);
  }
}

void ConvLstm2d::import_state(State& state, std::size_t part, const float* from) const {
  if (state.zero) {
    std::fill_n(state.data.data(), state.data.size(), 0.0F);
    state.zero = false;
  }
  const auto which = part == 0 ? ConvLstmCell::kH : ConvLstmCell::kC;
  for (std::size_t i = 0; i < map_[0] * map_[1]; ++i, from += map_[2]) {
    cell_->write_row(state, which, i / map_[1], i % map_[1], from);
  }
}

std::string ConvLstm2d::kernel(const Exec& exec) const {
  return cell_->name() + " " + exec.kernels->name;
}

}  // namespace cn
