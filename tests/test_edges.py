"""Frames are read and made in the caller's memory where they lie there as the engine wants them."""

from __future__ import annotations

import ctypes
import mmap
import sys
from dataclasses import replace

import convlstm_native as cn
import numpy as np
import pytest
from convlstm_native import _core, spec, tensors
from convlstm_native.spec import Array, Input, NetworkSpec, Node, Output
from strategies import conv_lstm
from test_bits import CASES, same
from test_recurrent import vector_layer

FRAMES = 3
NO_ACCESS = 0  # PROT_NONE, which mmap does not name


class Fenced:
    """An array whose last byte, or first, is the last, or first, that may be read."""

    def __init__(self, values: Array, *, at_end: bool) -> None:
        page = mmap.PAGESIZE
        room = -(-values.nbytes // page) * page
        self._map = mmap.mmap(-1, room + 2 * page)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self._fences = (self._start, self._start + page + room)
        first = page + (room - values.nbytes if at_end else 0)
        self.array: Array = np.frombuffer(self._map, np.float32, values.size, first)
        self.array = self.array.reshape(values.shape)
        self.array[...] = values
        self._protect(NO_ACCESS)

    def _protect(self, access: int) -> None:
        for fence in self._fences:
            where, size = ctypes.c_void_p(fence), ctypes.c_size_t(mmap.PAGESIZE)
            assert self._libc.mprotect(where, size, access) == 0

    def open(self) -> None:
        """Take the fences away: the memory is about to be freed."""
        self._protect(mmap.PROT_READ | mmap.PROT_WRITE)


@pytest.fixture(params=["end", "start"])
def at_end(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "end")


@pytest.mark.skipif(sys.platform != "linux", reason="tried on Linux only")
@pytest.mark.parametrize("isa", cn.available_isas())
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_read_beyond_the_frames(name: str, isa: str, at_end: bool) -> None:
    case = CASES[name]
    model = cn.Model(case.net, threads=2, isa=isa, algorithm=case.algorithm)
    frame = case.net.inputs[0].shape
    x = np.random.default_rng(3).standard_normal((FRAMES, *frame)).astype(np.float32)
    expected = model.predict(x)
    fenced = Fenced(x, at_end=at_end)
    try:
        assert same(model.predict(fenced.array), expected)
    finally:
        fenced.open()


@pytest.mark.skipif(sys.platform != "linux", reason="tried on Linux only")
@pytest.mark.parametrize("isa", cn.available_isas())
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_written_beyond_the_outputs(
    name: str, isa: str, at_end: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    model = cn.Model(case.net, threads=2, isa=isa, algorithm=case.algorithm)
    frame = case.net.inputs[0].shape
    x = np.random.default_rng(3).standard_normal((FRAMES, *frame)).astype(np.float32)
    expected = model.predict(x)
    fences: list[Fenced] = []

    def fenced(shape: tuple[int, ...]) -> Array:
        fences.append(Fenced(np.zeros(shape, np.float32), at_end=at_end))
        return fences[-1].array

    stream = model.stream()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(_core, "new_array", fenced)
            patched.setattr(tensors, "is_chunk", lambda arrays: False)  # the engine's own memory
            found = stream.predict(x)
        assert len(fences) == len(found)
        assert same(found, expected)
    finally:
        for fence in fences:
            fence.open()


def test_large_results_begin_at_a_cache_line() -> None:
    layer = spec.Activation(spec.Function("tanh"))
    node = Node("layer", layer, ("x",), ("y",))
    net = NetworkSpec("large", (Input("x", (40, 41)),), (node,), (Output("y", "y"),))
    frames = np.zeros((3, 40, 41), np.float32)
    model = cn.Model(net, threads=1)
    for found in (model.predict(frames), model.stream().push(frames[0])):
        assert found is not None
        assert found["y"].ctypes.data % 64 == 0
        assert found["y"].flags.c_contiguous
        assert found["y"].flags.writeable


@pytest.mark.parametrize("name", CASES)
def test_frames_of_any_layout(name: str) -> None:
    case = CASES[name]
    model = cn.Model(case.net, threads=2, algorithm=case.algorithm)
    frame = case.net.inputs[0].shape
    x = np.random.default_rng(3).standard_normal((FRAMES, *frame)).astype(np.float32)
    expected = model.predict(x)
    assert same(model.predict(np.asfortranarray(x)), expected)
    assert same(model.predict(x[:, ::-1][:, ::-1]), expected)
    shifted = np.zeros(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
    shifted[...] = x  # at odd addresses
    assert same(model.predict(shifted), expected)
    wide = np.zeros((*x.shape[:-1], x.shape[-1] + 1), np.float32)
    wide[..., :-1] = x
    assert same(model.predict(wide[..., :-1]), expected)


LOOKING: dict[str, spec.Layer] = {
    # Takes rows.
    "cell": conv_lstm(
        np.random.default_rng(0), 2, 2, (3, 3), data_format="channels_first", return_sequences=True
    ),
    # Reads in place: no window holds the last number.
    "pool": spec.MaxPooling((1, 2, 2), (1, 2, 2), "valid"),
    # Look themselves.
    "maximum of 2x2": spec.MaxPooling((1, 2, 2), (1, 2, 2), "same"),
    "maximum of 3x3": spec.MaxPooling((1, 3, 3), (1, 1, 1), "same"),
    "maximum of 3x3, stride 2": spec.MaxPooling((1, 3, 3), (1, 2, 2), "same"),
    "maximum of 9": spec.MaxPooling((1, 1, 9), (1, 1, 4), "same"),
    "maximum of 130": spec.MaxPooling((1, 3, 130), (1, 1, 1), "same"),
    "maximum of maps": spec.MaxPooling((2, 1, 1), (1, 1, 1), "valid"),
    "maximum of 3x3, 3 columns": spec.MaxPooling((1, 3, 3), (1, 1, 1), "valid"),
    "maximum of 3x3, 7 columns": spec.MaxPooling((1, 3, 3), (1, 2, 2), "valid"),
    "tanh": spec.Activation(spec.Function("tanh")),
    "elu": spec.Activation(spec.Function("elu")),
    "leaky relu": spec.Activation(spec.Function("relu", (0.1, 6.0, 0.5))),
    **{
        name: spec.Activation(spec.Function(name))
        for name in ("sigmoid", "silu", "relu", "hard_sigmoid", "hard_silu", "softsign")
    },
    "softmax": spec.Activation(spec.Function("softmax")),
    "softmax of 1100": spec.Activation(spec.Function("softmax")),
    "mean": spec.AveragePooling((1, 2, 3), (1, 2, 2), "same"),
    "normalization": spec.BatchNormalization(0, *np.ones((2, 2), np.float32)),
    "global mean": spec.Reduce((1, 2), "mean"),
    "global maximum": spec.Reduce((1, 2), "max"),
    "mean of channels": spec.Reduce((0,), "mean"),
    "maximum of channels": spec.Reduce((0,), "max"),
    "sum": spec.Merge("add"),
    "product": spec.Merge("multiply"),
    "maximum": spec.Merge("maximum"),
    "concatenate": spec.Concatenate(1),
}
COLUMNS = {
    "maximum of 3x3, 3 columns": 3,
    "maximum of 3x3, 7 columns": 7,
    "softmax of 1100": 1100,  # in parts
}


@pytest.mark.parametrize("isa", cn.available_isas())
@pytest.mark.parametrize("name", LOOKING)
def test_every_number_is_looked_at(name: str, isa: str) -> None:
    layer, frame = LOOKING[name], (2, 3, COLUMNS.get(name, 67))
    names = ("x", "b") if isinstance(layer, (spec.Merge, spec.Concatenate)) else ("x",)
    node = Node(name, layer, names, ("y",))
    inputs = tuple(Input(i, frame) for i in names)
    net = NetworkSpec(name, inputs, (node,), (Output("y", "y"),))
    stream = cn.Model(net, threads=1, isa=isa).stream()
    rng = np.random.default_rng(0)
    for k in range(int(np.prod(frame))):
        x = {i: rng.standard_normal(frame).astype(np.float32) for i in names}
        broken = names[k % len(names)]
        x[broken].flat[k] = (np.nan, np.inf, -np.inf)[k % 3]
        message = f"input '{broken}', frame 0: expected finite numbers"
        with pytest.raises(cn.InputError, match=message):
            stream.push(x)
    # Sums of these are not finite.
    assert stream.push({i: np.full(frame, 3e38, np.float32) for i in names}) is not None
    assert stream.frames == 1


def test_the_first_input_that_is_refused_is_named() -> None:
    """Whether a layer looks at it or the way in does, which it does where it has to copy."""
    node = Node("sum", spec.Merge("add"), ("a", "b"), ("y",))
    inputs = (Input("a", (4, 6)), Input("b", (4, 6)))
    net = NetworkSpec("sum", inputs, (node,), (Output("y", "y"),))
    stream = cn.Model(net, threads=1).stream()
    broken = np.full((4, 6), np.nan, np.float32)
    for a, b in ((broken, broken), (broken, broken.T.copy().T), (broken.T.copy().T, broken)):
        with pytest.raises(cn.InputError, match="input 'a', frame 0"):
            stream.push({"a": a, "b": b})
    with pytest.raises(cn.InputError, match="input 'b', frame 0"):
        stream.push({"a": np.zeros((4, 6), np.float32), "b": broken.T.copy().T})


def test_a_run_is_a_new_sequence() -> None:
    """Its arrays have room for the frames of one."""
    net = CASES["tanh"].net
    stream = cn.Model(net, threads=1).stream()
    x = np.zeros((2, *net.inputs[0].shape), np.float32)
    stream.push(x[0])
    with pytest.raises(cn.InputError, match="expected a new sequence"):
        stream._core.run([x])


def test_a_false_alarm_is_one_call() -> None:
    node = Node("sum", spec.Merge("add"), ("x", "x"), ("y",))
    net = NetworkSpec("sum", (Input("x", (40,)),), (node,), (Output("y", "y"),))
    profile = cn.Model(net, threads=1).profile(np.full((3, 40), 3e38, np.float32))
    assert [record.frame for record in profile.records if record.name == "sum"] == [0, 1, 2]


def test_a_layer_looks_before_others_remember() -> None:
    """What refuses a frame runs first: a recurrent layer behind it has not gone on."""
    rng = np.random.default_rng(0)
    nodes = (
        Node("tanh", spec.Activation(spec.Function("tanh")), ("x",), ("a",)),
        Node(
            "lstm", replace(vector_layer(rng, "lstm", 5, 3), return_sequences=True), ("a",), ("y",)
        ),
    )
    net = NetworkSpec("net", (Input("x", (5,)),), nodes, (Output("y", "y"),))
    model = cn.Model(net, threads=1)
    x = rng.standard_normal((3, 5)).astype(np.float32)
    stream = model.stream()
    stream.push(x[0])
    with pytest.raises(cn.InputError, match="frame 1: expected finite numbers"):
        stream.push(np.full(5, np.nan, np.float32))
    last = [stream.push(frame) for frame in x[1:]][-1]
    assert last is not None
    assert np.array_equal(last["y"], model.predict(x)["y"][2])


def test_a_refused_frame_amid_a_run() -> None:
    """Frames before it that waited for a batch are done: what follows has room for its own alone."""
    rng = np.random.default_rng(0)
    kernel, bias = rng.standard_normal((600, 512)).astype(np.float32), np.zeros(512, np.float32)
    node = Node("dense", spec.Dense(kernel, bias), ("x",), ("y",))
    net = NetworkSpec("dense", (Input("x", (600,)),), (node,), (Output("y", "y"),))
    stream = cn.Model(net, threads=1).stream()
    x = rng.standard_normal((5, 600)).astype(np.float32)
    broken = x.copy()
    broken[3, 7] = np.nan
    with pytest.raises(cn.InputError, match="frame 3: expected finite numbers"):
        stream.predict(broken)
    assert stream.frames == 3
    assert not any(array.size > 1 for array in stream.state_dict().values())  # nothing waits
    pushed = stream.push(x[3])
    assert pushed is not None
    stream.push(x[4])
    assert stream.flush() is None
    assert np.array_equal(pushed["y"], cn.Model(net, threads=1).predict(x)["y"][3])


def test_a_cell_on_a_number() -> None:
    """Its input shows a value without axes."""
    layer = conv_lstm(
        np.random.default_rng(0), 1, 2, (1, 1), data_format="channels_first", return_sequences=True
    )
    nodes = (
        Node("map", spec.Reshape((1, 1, 1)), ("x",), ("a",)),
        Node("cell", layer, ("a",), ("y",)),
    )
    net = NetworkSpec("number", (Input("x", ()),), nodes, (Output("y", "y"),))
    x = np.array([0.5, -1, 2], np.float32)
    same_map = replace(
        net, inputs=(Input("a", (1, 1, 1)),), nodes=(replace(nodes[1], inputs=("a",)),)
    )
    expected = cn.Model(same_map, threads=1).predict(x.reshape(3, 1, 1, 1))
    assert same(cn.Model(net, threads=1).predict(x), expected)


def two_cells(shape: tuple[int, int, int], padding: str, size: int) -> NetworkSpec:
    """A cell whose frames another reads, behind a pool."""
    rng = np.random.default_rng(5)
    common = {"data_format": "channels_first", "return_sequences": True, "padding": padding}
    first = conv_lstm(rng, shape[0], 5, (3, 3), **common)
    second = conv_lstm(rng, 5, 4, (size, size), **common)
    nodes = (
        Node("first", first, ("x",), ("a",)),
        Node("pool", spec.MaxPooling((1, 2, 2), (1, 2, 2), "valid"), ("a",), ("b",)),
        Node("second", second, ("b",), ("y",)),
    )
    return NetworkSpec("two", (Input("x", shape),), nodes, (Output("y", "y"),))


@pytest.mark.parametrize("isa", cn.available_isas())
@pytest.mark.parametrize("size", [3, 5, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("shape", [(3, 40, 152), (2, 23, 31), (3, 16, 18)])
def test_rows_handed_on(shape: tuple[int, int, int], padding: str, size: int, isa: str) -> None:
    """Rows go from cell to cell; where an output shows them, too, the frame is written."""
    net = two_cells(shape, padding, size)
    seen = replace(net, outputs=(*net.outputs, Output("b", "b")))
    x = np.random.default_rng(6).standard_normal((FRAMES, *shape)).astype(np.float32)
    for threads in (1, 3):
        expected = cn.Model(seen, threads=threads, isa=isa).predict(x)
        found = cn.Model(net, threads=threads, isa=isa).predict(x)
        assert np.array_equal(found["y"], expected["y"])
