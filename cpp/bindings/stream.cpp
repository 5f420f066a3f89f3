// Running a network from Python. The GIL is released while frames run.
#include "network/stream.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "bindings/bindings.hpp"

namespace cn {
namespace {

using Arrays = std::vector<py::array>;

// Floats of a result from which on its place matters.
constexpr std::size_t kAlignedFrom = 1024;

// A stream and the promise that one thread at a time is in it.
class PyStream {
 public:
  explicit PyStream(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}

  class Use {
   public:
    explicit Use(PyStream& owner) : owner_(owner) {
      if (owner_.busy_.exchange(true)) {
        throw InputError("stream: expected one thread at a time, found two; make a stream each");
      }
    }
    ~Use() { owner_.busy_.store(false); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Stream* operator->() const { return owner_.stream_.get(); }
    Stream& operator*() const { return *owner_.stream_; }

   private:
    PyStream& owner_;
  };

  const Network& network() const { return stream_->network(); }

 private:
  std::unique_ptr<Stream> stream_;
  std::atomic<bool> busy_{false};
};

// A view of the array without its first `skip` axes. Checks what memory safety depends on.
TensorView view_of(const py::array& array, const Port& port, py::ssize_t skip) {
  const bool is_float = array.dtype().equal(py::dtype::of<float>());
  if (!is_float && !array.dtype().equal(py::dtype::of<std::uint8_t>())) {
    throw InputError("input '" + port.name + "': expected float32 or uint8, found " +
                     py::str(array.dtype()).cast<std::string>());
  }
  Shape shape;
  TensorView view{array.data(), is_float ? DType::float32 : DType::uint8, {}};
  for (py::ssize_t axis = skip; axis < array.ndim(); ++axis) {
    shape.push_back(static_cast<std::size_t>(array.shape(axis)));
    view.strides.push_back(array.strides(axis));
  }
  if (array.ndim() < skip || shape != port.shape) {
    throw InputError("input '" + port.name + "': expected frames of shape " +
                     to_string(port.shape) + ", found " + to_string(shape));
  }
  return view;
}

std::vector<TensorView> views_of(const Network& network, const Arrays& arrays, bool sequences,
                                 py::ssize_t skip) {
  std::vector<TensorView> views;
  for (const Port& port : network.inputs()) {
    if (network.value(port.value).sequence != sequences) continue;
    if (views.size() == arrays.size()) {
      throw InputError("input '" + port.name + "': expected a tensor, found none");
    }
    views.push_back(view_of(arrays[views.size()], port, skip));
  }
  return views;
}

// Where the frames of each output go: dense arrays of so many frames as counts() says are to come.
Stream::Targets targets_of(const Network& network, std::vector<py::array_t<float>>& to,
                           const std::vector<std::size_t>& before,
                           const std::vector<std::size_t>& after) {
  Stream::Targets targets;
  for (std::size_t i = 0; i < network.outputs().size(); ++i) {
    const Port& port = network.outputs()[i];
    const std::size_t size = element_count(port.shape) * (after[i] - before[i]);
    const bool dense = (to.at(i).flags() & py::array::c_style) != 0;
    if (!dense || static_cast<std::size_t>(to[i].size()) != size) {
      throw InputError("output '" + port.name + "': expected a dense array for every frame");
    }
    targets.push_back(size == 0 ? nullptr : to[i].mutable_data());
  }
  return targets;
}

void begin(PyStream& self, const Arrays& singles, bool keep) {
  const PyStream::Use stream(self);
  const auto views = views_of(stream->network(), singles, false, 0);
  const py::gil_scoped_release release;
  stream->begin(views, keep);
}

// A run of frames: one array (T, *shape) for each sequence input.
class Frames {
 public:
  Frames(const Network& network, const Arrays& arrays)
      : views_(views_of(network, arrays, true, 1)), count_(arrays.at(0).shape(0)) {
    for (const py::array& array : arrays) {
      if (array.shape(0) != count_) throw InputError("inputs: expected as many frames in each");
      steps_.push_back(array.strides(0));
    }
  }

  std::size_t count() const { return static_cast<std::size_t>(count_); }
  void push_to(Stream& stream, Stream::Targets& targets) {
    stream.push_clip(std::move(views_), steps_, count(), targets);
  }

