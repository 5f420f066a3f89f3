// Streams: many at once over one network, clones, saved states, loops after the first.
#include <memory>
#include <thread>

#include "base/error.hpp"
#include "base/parallel.hpp"
#include "check.hpp"
#include "kernels/dispatch.hpp"
#include "layers/conv_lstm_2d.hpp"
#include "network/stream.hpp"

namespace cn::test {
namespace {

constexpr std::size_t kChannels = 2, kRows = 7, kCols = 9, kFilters = 3, kFrames = 5;

std::unique_ptr<ConvLstm2d> make_layer(std::size_t channels, unsigned seed) {
  ConvLstm2dOptions o;
  o.input = {channels, kRows, kCols};
  o.filters = kFilters;
  o.kernel_size = {3, 3};
  o.same = true;
  o.activation.kind = Activation::Kind::tanh;
  o.recurrent_activation.kind = Activation::Kind::sigmoid;
  const auto kernel = random_floats(4 * kFilters * channels * 9, seed, 0.3F);
  const auto recurrent = random_floats(4 * kFilters * kFilters * 9, seed + 1, 0.3F);
  const auto bias = random_floats(4 * kFilters, seed + 2);
  return std::make_unique<ConvLstm2d>(
      o, select_kernels(""), ConvLstmWeights{kernel.data(), recurrent.data(), bias.data()});
}

ValueId add(Network& network, const std::string& name, ValueId x, std::size_t channels,
            unsigned seed) {
  Network::NewLayer layer;
  layer.name = name;
  layer.layer = make_layer(channels, seed);
  layer.inputs = {x};
  layer.outputs = {{kFilters, kRows, kCols}};
  return network.add_layer(std::move(layer)).outputs[0];
}

// Forward, then the result backward: a network of two loops with an output in each.
std::shared_ptr<const Network> make_network() {
  auto network = std::make_shared<Network>(select_kernels(""));
  const ValueId x = network->add_input("x", {kRows, kCols, kChannels}, {2, 0, 1}, true);
  const ValueId forward = add(*network, "forward", x, kChannels, 1);
  const ValueId reversed = network->add_reversed("reversed", forward);
  const ValueId backward = add(*network, "backward", reversed, kFilters, 5);
  network->add_output("forward", forward, {0, 1, 2});
  network->add_output("backward", backward, {2, 0, 1});
  network->finish();
  return network;
}

std::vector<float> frame(unsigned t) { return random_floats(kRows * kCols * kChannels, 100 + t); }

void push(Stream& stream, unsigned t) {
  const std::vector<float> data = frame(t);
  std::vector<float> shown(kFilters * kRows * kCols);
  Stream::Targets targets{shown.data(), nullptr};
  constexpr auto kFloat = static_cast<std::ptrdiff_t>(sizeof(float));
  stream.push({{data.data(),
                DType::float32,
                {static_cast<std::ptrdiff_t>(kCols * kChannels) * kFloat,
                 static_cast<std::ptrdiff_t>(kChannels) * kFloat, kFloat}}},
              targets);
}

std::vector<float> finish(Stream& stream) {
  std::vector<float> late(kFrames * kFilters * kRows * kCols);
  Stream::Targets targets{nullptr, late.data()};
  stream.finish(targets);
  return late;
}

std::vector<float> run(const std::shared_ptr<const Network>& network, int threads) {
  Stream stream(network, threads);
  stream.begin({}, false);
  for (unsigned t = 0; t < kFrames; ++t) push(stream, t);
  return finish(stream);
}

void check_many_at_once() {
  const auto network = make_network();
  const std::vector<float> expected = run(network, 1);
  std::vector<std::vector<float>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&result, &network] { result = run(network, 2); });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) CN_CHECK(result == expected);
}

void check_clone_and_saved_state() {
  const auto network = make_network();
  const std::vector<float> expected = run(network, 1);
  Stream stream(network, 2);
  stream.begin({}, false);
  for (unsigned t = 0; t < 3; ++t) push(stream, t);
  const auto copy = stream.clone();

  Stream restored(network, 1);
  restored.begin({}, false);
  push(restored, 40);  // something to overwrite
  const auto parts = stream.state_parts(stream.frames());
  std::vector<std::vector<float>> saved;
  std::vector<const float*> pointers;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    saved.emplace_back(element_count(parts[i].shape));
    stream.export_state(i, saved.back().data());
  }
  for (const auto& part : saved) pointers.push_back(part.data());
  restored.import_state(stream.frames(), pointers);

  push(stream, 50);  // must not reach the others
  for (unsigned t = 3; t < kFrames; ++t) {
    push(*copy, t);
    push(restored, t);
  }
  CN_CHECK(finish(*copy) == expected);
  CN_CHECK(finish(restored) == expected);
}

