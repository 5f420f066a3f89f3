// Once the first frame is through, no frame takes memory from the heap.
#include <memory>

#include "base/parallel.hpp"
#include "check.hpp"
#include "counted_heap.hpp"
#include "kernels/dispatch.hpp"
#include "layers/along_axis.hpp"
#include "layers/conv_lstm_2d.hpp"
#include "layers/dense.hpp"
#include "layers/elementwise.hpp"
#include "network/stream.hpp"

namespace cn::test {
namespace {

// Large enough for every layer to be worth two threads.
constexpr std::size_t kChannels = 3, kRows = 42, kCols = 53, kUnits = 70;
constexpr int kFrames = 10;

Activation function(Activation::Kind kind) {
  Activation f;
  f.kind = kind;
  return f;
}

// Layers one after another, each on what the one before gives.
class Chain {
 public:
  Chain() : network_(std::make_shared<Network>(select_kernels(""))) {
    value_ = network_->add_input("x", {kRows, kCols, kChannels}, {2, 0, 1}, true);
    shape_ = {kChannels, kRows, kCols};
  }

  void add(std::unique_ptr<Layer> layer, const Shape& shape) {
    Network::NewLayer added;
    added.layer = std::move(layer);
    added.inputs = {value_};
    added.outputs = {shape};
    value_ = network_->add_layer(std::move(added)).outputs[0];
    shape_ = shape;
  }

  void add_cell(ConvLstm2dOptions o, const std::string& expected) {
    o.input = frame();
    o.activation = function(Activation::Kind::tanh);
    o.recurrent_activation = function(Activation::Kind::sigmoid);
    const std::size_t taps = o.kernel_size.rows * o.kernel_size.cols;
    const auto kernel = random_floats(4 * o.filters * o.input[0] * taps, 1, 0.1F);
    const auto recurrent = random_floats(4 * o.filters * o.filters * taps, 2, 0.1F);
    const auto bias = random_floats(4 * o.filters, 3);
    auto cell = std::make_unique<ConvLstm2d>(
        o, select_kernels(""), ConvLstmWeights{kernel.data(), recurrent.data(), bias.data()});
    const bool winograd = cell->choice().rfind("winograd", 0) == 0;
    // Not every table has Winograd's kernels.
    CN_CHECK(winograd == (expected == "winograd" &&
                          select_kernels("").conv_lstm_winograd_4x4_block != nullptr));
    const Shape out = cell->output();
    add(std::move(cell), out);
  }

  std::shared_ptr<const Network> finish() {
    network_->add_output("y", value_, {0});
    network_->finish();
    return network_;
  }

  void show(const std::string& name) { network_->add_output(name, value_, {2, 0, 1}); }
  Size3 frame() const { return {shape_[0], shape_[1], shape_[2]}; }

