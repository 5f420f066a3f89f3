// Recurrent layers on vectors: LSTM, GRU, SimpleRNN, one frame at a time.
#pragma once

#include <memory>

#include "layers/dense.hpp"

namespace cn {

struct RecurrentOptions {
  enum class Kind { lstm, gru, gru_reset_before, simple_rnn };
  Kind kind = Kind::lstm;
  std::size_t inputs = 0;
  std::size_t units = 0;
  Activation activation;
  Activation recurrent_activation;  // unused by simple_rnn
  // The layer reads what input_product() makes of x, not x.
  bool reads_product = false;
};

// As Keras keeps them: kernel (inputs, gates * units), recurrent_kernel (units, gates * units),
// bias (gates * units), row-major; gates i, f, c, o or z, r, h or one. gru alone has a
// recurrent_bias.
struct RecurrentWeights {
  const float* kernel;
  const float* recurrent_kernel;
  const float* bias;
  const float* recurrent_bias = nullptr;
};

// Number of gates of a kind.
std::size_t gates_of(RecurrentOptions::Kind kind);

// Weights lie as panels, a block of units each, in the order in which the kernel reads them. A task
// is a block, whatever the number of threads. The state holds h twice (read one, write the other,
// swap), then c of an LSTM, or what a GRU with the reset gate before the product knows between its
// two passes.
class RecurrentLayer : public Layer {
 public:
  RecurrentLayer(const RecurrentOptions& options, const KernelTable& kernels,
                 const RecurrentWeights& weights);

  void run(const Exec& exec, const float* const* in, float* const* out,
           State& state) const override;
  std::size_t state_floats() const override { return checked_mul(arrays_, padded_); }
  bool can_wait() const override { return true; }  // for the product of x
  std::vector<StatePart> state_parts() const override;
  void export_state(const State& state, std::size_t part, float* to) const override;
  void import_state(State& state, std::size_t part, const float* from) const override;
  std::string kernel(const Exec& exec) const override;

  // True where x times the kernel pays as a layer of its own, which takes several frames at once.
  static bool product_pays(const RecurrentOptions& options);
  // The dense layer x -> bias + x * kernel for this layer, and how many numbers it makes.
  std::unique_ptr<Dense> input_product(const KernelTable& kernels,
                                       const RecurrentWeights& weights) const;
  std::size_t product_size() const { return gates_ * round_up(o_.units, lanes_); }

 private:
  using Kernel = void (*)(const RecurrentBlock& block);

  // The part of a (rows, gates * units) matrix in the columns of gates `first` to `first + gates`.
  Buffer panels(const float* matrix, std::size_t rows, std::size_t first, std::size_t gates,
                std::size_t lanes) const;
  void pack_biases(const RecurrentWeights& weights);
  void run_blocks(const Exec& exec, Kernel kernel, std::size_t lanes, std::size_t h_gates,
                  const Buffer& h_panels, const float* x, const float* h, float* data,
                  std::size_t newest) const;
  std::size_t part_start(const State& state, std::size_t part) const;

  RecurrentOptions o_;
  std::size_t gates_;
  std::size_t lanes_;         // units of a block
  std::size_t second_lanes_;  // units of a block of the second pass
  std::size_t padded_;        // units, rounded up to whole blocks of either kind
  std::size_t arrays_;        // of the state
  Buffer x_panels_, h_panels_, second_panels_;
  Buffer bias_;            // [block][gate][unit of the block], as a product of x
  Buffer recurrent_bias_;  // of the candidate of a GRU
};

}  // namespace cn