 private:
  std::vector<TensorView> views_;
  std::vector<std::ptrdiff_t> steps_;  // bytes from a frame to the next
  py::ssize_t count_;
};

// `to` holds an array for each output, for what it gives with these frames.
void push(PyStream& self, const Arrays& arrays, std::vector<py::array_t<float>> to) {
  const PyStream::Use stream(self);
  Frames frames(stream->network(), arrays);
  const std::size_t before = stream->frames();
  Stream::Targets targets = targets_of(stream->network(), to, stream->counts(before, false),
                                       stream->counts(before + frames.count(), false));
  const py::gil_scoped_release release;
  frames.push_to(*stream, targets);
}

// An array for results. NumPy's begins anywhere within a cache line; kernels store a third faster
// where every vector of theirs is one line.
py::array_t<float> new_array(const Shape& shape) {
  const std::vector<py::ssize_t> lengths(shape.begin(), shape.end());
  const std::size_t count = element_count(shape);
  if (count < kAlignedFrom) return py::array_t<float>(lengths);
  py::array_t<float> memory(static_cast<py::ssize_t>(count + kAlignedFloats));
  const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
  const std::size_t skipped = round_up(address, kAlignment) - address;
  return py::array_t<float>(lengths, memory.data() + skipped / sizeof(float), memory);
}

// A sequence from its first frame to its end, and what it gives: arrays (T, *shape), and singles,
// by the names of the outputs.
py::dict run(PyStream& self, const Arrays& arrays) {
  const PyStream::Use stream(self);
  if (stream->frames() != 0) throw InputError("stream: expected a new sequence, found frames");
  const Network& network = stream->network();
  Frames frames(network, arrays);
  const std::vector<std::size_t> counts = stream->counts(frames.count(), true);
  py::dict outputs;
  Stream::Targets targets;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const Port& port = network.outputs()[i];
    Shape shape = port.shape;
    if (network.value(port.value).sequence) shape.insert(shape.begin(), counts[i]);
    py::array_t<float> array = new_array(shape);
    targets.push_back(array.mutable_data());
    outputs[py::str(port.name)] = std::move(array);
  }
  const py::gil_scoped_release release;
  frames.push_to(*stream, targets);
  stream->finish(targets);
  return outputs;
}

// Ends the sequence and writes what is left of every output, a single as one frame.
void finish(PyStream& self, std::vector<py::array_t<float>> to) {
  const PyStream::Use stream(self);
  Stream::Targets targets =
      targets_of(stream->network(), to, stream->counts(stream->frames(), false),
                 stream->counts(stream->frames(), true));
  const py::gil_scoped_release release;
  stream->finish(targets);
}

py::dict export_state(PyStream& self) {
  const PyStream::Use stream(self);
  py::dict state;
  const auto parts = stream->state_parts(stream->frames());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    py::array_t<float> array = new_array(parts[i].shape);
    stream->export_state(i, array.mutable_data());
    state[py::str(parts[i].name)] = array;
  }
  return state;
}

// Names and shapes of what import_state() takes for a stream that has seen `frames` frames.
py::dict state_shapes(PyStream& self, std::size_t frames) {
  const PyStream::Use stream(self);
  py::dict shapes;
  for (const Stream::Part& part : stream->state_parts(frames)) {
    shapes[py::str(part.name)] = py::cast(part.shape);
  }
  return shapes;
}

void import_state(PyStream& self, std::size_t frames, const std::vector<Floats>& from) {
  const PyStream::Use stream(self);
  std::vector<const float*> data;
  const auto parts = stream->state_parts(frames);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i == from.size() ||
        static_cast<std::size_t>(from[i].size()) != element_count(parts[i].shape)) {
      throw InputError("state '" + parts[i].name + "': expected shape " +
                       to_string(parts[i].shape));
    }
    data.push_back(from[i].data());
  }
  stream->import_state(frames, data);
}

std::vector<ProfileEvent> profile_events(PyStream& self) {
  const PyStream::Use stream(self);
  if (stream->profile() == nullptr) return {};
  return stream->profile()->events();
}

const char* name_of(ProfileEvent::What what) {
  switch (what) {
    case ProfileEvent::What::input:
      return "input";
    case ProfileEvent::What::layer:
      return "layer";
    case ProfileEvent::What::output:
      return "output";
  }
  return "";
}

void register_event(py::module_& module) {
  constexpr double kMicro = 1e-3;  // of a nanosecond
  py::class_<ProfileEvent>(module, "ProfileEvent")
      .def_property_readonly("what", [](const ProfileEvent& e) { return name_of(e.what); })
      .def_readonly("index", &ProfileEvent::index)
      .def_property_readonly("frame",
                             [](const ProfileEvent& e) -> std::optional<std::int64_t> {
                               if (e.frame < 0) return std::nullopt;
                               return e.frame;
                             })
      .def_readonly("frames", &ProfileEvent::frames)
      .def_property_readonly(
          "start_us", [=](const ProfileEvent& e) { return static_cast<double>(e.start) * kMicro; })
      .def_property_readonly(
          "duration_us",
          [=](const ProfileEvent& e) { return static_cast<double>(e.duration) * kMicro; })
      .def_readonly("bytes", &ProfileEvent::bytes)
      .def_readonly("barriers", &ProfileEvent::barriers);
}

}  // namespace

void register_stream(py::module_& module) {
  register_event(module);
  module.def("new_array", &new_array);
  py::class_<PyStream>(module, "Stream")
      .def(py::init([](std::shared_ptr<Network> network, int threads) {
             return std::make_unique<PyStream>(
                 std::make_unique<Stream>(std::move(network), threads));
           }),
           py::arg("network"), py::arg("threads"))
      .def("begin", &begin)
      .def("push", &push)
      .def("finish", &finish)
      .def("run", &run)
      .def("counts", [](PyStream& self, std::size_t frames,
                        bool ended) { return PyStream::Use(self)->counts(frames, ended); })
      .def_property_readonly("batch", [](const PyStream& self) { return self.network().batch(); })
      .def("in_step",
           [](const PyStream& self) {
             const Network& network = self.network();
             std::vector<bool> in_step;
             for (const Port& port : network.outputs()) {
               const Value& shown = network.value(port.value);
               in_step.push_back(shown.sequence && network.streams(shown.loop) &&
                                 network.in_step(shown.loop));
             }
             return in_step;
           })
      .def_property_readonly("frames", [](PyStream& self) { return PyStream::Use(self)->frames(); })
      .def("clone",
           [](PyStream& self) {
             const PyStream::Use stream(self);
             return std::make_unique<PyStream>(stream->clone());
           })
      .def("export_state", &export_state)
      .def("state_shapes", &state_shapes)
      .def("import_state", &import_state)
      .def("start_profile",
           [](PyStream& self, std::size_t frames) { PyStream::Use(self)->start_profile(frames); })
      .def("profile_events", &profile_events)
      .def_property_readonly("state_bytes",
                             [](PyStream& self) { return PyStream::Use(self)->state_bytes(); });
}

}  // namespace cn
