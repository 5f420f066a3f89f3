"""What a stream remembers, forgets and refuses, and what a model refuses to be built of."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import convlstm_native as cn
import numpy as np
import pytest
from convlstm_native.spec import (
    Activation,
    BatchNormalization,
    Dense,
    Flatten,
    Function,
    Input,
    MaxPooling,
    Merge,
    NetworkSpec,
    Node,
    Output,
)
from strategies import conv_lstm, genre_net

FRAME = (2, 5, 6)


def recurrent(**arguments: Any) -> NetworkSpec:
    """One ConvLSTM2D of three filters with an initial state, all its outputs shown."""
    layer = conv_lstm(
        np.random.default_rng(1),
        FRAME[0],
        3,
        padding="same",
        data_format="channels_first",
        initial_state=True,
        return_state=True,
        **arguments,
    )
    inputs = (
        Input("x", FRAME),
        Input("h0", (3, 5, 6), sequence=False),
        Input("c0", (3, 5, 6), sequence=False),
    )
    node = Node("cell", layer, ("x", "h0", "c0"), ("y", "h", "c"))
    outputs = tuple(Output(name, name) for name in ("y", "h", "c"))
    return NetworkSpec("cell", inputs, (node,), outputs)


def frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, *FRAME)).astype(np.float32)


def start(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: random.standard_normal((3, 5, 6)).astype(np.float32) for name in ("h0", "c0")}


def assert_same(a: dict[str, np.ndarray] | None, b: dict[str, np.ndarray] | None) -> None:
    assert a is not None
    assert b is not None
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("go_backwards", [False, True])
def test_state_dict_holds_everything(go_backwards: bool) -> None:
    model = cn.Model(recurrent(return_sequences=True, go_backwards=go_backwards))
    x = frames(6)
    first = model.stream(start(1))
    for frame in x[:3]:
        first.push(frame)
    second = model.stream(start(2))
    second.push(x[5])
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    for frame in x[3:]:
        first.push(frame)
        second.push(frame)
    assert_same(first.flush(), second.flush())


def test_state_dict_between_sequences_of_a_stateful_model() -> None:
    model = cn.Model(recurrent(return_sequences=True, stateful=True))
    first, second = model.stream(start(1)), model.stream(start(1))
    first.predict(frames(3))
    second.load_state_dict(first.state_dict())
    assert_same(first.predict(frames(3, 1)), second.predict(frames(3, 1)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cell/h", np.zeros((5, 3, 6), np.float32)),
        ("cell/c", np.full((3, 5, 6), np.nan, np.float32)),
        ("inputs/h0", np.zeros(3, np.float32)),
        ("frames", np.array(-1)),
        ("frames", np.array(1.5)),
        ("frames", np.zeros(3, np.int64)),
        ("else", np.zeros(3, np.float32)),
    ],
)
def test_wrong_state_dict_changes_nothing(name: str, value: np.ndarray) -> None:
    stream = cn.Model(recurrent(return_sequences=True)).stream(start(1))
    stream.push(frames(1)[0])
    before = stream.state_dict()
    with pytest.raises(cn.InputError, match="expected"):
        stream.load_state_dict({**before, name: value})
    assert_same(stream.state_dict(), before)


def test_refused_frames_change_nothing() -> None:
    model = cn.Model(recurrent(return_sequences=True, stateful=True))
    stream, twin = model.stream(start(1)), model.stream(start(1))
    bad = np.full(FRAME, np.inf, np.float32)
    for each in (stream, twin):
        each.predict(frames(2))
    for wrong in (bad, np.zeros((2, 5, 7)), np.zeros(FRAME, np.int32), "frame", None):
        with pytest.raises(cn.InputError, match="expected"):
            stream.push(wrong)
    assert stream.frames == 2
    assert_same(stream.push(frames(1)[0]), twin.push(frames(1)[0]))
    with pytest.raises(cn.InputError, match="expected shape"):
        stream.predict(np.zeros((3, 1, 1), np.float32))
    with pytest.raises(cn.InputError, match="frame 1: expected finite"):
        stream.push(bad)
    assert_same(stream.push(frames(2)[1]), twin.push(frames(2)[1]))


def test_refused_singles_change_nothing() -> None:
    stream = cn.Model(recurrent(return_sequences=True)).stream(start(1))
    expected = stream.clone().push(frames(1)[0])
    bad = {**start(2), "c0": np.full((3, 5, 6), np.nan, np.float32)}
    with pytest.raises(cn.InputError, match="'c0': expected finite"):
        stream.reset(bad)
    assert_same(stream.push(frames(1)[0]), expected)


def test_singles_belong_to_the_stream() -> None:
    given = start(1)
    stream = cn.Model(recurrent(return_sequences=True)).stream(given)
    expected = stream.push(frames(1)[0])
    given["h0"][:] = 9
    stream.reset()
    assert_same(stream.push(frames(1)[0]), expected)


def test_copies_go_their_own_way() -> None:
    stream = cn.Model(genre_net()).stream()
    x = np.random.default_rng(0).random((3, 3, 24, 36), np.float32)
    stream.push(x[0])
    clone = copy.copy(stream)
    stream.push(x[2])
    other = cn.Model(genre_net()).stream()
    other.push(x[0])
    assert_same(clone.push(x[1]), other.push(x[1]))


def test_models_travel_to_other_processes() -> None:
    model = cn.Model(genre_net(), threads=2, isa="scalar", optimize=False)
    copied = pickle.loads(pickle.dumps(model))
    assert (copied.isa, copied.threads) == ("scalar", 2)
    x = np.random.default_rng(0).random((2, 3, 24, 36), np.float32)
    assert_same(copied.predict(x), model.predict(x))


def test_a_layer_on_an_initial_state_does_not_stop_the_stream() -> None:
    net = recurrent(return_sequences=True)
    squash = Node("squash", Activation(Function("tanh")), ("h0",), ("h1",))
    cell = replace(net.nodes[0], inputs=("x", "h1", "c0"))
    model = cn.Model(replace(net, nodes=(squash, cell)))
    assert model.summary().streams
    given = start(1)
    squashed = {**given, "h0": np.tanh(given["h0"])}
    found = model.stream(given).push(frames(1)[0])
    expected = cn.Model(net).stream(squashed).push(frames(1)[0])
    assert found is not None
    assert expected is not None
    np.testing.assert_allclose(found["y"], expected["y"], atol=1e-6)


@pytest.mark.parametrize("isa", cn.available_isas())
@pytest.mark.parametrize("window", [(1, 1, 3), (1, 2, 2), (2, 1, 1), (1, 3, 3), (1, 2, 9)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("columns", "padding"), [(83, "same"), (3, "valid"), (6, "valid")])
def test_nan_inside_the_network_is_not_pooled_away(
    window: tuple[int, int, int], stride: int, columns: int, padding: Any, isa: str
) -> None:
    frame = (2, 5, columns)
    pool = MaxPooling((*window[:2], min(window[2], columns)), (1, stride, stride), padding)
    nodes = (
        Node("a", BatchNormalization(0, np.full(2, 3e38, np.float32), np.zeros(2)), ("x",), ("a",)),
        Node("b", Merge("subtract"), ("a", "a"), ("b",)),  # of infinities
        Node("c", pool, ("b",), ("c",)),
    )
    net = NetworkSpec("nan", (Input("x", frame),), nodes, (Output("b", "b"), Output("c", "c")))
    alone = NetworkSpec(
        "pool", (Input("b", frame),), (Node("c", pool, ("b",), ("c",)),), net.outputs[1:]
    )
    x = np.random.default_rng(1).standard_normal((40, *frame)).astype(np.float32)
    x[:, :, 1::2] /= 4  # NaN is rare there
    found = cn.Model(net, isa=isa).predict(x)
    bad = np.isnan(found["b"])
    assert 0.05 < bad.mean() < 0.5
    expected = cn.Model(alone, isa=isa).predict(bad.astype(np.float32))["c"]
    np.testing.assert_array_equal(np.isnan(found["c"]), expected != 0)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, 5000, 2**40, "2"])
def test_threads_are_checked(threads: Any) -> None:
    for call in (lambda: cn.Model(genre_net(), threads=threads), lambda: cn.fma_peak(threads)):
        with pytest.raises(cn.InputError, match="threads: expected a whole number"):
            call()


def test_inputs_of_unlike_sizes_run_in_step() -> None:
    """Frames of 1 MB and of 24 bytes: as many of each in every run."""
    large, small = (1, 1000, 1000), (6,)
    nodes = (
        Node("pool", MaxPooling(large, large, "same"), ("x",), ("a",)),
        Node("squash", Activation(Function("tanh")), ("y",), ("b",)),
    )
    outputs = (Output("a", "a"), Output("b", "b"))
    model = cn.Model(NetworkSpec("two", (Input("x", large), Input("y", small)), nodes, outputs))
    random = np.random.default_rng(0)
    given = {
        "x": random.integers(256, size=(70, *large), dtype=np.uint8),
        "y": random.standard_normal((70, *small)).astype(np.float32),
    }
    found = model.predict(given)
    np.testing.assert_array_equal(found["a"].ravel(), given["x"].max((1, 2, 3)))
    np.testing.assert_allclose(found["b"], np.tanh(given["y"]), atol=1e-6)


def one_layer(layer: Any, shape: tuple[int, ...]) -> NetworkSpec:
    node = Node("only", layer, ("x",), ("y",))
    return NetworkSpec("one", (Input("x", shape),), (node,), (Output("y", "y"),))


@pytest.mark.parametrize("size", [0, -1, 2**31, 2**32, 2**70])
@pytest.mark.parametrize("argument", ["strides", "dilation_rate"])
def test_absurd_arguments_name_the_layer(argument: str, size: int) -> None:
    layer = conv_lstm(np.random.default_rng(0), 2, 1, padding="same", data_format="channels_first")
    layer = replace(layer, **{argument: (size, size)})
    with pytest.raises(cn.UnsupportedModelError, match=f"'only': {argument}: expected at least 1"):
        cn.Model(one_layer(layer, FRAME))


def test_strides_beyond_memory_are_refused() -> None:
    layer = conv_lstm(np.random.default_rng(0), 2, 1, padding="same", data_format="channels_first")
    layer = replace(layer, strides=(2**31 - 1, 2**31 - 1))
    with pytest.raises(cn.UnsupportedModelError, match="more elements than fit an address"):
        cn.Model(one_layer(layer, FRAME))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Dense(np.zeros((3, 0), np.float32), np.zeros(0, np.float32)), (3,)),
        (Flatten(), (0, 3)),
    ],
)
def test_empty_axes_are_refused(layer: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(cn.UnsupportedModelError, match="axes of at least 1"):
        cn.Model(one_layer(layer, shape))


def test_repeated_names_are_refused() -> None:
    net = one_layer(Flatten(), (3, 4))
    twice = replace(net, nodes=net.nodes * 2, outputs=net.outputs * 2)
    with pytest.raises(cn.UnsupportedModelError) as error:
        cn.Model(twice)
    assert len(error.value.problems) == 3  # the value, the node, the output
