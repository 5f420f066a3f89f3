"""Layers that look along time: batch and stream against the reference, and what they hold back."""

from __future__ import annotations

from typing import Any

import convlstm_native as cn
import numpy as np
import pytest
import reference
from convlstm_native.onnx_writer import to_onnx
from convlstm_native.readers.onnx_files import parse_onnx, read_onnx
from convlstm_native.spec import (
    Activation,
    Collect,
    Dense,
    Emit,
    Flatten,
    Function,
    Input,
    Layer,
    Merge,
    NetworkSpec,
    Node,
    Output,
    Reduce,
    ReduceTime,
    Repeat,
    Reverse,
    Value,
    Window,
)
from hypothesis import given
from hypothesis import strategies as st
from onnx_files import run_in_onnx_runtime
from same_spec import assert_same_spec
from strategies import conv_lstm, dense, examples
from streaming import streamed
from tolerances import check

FRAME = (2, 3, 4)


def chain(*layers: Layer, length: int | None = None, shape: tuple[int, ...] = FRAME) -> NetworkSpec:
    """Layers one after another, every value shown."""
    names = ["x", *(f"v{i}" for i in range(len(layers)))]
    nodes = [Node(f"n{i}", layer, (names[i],), (names[i + 1],)) for i, layer in enumerate(layers)]
    outputs = tuple(Output(name, name) for name in names[1:])
    return NetworkSpec("chain", (Input("x", shape, length=length),), tuple(nodes), outputs)