void check_order_of_calls() {
  const auto network = make_network();
  Stream stream(network, 1);
  stream.begin({}, false);
  CN_CHECK_THROWS(InputError, finish(stream));  // no frame yet
  for (unsigned t = 0; t < kFrames; ++t) push(stream, t);
  finish(stream);
  CN_CHECK_THROWS(InputError, push(stream, 0));  // finished
  CN_CHECK_THROWS(InputError, finish(stream));
}

void check_names() {
  Network network(select_kernels(""));
  const ValueId x = network.add_input("x", {3}, {0}, true);
  network.add_output("y", x, {0});
  CN_CHECK_THROWS(UnsupportedError, network.add_output("y", x, {0}));
}

void check_barriers() {
  const auto count = [](int threads, std::size_t tasks) {
    const std::uint64_t before = barriers();
    parallel_for(threads, tasks, [](std::size_t, std::size_t) {});
    return barriers() - before;
  };
  CN_CHECK(count(1, 10) == 0);
  CN_CHECK(count(2, 1) == 0);
  CN_CHECK(count(2, 10) == (has_threads() ? 1 : 0));
  std::thread other([&] { CN_CHECK(count(2, 10) <= 1); });
  const std::uint64_t before = barriers();
  other.join();
  CN_CHECK(barriers() == before);
}

void check_profile() {
  const auto network = make_network();
  Stream stream(network, 1);
  stream.begin({}, false);
  push(stream, 0);
  CN_CHECK(stream.profile() == nullptr);
  stream.start_profile(kFrames);
  const ProfileEvent* memory = stream.profile()->events().data();
  stream.begin({}, false);
  for (unsigned t = 0; t < kFrames; ++t) push(stream, t);
  finish(stream);
  const std::vector<ProfileEvent>& events = stream.profile()->events();
  // A frame: an input, the forward layer and its output; later the backward layer and its output.
  CN_CHECK(events.size() == 5 * kFrames);
  CN_CHECK(events.data() == memory);
  CN_CHECK(stream.clone()->profile() == nullptr);
  for (std::size_t i = 0; i < events.size(); ++i) {
    const std::size_t frame = i < 3 * kFrames ? i / 3 : (i - 3 * kFrames) / 2;
    CN_CHECK(events[i].frame == static_cast<std::int64_t>(frame));
    CN_CHECK(events[i].barriers == 0 && events[i].duration >= 0);
    CN_CHECK(i == 0 || events[i].start >= events[i - 1].start + events[i - 1].duration);
  }
  CN_CHECK(events[0].what == ProfileEvent::What::input);
  CN_CHECK(events[0].bytes == kRows * kCols * kChannels * 8);
  CN_CHECK(events[1].what == ProfileEvent::What::layer && events[1].index == 0);
  const std::size_t floats =
      kRows * kCols * (kChannels + kFilters) + network->steps()[0].layer->state_floats();
  CN_CHECK(events[1].bytes == floats * sizeof(float));
}

void check_queue() {
  std::vector<float> clip{0, 1, 2, 3, 4, 5};
  FrameQueue queue(1);
  const auto holds = [&](std::size_t frame, float value) { return *queue.at(frame) == value; };
  for (std::size_t i = 0; i < 5; ++i) queue.borrow(&clip[i]);
  CN_CHECK(queue.at(3) == &clip[3]);
  CN_CHECK(queue.in_a_row(0, 5) && !queue.in_a_row(0, 6));
  queue.drop_before(2);
  queue.own();
  clip.assign(6, 9);
  CN_CHECK(queue.size() == 3 && holds(2, 2) && holds(3, 3) && holds(4, 4));
  // Behind frames of its own, it copies; so does one that does not follow the one before.
  queue.borrow(&clip[5]);
  CN_CHECK(queue.at(5) != &clip[5] && holds(5, 9) && holds(4, 4));
  queue.drop_before(6);
  queue.borrow(&clip[0]);
  queue.borrow(&clip[2]);
  CN_CHECK(queue.at(6) != &clip[0] && holds(6, 9) && holds(7, 9));
  queue.clear(1);
  queue.borrow(&clip[1]);
  queue.push(&clip[3]);
  clip.assign(6, 7);
  CN_CHECK(queue.end() == 3 && holds(1, 9) && holds(2, 9));
}

}  // namespace
}  // namespace cn::test

int main() {
  cn::test::check_queue();
  cn::test::check_many_at_once();
  cn::test::check_clone_and_saved_state();
  cn::test::check_order_of_calls();
  cn::test::check_names();
  cn::test::check_barriers();
  cn::test::check_profile();
  return cn::test::report();
}