 private:
  std::shared_ptr<Network> network_;
  ValueId value_;
  Shape shape_;
};

ConvLstm2dOptions cell(std::size_t filters, Size2 kernel) {
  ConvLstm2dOptions o;
  o.filters = filters;
  o.kernel_size = kernel;
  o.same = true;
  return o;
}

std::shared_ptr<const Network> make_network() {
  Chain chain;
  ConvLstm2dOptions pooled = cell(12, {3, 3});
  pooled.norm = Norm{2, random_floats(kCols, 5), random_floats(kCols, 6)};
  pooled.pool = Pool{{1, 2, 2}, {1, 2, 2}, true};
  chain.add_cell(pooled, "winograd");
  chain.show("pooled");
  chain.add_cell(cell(16, {5, 5}), "winograd");
  ConvLstm2dOptions strided = cell(8, {3, 3});
  strided.strides = {2, 2};
  chain.add_cell(strided, "direct");
  Size3 s = chain.frame();
  const std::size_t count = s[0] * s[1] * s[2];
  chain.add(std::make_unique<ActivationLayer>(count, function(Activation::Kind::softsign)),
            {s[0], s[1], s[2]});
  chain.add(std::make_unique<Permute>(Shape{s[1], s[2], s[0]},
                                      std::vector<std::size_t>{s[2], 1, s[1] * s[2]}),
            {s[1], s[2], s[0]});
  s = chain.frame();
  auto pool = std::make_unique<NormPool>(s, Norm{0, random_floats(s[0], 7), random_floats(s[0], 8)},
                                         Pool{{2, 2, 1}, {1, 1, 1}, true});
  s = pool->output();
  chain.add(std::move(pool), {s.begin(), s.end()});
  const auto weights = random_floats(count * kUnits, 9, 0.1F);
  const auto bias = random_floats(kUnits, 10);
  chain.add(std::make_unique<Dense>(select_kernels(""), 1, count, kUnits, weights.data(),
                                    bias.data(), function(Activation::Kind::relu)),
            {kUnits});
  chain.add(std::make_unique<Softmax>(AroundAxis{1, kUnits, 1}, false), {kUnits});
  return chain.finish();
}

template <class T>
TensorView view_of(const std::vector<T>& frame, DType dtype) {
  constexpr auto kElement = static_cast<std::ptrdiff_t>(sizeof(T));
  constexpr auto kPixel = static_cast<std::ptrdiff_t>(kChannels) * kElement;
  return {frame.data(), dtype, {static_cast<std::ptrdiff_t>(kCols) * kPixel, kPixel, kElement}};
}

void check_frames(const std::shared_ptr<const Network>& network, int threads,
                  const TensorView& frame) {
  Stream stream(network, threads);
  std::vector<std::vector<float>> outputs;
  Stream::Targets targets(network->outputs().size());
  for (const Port& port : network->outputs()) outputs.emplace_back(element_count(port.shape));
  const std::vector<TensorView> views{frame};
  const std::uint64_t barriers_before = barriers();
  // The second sequence finds what the first one has made.
  for (int sequence = 0; sequence < 2; ++sequence) {
    stream.begin({}, false);
    std::size_t before = allocations;
    for (int t = 0; t < kFrames; ++t) {
      for (std::size_t i = 0; i < outputs.size(); ++i) targets[i] = outputs[i].data();
      stream.push(views, targets);
      if (t == 0 && sequence == 0) before = allocations;
    }
    CN_CHECK(allocations == before);
    stream.finish(targets);
  }
  CN_CHECK((barriers() > barriers_before) == (threads > 1 && has_threads()));
}

// Frames that threads run one each: only the first clip makes what they need.
void check_clip(int threads) {
  constexpr std::size_t kCount = kRows * kCols * kChannels, kClip = 24;
  Chain chain;
  chain.add(std::make_unique<ActivationLayer>(kCount, function(Activation::Kind::tanh)), {kCount});
  Stream stream(chain.finish(), threads);
  stream.begin({}, false);
  const std::vector<float> clip = random_floats(kClip * kCount, 12);
  std::vector<float> shown(clip.size());
  const auto push = [&](std::vector<TensorView> first) {
    Stream::Targets to{shown.data()};
    const std::size_t before = allocations;
    stream.push_clip(std::move(first), {kCount * sizeof(float)}, kClip, to);
    return allocations - before;
  };
  const std::vector<TensorView> first{view_of(clip, DType::float32)};
  push(first);
  CN_CHECK(push(first) <= 2);  // the steps and the copy of `first` that are handed over
}

void check_that_it_counts() {
  const std::size_t before = allocations;
  const std::unique_ptr<int> some = std::make_unique<int>(1);
  const Buffer aligned(3);
  CN_CHECK(allocations >= before + 2);
}

}  // namespace
}  // namespace cn::test

int main() {
  using namespace cn::test;
  check_that_it_counts();
  const auto network = make_network();
  const std::vector<float> floats = random_floats(kRows * kCols * kChannels, 11);
  const std::vector<std::uint8_t> bytes(floats.size(), 3);
  for (const int threads : {1, 2}) {
    check_frames(network, threads, view_of(floats, cn::DType::float32));
    check_frames(network, threads, view_of(bytes, cn::DType::uint8));
    check_clip(threads);
  }
  return report();
}