def random(frames: int, shape: tuple[int, ...] = FRAME, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((frames, *shape)).astype(np.float32)


def assert_right(spec: NetworkSpec, x: np.ndarray, operation: str = "network") -> cn.Model:
    """Batch, generator, stream, a stream that is saved and restored halfway: all as the reference."""
    model = cn.Model(spec, threads=2)
    found = model.predict(x)
    for name, expected in reference.run(spec, {"x": x[np.newaxis]}).items():
        check(found[name], expected[0], operation)
    for other in (model.predict(iter(x)), streamed(model, x)):
        assert list(other) == list(found)
        for name, array in found.items():
            np.testing.assert_array_equal(other[name], array)
    return model


def halves(model: cn.Model, x: np.ndarray, cut: int) -> None:
    """A state saved after ``cut`` frames goes on like the stream itself."""
    stream, other = model.stream(), model.stream()
    for frame in x[:cut]:
        stream.push(frame)
    other.push(x[0] + 1)
    other.load_state_dict(stream.state_dict())
    copy = stream.clone()
    for frame in x[cut:]:
        pushed = [s.push(frame) for s in (stream, other, copy)]
        for again in pushed[1:]:
            assert (again is None) == (pushed[0] is None)
            for name, array in (pushed[0] or {}).items():
                np.testing.assert_array_equal((again or {})[name], array)
    ends = [s.flush() for s in (stream, other, copy)]
    for again in ends[1:]:
        for name, array in (ends[0] or {}).items():
            np.testing.assert_array_equal((again or {})[name], array)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    return Window(
        size=draw(st.integers(1, 4)),
        stride=draw(st.integers(1, 3)),
        dilation=draw(st.integers(1, 3)),
        before=draw(st.integers(-3, 5)),
        after=draw(st.integers(-3, 5)),
        fill=draw(st.sampled_from((0.0, -1.5))),
    )


@given(
    layers=st.lists(
        st.one_of(
            windows(),
            st.builds(Repeat, st.integers(1, 3), st.booleans()),
            st.just(Reverse()),
            st.just(Activation(Function("tanh"))),
            st.just(Flatten()),
        ),
        min_size=1,
        max_size=4,
    ),
    frames=st.integers(1, 12),
    cut=st.integers(1, 12),
)
@examples(120)
def test_any_chain(layers: list[Layer], frames: int, cut: int) -> None:
    spec = chain(*layers, shape=(2, 3))
    length = Value((2, 3), True, frames)
    try:
        for layer in layers:
            (length,) = layer.infer([length])
    except cn.UnsupportedModelError:  # too few frames for a window
        with pytest.raises(cn.InputError, match="expected more frames"):
            cn.Model(spec).predict(random(frames, (2, 3)))
        return
    model = assert_right(spec, random(frames, (2, 3)))
    halves(model, random(frames, (2, 3)), min(cut, frames))


@pytest.mark.parametrize(
    ("layer", "look_ahead"),
    [
        (Window(3, before=1, after=1), 1),
        (Window(3, before=2), 0),
        (Window(3), 2),
        (Window(2, stride=2), 1),
        (Window(1, before=-4), 4),
        (Window(1, after=-2), 2),
        (Repeat(3), 0),
    ],
    ids=str,
)
def test_windows_stream(layer: Layer, look_ahead: int) -> None:
    model = assert_right(chain(layer), random(9), "slice")
    summary = model.summary()
    assert (summary.streams, summary.look_ahead) == (True, look_ahead)
    stream = model.stream()
    for frame in random(look_ahead):
        assert stream.push(frame) is None
    first = stream.push(random(1)[0])
    assert first is not None
    assert stream.state_bytes == 0


def test_look_ahead_adds_up() -> None:
    same = Window(3, before=1, after=1)
    model = assert_right(chain(same, Window(2, stride=2), same), random(12), "slice")
    assert model.summary().look_ahead == 4  # windows 0 and 1 of two frames each, one more frame


def test_a_skip_over_a_window_waits_for_it() -> None:
    """Both inputs of a layer come in step: the frame waits for the window around it."""
    rng = np.random.default_rng(0)
    cell = conv_lstm(rng, 2, 2, padding="same", data_format="channels_first", return_sequences=True)
    nodes = (
        Node("window", Window(3, before=1, after=1), ("x",), ("around",)),
        Node("mean", Reduce((0,), "mean"), ("around",), ("smooth",)),
        Node("skip", Merge("subtract"), ("x", "smooth"), ("rough",)),
        Node("cell", cell, ("rough",), ("y",)),
    )
    outputs = (Output("rough", "rough"), Output("y", "y"))
    assert_right(NetworkSpec("skip", (Input("x", FRAME),), nodes, outputs), random(7))


def test_whole_sequences_become_singles() -> None:
    rng = np.random.default_rng(1)
    layers = (Collect(4), Flatten(), dense(rng, 96, 6), Activation(Function("relu")))
    model = assert_right(chain(*layers, length=4), random(4))
    assert model.inputs[0].shape == (None, 4, *FRAME)
    for frames in (3, 5):
        with pytest.raises(cn.InputError, match=f"expected 4 frames, found {frames}"):
            model.predict(random(frames))
        with pytest.raises(cn.InputError, match=r"expected 4 frames, found"):
            model.predict(iter(random(frames)))


def test_a_single_becomes_a_sequence() -> None:
    rng = np.random.default_rng(2)
    cell = conv_lstm(rng, 2, 3, padding="same", data_format="channels_first", return_sequences=True)
    model = assert_right(chain(Collect(5), Emit(), cell, length=5), random(5))
    assert not model.summary().streams


@pytest.mark.parametrize("frames", [3, 70])
def test_a_single_number_is_an_array(frames: int) -> None:
    """However many runs of frames the clip is."""
    node = Node("mean", ReduceTime("mean"), ("x",), ("y",))
    net = NetworkSpec("mean", (Input("x", ()),), (node,), (Output("y", "y"),))
    model, x = cn.Model(net, threads=1), np.arange(frames, dtype=np.float32)
    stream = model.stream()
    for frame in x:
        stream.push(frame)
    late = stream.flush()
    assert late is not None
    for found in (model.predict(x)["y"], late["y"]):
        assert isinstance(found, np.ndarray)
        assert found == (frames - 1) / 2


def test_time_is_reduced() -> None:
    model = assert_right(chain(ReduceTime("mean")), random(50), "reduce_time")
    assert_right(chain(ReduceTime("max")), random(50), "slice")
    assert model.summary().streams
    halves(model, random(7), 3)


def test_a_mean_over_many_frames_stays_exact() -> None:
    x = np.full((20_000, 1), 0.1, np.float32)
    found = cn.Model(chain(ReduceTime("mean"), shape=(1,))).predict(x)["v0"]
    assert found == np.float32(0.1)


@pytest.mark.parametrize(
    "layers",
    [
        (Window(3, before=1, after=1, fill=-2.0),),
        (Window(2, stride=2, dilation=2, before=1),),
        (Window(1, before=-1, after=-2),),
        (Window(2, before=2, after=-1),),
        (Repeat(3),),
        (Repeat(2, zeros=True),),
        (Reverse(),),
        (ReduceTime("mean"),),
        (ReduceTime("max"),),
    ],
    ids=str,
)
def test_through_onnx(layers: tuple[Layer, ...]) -> None:
    spec = chain(*layers)
    x = random(2 * 7).reshape(2, 7, *FRAME)
    through_onnx(spec, x)


def test_singles_through_onnx() -> None:
    through_onnx(chain(Collect(3), Emit(), length=3), random(2 * 3).reshape(2, 3, *FRAME))


def through_onnx(spec: NetworkSpec, x: np.ndarray) -> None:
    model = to_onnx(spec)
    assert_same_spec(read_onnx(parse_onnx(model.SerializeToString(), "memory")), spec)
    found = run_in_onnx_runtime(model, {"x": x})
    for name, expected in reference.run(spec, {"x": x}).items():
        check(found[name], expected, "reduce_time")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Window(0), "size, stride, dilation: expected at least 1"),
        (Window(2**40), "size, stride, dilation: expected at least 1"),
        (Window(1, before=2**40), "places around the sequence"),
        (Repeat(0), "times: expected at least 1"),
        (ReduceTime("sum"), "expected 'mean' or 'max'"),
        (Emit(), "input: expected a single"),
    ],
    ids=str,
)
def test_absurd_arguments_are_refused(layer: Any, message: str) -> None:
    with pytest.raises(cn.UnsupportedModelError, match=message):
        cn.Model(chain(layer))


@pytest.mark.parametrize("before", [(), (Activation(Function("relu")),), (Flatten(),)], ids=str)
def test_dense_batches_have_the_bits_of_single_frames(before: tuple[Layer, ...]) -> None:
    """A Dense with many weights runs several frames at once, where they come together."""
    rng = np.random.default_rng(3)
    heavy = Dense(
        (rng.standard_normal((3000, 130)) / 50).astype(np.float32),
        rng.standard_normal(130).astype(np.float32),
        Function("tanh"),
    )
    shape = (3000,) if Flatten() not in before else (30, 100)
    spec = chain(*before, heavy, dense(rng, 130, 3, "softmax"), shape=shape)
    x = random(37, shape)
    for isa in cn.available_isas():
        whole = cn.Model(spec, threads=1, isa=isa).predict(x)
        assert cn.Model(spec).stream()._core.batch > 1
        for threads in (1, 2, 3):
            found = streamed(cn.Model(spec, threads=threads, isa=isa), x)
            for name, array in whole.items():
                np.testing.assert_array_equal(found[name], array)
        for name, expected in reference.run(spec, {"x": x[np.newaxis]}).items():
            check(whole[name], expected[0], "network")
