#include "layers/recurrent.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace cn {
namespace {

using Kind = RecurrentOptions::Kind;

// Arrays of the state behind the two of h.
enum Array : std::size_t { kFirstH, kSecondH, kC, kUpdate, kResetH };

std::size_t arrays_of(Kind kind) {
  if (kind == Kind::lstm) return kC + 1;
  return kind == Kind::gru_reset_before ? kResetH + 1 : kSecondH + 1;
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::lstm:
      return "lstm";
    case Kind::gru:
      return "gru";
    case Kind::gru_reset_before:
      return "gru, reset before the product";
    case Kind::simple_rnn:
      return "simple rnn";
  }
  return "";
}

}  // namespace

std::size_t gates_of(Kind kind) {
  if (kind == Kind::simple_rnn) return 1;
  return kind == Kind::lstm ? 4 : 3;
}

RecurrentLayer::RecurrentLayer(const RecurrentOptions& options, const KernelTable& kernels,
                               const RecurrentWeights& weights)
    : o_(options),
      gates_(gates_of(options.kind)),
      lanes_(gates_ == 1 ? kernels.units_per_block_of_one_gate : kernels.units_per_block),
      second_lanes_(kernels.units_per_block_of_one_gate),
      padded_(0),
      arrays_(arrays_of(options.kind)) {
  for (const std::size_t size : {o_.inputs, o_.units}) {
    if (size == 0 || size > kLargestLength) {
      throw UnsupportedError("recurrent layer: expected sizes of 1 to " +
                             std::to_string(kLargestLength) + ", found " + std::to_string(size));
    }
  }
  padded_ = round_up(o_.units, std::max(lanes_, second_lanes_));
  const bool two_passes = o_.kind == Kind::gru_reset_before;
  if (!o_.reads_product) x_panels_ = panels(weights.kernel, o_.inputs, 0, gates_, lanes_);
  h_panels_ = panels(weights.recurrent_kernel, o_.units, 0, two_passes ? 2 : gates_, lanes_);
  if (two_passes) second_panels_ = panels(weights.recurrent_kernel, o_.units, 2, 1, second_lanes_);
  pack_biases(weights);
}

Buffer RecurrentLayer::panels(const float* matrix, std::size_t rows, std::size_t first,
                              std::size_t gates, std::size_t lanes) const {
  Buffer packed(checked_mul(checked_mul(rows, gates), round_up(o_.units, lanes)));
  for (std::size_t block = 0; block * lanes < o_.units; ++block) {
    const std::size_t unit = block * lanes;
    const std::size_t count = std::min(lanes, o_.units - unit);
    float* to = packed.data() + unit * rows * gates;
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t gate = first; gate < first + gates; ++gate, to += lanes) {
        std::copy_n(matrix + (row * gates_ + gate) * o_.units + unit, count, to);
      }
    }
  }
  return packed;
}

// The recurrent bias of the gates z and r of a GRU goes into the other one.
void RecurrentLayer::pack_biases(const RecurrentWeights& weights) {
  bias_ = Buffer(product_size());
  if (o_.kind == Kind::gru) recurrent_bias_ = Buffer(round_up(o_.units, lanes_));
  for (std::size_t unit = 0; unit < o_.units; ++unit) {
    float* to = bias_.data() + unit / lanes_ * gates_ * lanes_ + unit % lanes_;
    for (std::size_t gate = 0; gate < gates_; ++gate) {
      to[gate * lanes_] = weights.bias[gate * o_.units + unit];
    }
    if (weights.recurrent_bias == nullptr) continue;
    for (std::size_t gate = 0; gate < 2; ++gate) {
      to[gate * lanes_] += weights.recurrent_bias[gate * o_.units + unit];
    }
    recurrent_bias_.data()[unit] = weights.recurrent_bias[2 * o_.units + unit];
  }
}

bool RecurrentLayer::product_pays(const RecurrentOptions& o) {
  return o.inputs * o.units * gates_of(o.kind) >= Dense::kManyWeights;
}

