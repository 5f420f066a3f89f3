// Clips whose frames do not depend on each other: threads run one each.
#include <algorithm>
#include <limits>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "base/parallel.hpp"
#include "check.hpp"
#include "kernels/dispatch.hpp"
#include "layers/elementwise.hpp"
#include "network/stream.hpp"

namespace cn::test {
namespace {

constexpr std::size_t kCount = 30000, kFrames = 14;

// The inner layer's frame stays in the arena, the outer one's goes to the caller.
std::shared_ptr<const Network> make_network() {
  auto network = std::make_shared<Network>(select_kernels(""));
  Activation tanh;
  tanh.kind = Activation::Kind::tanh;
  ValueId x = network->add_input("x", {kCount}, {0}, true);
  for (const char* name : {"inner", "outer"}) {
    Network::NewLayer layer;
    layer.name = name;
    layer.layer = std::make_unique<ActivationLayer>(kCount, tanh);
    layer.inputs = {x};
    layer.outputs = {{kCount}};
    x = network->add_layer(std::move(layer)).outputs[0];
  }
  network->add_output("y", x, {0});
  network->finish();
  return network;
}

constexpr auto kStep = static_cast<std::ptrdiff_t>(kCount * sizeof(float));

void push(Stream& stream, const std::vector<float>& clip, Stream::Targets& to) {
  const TensorView first{clip.data(), DType::float32, {sizeof(float)}};
  stream.push_clip({first}, {kStep}, clip.size() / kCount, to);
}

std::vector<float> run(Stream& stream, const std::vector<float>& clip) {
  std::vector<float> shown(clip.size());
  Stream::Targets to{shown.data()};
  push(stream, clip, to);
  CN_CHECK(to[0] == shown.data() + shown.size());
  return shown;
}

void check_bits(const std::vector<float>& clip, const std::vector<float>& expected) {
  for (const int threads : {1, 2, 3, 7, 20}) {
    Stream stream(make_network(), threads);
    stream.begin({}, false);
    CN_CHECK(run(stream, clip) == expected);
    CN_CHECK(run(*stream.clone(), clip) == expected);
    const std::uint64_t before = barriers();
    run(stream, clip);
    CN_CHECK(stream.frames() == 2 * kFrames);
    // One for all, where each frame would need two.
    if (threads == 2 && has_threads()) CN_CHECK(barriers() - before == 1);
  }
}

// A frame that is refused, and those behind it, leave nothing; those before it are there.
void check_refused(std::vector<float> clip, const std::vector<float>& expected) {
  clip[3 * kCount + 5] = std::numeric_limits<float>::quiet_NaN();
  clip[11 * kCount] = std::numeric_limits<float>::infinity();
  for (const int threads : {1, 2, 3, 7}) {
    Stream stream(make_network(), threads);
    stream.begin({}, false);
    std::vector<float> shown(clip.size());
    Stream::Targets to{shown.data()};
    std::string message;
    try {
      push(stream, clip, to);
    } catch (const InputError& error) {
      message = error.what();
    }
    CN_CHECK(message.find("frame 3: expected finite") != std::string::npos);
    CN_CHECK(stream.frames() == 3);
    CN_CHECK(to[0] == shown.data() + 3 * kCount);
    CN_CHECK(std::equal(shown.data(), to[0], expected.data()));
    std::copy_n(expected.data(), kCount, clip.data() + 3 * kCount);
    CN_CHECK_THROWS(InputError, run(stream, clip));  // at frame 11 of this clip
    CN_CHECK(stream.frames() == 14);
    clip[3 * kCount + 5] = std::numeric_limits<float>::quiet_NaN();
    to = {nullptr};
    stream.finish(to);
    CN_CHECK_THROWS(InputError, push(stream, clip, to));  // finished
  }
}

}  // namespace
}  // namespace cn::test

int main() {
  using namespace cn::test;
  const std::vector<float> clip = random_floats(kFrames * kCount, 1);
  cn::Stream one_by_one(make_network(), 1);
  one_by_one.begin({}, false);
  const std::vector<float> expected = run(one_by_one, clip);
  check_bits(clip, expected);
  check_refused(clip, expected);
  return report();
}