std::unique_ptr<Dense> RecurrentLayer::input_product(const KernelTable& kernels,
                                                     const RecurrentWeights& weights) const {
  const Buffer packed = panels(weights.kernel, o_.inputs, 0, gates_, lanes_);
  const std::size_t columns = product_size(), run = gates_ * lanes_;
  Buffer kernel(checked_mul(o_.inputs, columns));
  for (std::size_t row = 0; row < o_.inputs; ++row) {
    for (std::size_t column = 0; column < columns; column += run) {
      std::copy_n(packed.data() + column * o_.inputs + row * run, run,
                  kernel.data() + row * columns + column);
    }
  }
  return std::make_unique<Dense>(kernels, 1, o_.inputs, columns, kernel.data(), bias_.data(),
                                 Activation{});
}

void RecurrentLayer::run_blocks(const Exec& exec, Kernel kernel, std::size_t lanes,
                                std::size_t h_gates, const Buffer& h_panels, const float* x,
                                const float* h, float* data, std::size_t newest) const {
  const bool product = x != nullptr && o_.reads_product;
  const std::size_t inputs = x == nullptr || product ? 0 : o_.inputs;
  const double operations =
      static_cast<double>(o_.units) * static_cast<double>(inputs * gates_ + o_.units * h_gates);
  const std::size_t blocks = (o_.units + lanes - 1) / lanes;
  parallel_for(threads_for(exec, operations), blocks, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t unit = i * lanes;
      const auto array = [&](std::size_t which) {
        return which < arrays_ ? data + which * padded_ + unit : nullptr;
      };
      RecurrentBlock block{};
      block.x = x;
      block.inputs = inputs;
      block.x_panel = inputs == 0 ? nullptr : x_panels_.data() + unit * inputs * gates_;
      block.h = h;
      block.units = o_.units;
      block.h_panel = h_panels.data() + unit * o_.units * h_gates;
      block.bias = (product ? x : bias_.data()) + unit * gates_;
      if (recurrent_bias_.size() != 0) block.recurrent_bias = recurrent_bias_.data() + unit;
      block.previous = array(newest);
      block.c = array(kC);
      block.update = array(kUpdate);
      block.reset_h = array(kResetH);
      block.h_out = array(newest == kFirstH ? kSecondH : kFirstH);
      block.activation = o_.activation;
      block.recurrent_activation = o_.recurrent_activation;
      kernel(block);
    }
  });
}

void RecurrentLayer::run(const Exec& exec, const float* const* in, float* const* out,
                         State& state) const {
  const KernelTable& kernels = *exec.kernels;
  float* data = state.data.data();
  const std::size_t newest = state.frames % 2 == 0 ? kFirstH : kSecondH;
  const float* h = data + newest * padded_;
  const auto pass = [&](Kernel kernel, std::size_t h_gates) {
    run_blocks(exec, kernel, lanes_, h_gates, h_panels_, in[0], h, data, newest);
  };
  switch (o_.kind) {
    case Kind::lstm:
      pass(kernels.lstm_block, gates_);
      break;
    case Kind::gru:
      pass(kernels.gru_block, gates_);
      break;
    case Kind::gru_reset_before:
      pass(kernels.gru_gates_block, 2);
      run_blocks(exec, kernels.gru_candidate_block, second_lanes_, 1, second_panels_, nullptr,
                 data + kResetH * padded_, data, newest);
      break;
    case Kind::simple_rnn:
      pass(kernels.simple_rnn_block, gates_);
      break;
  }
  ++state.frames;
  if (out != nullptr) export_state(state, 0, out[0]);
}

std::vector<StatePart> RecurrentLayer::state_parts() const {
  std::vector<StatePart> parts{{"h", {o_.units}}};
  if (o_.kind == Kind::lstm) parts.push_back({"c", {o_.units}});
  return parts;
}

std::size_t RecurrentLayer::part_start(const State& state, std::size_t part) const {
  if (part == 1) return kC * padded_;
  return (state.frames % 2 == 0 ? kFirstH : kSecondH) * padded_;
}

void RecurrentLayer::export_state(const State& state, std::size_t part, float* to) const {
  std::copy_n(state.data.data() + part_start(state, part), o_.units, to);
}

void RecurrentLayer::import_state(State& state, std::size_t part, const float* from) const {
  std::copy_n(from, o_.units, state.data.data() + part_start(state, part));
}

std::string RecurrentLayer::kernel(const Exec& exec) const {
  return std::string(name_of(o_.kind)) + " " + exec.kernels->name;
}

}  // namespace cn
