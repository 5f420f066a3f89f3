"""Frame-wise layers of the engine against the reference, and what inputs it takes and refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import convlstm_native as cn
import numpy as np
import pytest
import reference
from convlstm_native import spec
from convlstm_native.spec import ACTIVATIONS, OVER_LAST_AXIS, Array, Function, NetworkSpec
from hypothesis import given
from hypothesis import strategies as st
from strategies import batch_normalization, conv_lstm, dense, examples
from tolerances import check, check_elements

ISAS = cn.available_isas()


def alone(layer: spec.Layer, frame: tuple[int, ...], *, sequence: bool = True) -> NetworkSpec:
    """A network of one layer; it has a sequence input in any case, as every network must."""
    node = spec.Node("layer", layer, ("x",), ("y",))
    inputs = (spec.Input("x", frame, sequence),)
    outputs = (spec.Output("y", "y"),)
    if not sequence:
        inputs += (spec.Input("clock", (1,)),)
        outputs += (spec.Output("clock", "clock"),)
    return NetworkSpec("alone", inputs, (node,), outputs)


def run_both(layer: spec.Layer, x: Array) -> tuple[list[Array], reference.Array64]:
    """The layer on frames (T, *frame): results of every kernel table, and of the reference."""
    net = alone(layer, x.shape[1:])
    models = [cn.Model(net, isa=isa) for isa in ISAS]
    assert tuple(model.isa for model in models) == ISAS
    return [model.predict(x)["y"] for model in models], reference.run(net, {"x": x[None]})["y"][0]


def check_layer(layer: spec.Layer, x: Array, operation: str, largest_term: float = 0.0) -> None:
    found, expected = run_both(layer, x)
    for result in found:
        check(result, expected, operation, largest_term)


def behind_a_cell(layer: spec.Layer, data_format: str) -> NetworkSpec:
    """``layer`` on frames that a ConvLSTM2D wrote, in the layout that it left them in."""
    frame = (2, 5, 7) if data_format == "channels_first" else (5, 7, 2)
    cell = conv_lstm(
        np.random.default_rng(3),
        2,
        3,
        padding="same",
        data_format=data_format,
        return_sequences=True,
    )
    nodes = (
        spec.Node("cell", cell, ("x",), ("h",)),
        spec.Node("layer", layer, ("h",), ("y",)),
    )
    outputs = (spec.Output("y", "y"), spec.Output("h", "h"))
    return NetworkSpec("behind", (spec.Input("x", frame),), nodes, outputs)


frames = st.lists(st.integers(1, 20), min_size=1, max_size=3).map(tuple)
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def random(rng: np.random.Generator, frame: tuple[int, ...], steps: int = 2) -> Array:
    return rng.standard_normal((steps, *frame)).astype(np.float32)


# --- layers --------------------------------------------------------------------------------------


@examples(60)
@given(frames, st.integers(0, 2), seeds)
def test_batch_normalization(frame: tuple[int, ...], axis: int, rng: np.random.Generator) -> None:
    axis %= len(frame)
    layer = batch_normalization(rng, axis, frame[axis])
    check_layer(layer, random(rng, frame), "batch_normalization", np.abs(layer.shift).max())


@st.composite
def poolings(draw: st.DrawFn) -> tuple[spec.MaxPooling, tuple[int, ...]]:
    frame = draw(frames)
    padding = draw(st.sampled_from(("same", "valid")))
    sizes = [st.integers(1, 5 if padding == "same" else min(n, 5)) for n in frame]
    strides = st.tuples(*[st.integers(1, 5)] * len(frame))
    return spec.MaxPooling(draw(st.tuples(*sizes)), draw(strides), padding), frame


@examples(100)
@given(poolings(), seeds)
def test_max_pooling(
    case: tuple[spec.MaxPooling, tuple[int, ...]], rng: np.random.Generator
) -> None:
    layer, frame = case
    # All values lie below zero: a padded zero would win.
    check_layer(layer, random(rng, frame) - 10, "max_pooling")


@examples(40)
@given(frames, st.integers(1, 40), st.sampled_from(("linear", "relu", "tanh")), seeds)
def test_dense(
    frame: tuple[int, ...], units: int, activation: str, rng: np.random.Generator
) -> None:
    layer = dense(rng, frame[-1], units, activation)
    check_layer(layer, random(rng, frame), "dense", np.abs(layer.bias).max())


# Around whole vectors of inputs, and more than are summed in one part.
@pytest.mark.parametrize("inputs", [15, 64, 129, 263, 1000, 33000])
@pytest.mark.parametrize(("units", "activation"), [(1, "sigmoid"), (2, "relu"), (4, "linear")])
def test_dense_of_few_units(inputs: int, units: int, activation: str) -> None:
    rng = np.random.default_rng(inputs)
    layer = dense(rng, inputs, units, activation)
    check_layer(layer, random(rng, (3, inputs)), "dense", np.abs(layer.bias).max())


@examples(20)
@given(frames, seeds)
def test_flatten(frame: tuple[int, ...], rng: np.random.Generator) -> None:
    check_layer(spec.Flatten(), random(rng, frame), "flatten")


@examples(30)
@given(frames, st.integers(0, 2), seeds)
def test_slice(frame: tuple[int, ...], axis: int, rng: np.random.Generator) -> None:
    axis %= len(frame)
    start = int(rng.integers(frame[axis]))
    stop = int(rng.integers(start + 1, frame[axis] + 1))
    check_layer(spec.Slice(axis, start, stop), random(rng, frame), "slice")


LAYERS: list[Callable[[int], spec.Layer]] = [
    lambda last: spec.Flatten(),
    lambda last: dense(np.random.default_rng(1), last, 4),
    lambda last: spec.Activation(Function("softmax")),
    lambda last: spec.MaxPooling((2, 3, 1), (1, 2, 3), "same"),
    lambda last: spec.MaxPooling((1, 2, 3), (2, 1, 1), "valid"),
    lambda last: spec.Slice(0, 1, 3),
    lambda last: spec.Slice(2, 1, 2),
    lambda last: batch_normalization(np.random.default_rng(1), 2, last),
]


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("layer", LAYERS)
def test_behind_a_cell(
    layer: Callable[[int], spec.Layer], data_format: str, optimize: bool
) -> None:
    net = behind_a_cell(layer(7 if data_format == "channels_first" else 3), data_format)
    x = random(np.random.default_rng(4), net.inputs[0].shape, 3)
    expected = reference.run(net, {"x": x[None]})
    for isa in ISAS:
        found = cn.Model(net, isa=isa, optimize=optimize).predict(x)
        for name, value in found.items():
            check(value, expected[name][0], "network")


@pytest.mark.parametrize(
    "layer",
    [
        dense(np.random.default_rng(1), 4, 3, "relu"),
        spec.MaxPooling((2, 2), (1, 2), "same"),
        batch_normalization(np.random.default_rng(1), 1, 4),
        spec.Flatten(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_single_goes_through(layer: spec.Layer) -> None:
    net = alone(layer, (3, 4), sequence=False)
    x = random(np.random.default_rng(0), (3, 4), 1)
    given = {"x": x, "clock": np.zeros((1, 2, 1), np.float32)}
    check(cn.Model(net).predict(given)["y"], reference.run(net, given)["y"], "dense")


# --- activations over all of float32 -------------------------------------------------------------

SPECIAL = [
    Function("relu", (0.3, 2.0, 0.5)),
    Function("relu", (0.0, 6.0, 0.0)),
    Function("hard_sigmoid", (0.2, 0.5)),
    Function("hard_silu", (0.2, 0.5)),
    Function("elu", (0.7,)),
    Function("celu", (0.7,)),
    Function("hard_shrink", (0.25,)),
    Function("soft_shrink", (0.25,)),
    Function("squareplus", (2.0,)),
    Function("threshold", (0.25, -1.0)),
]


def whole_range() -> Array:
    """Every power of two from the smallest denormal on, numbers between them, zeros, the largest."""
    powers = 2.0 ** np.arange(-149, 128)[:, None] * np.array([1, 1.1, 1.25, 1.5, 1.7, 1.99])
    parts = [powers.ravel(), np.linspace(0, 20, 2001), np.linspace(20, 120, 401), [0.0]]
    positive = np.concatenate([*parts, [np.finfo(np.float32).max]]).astype(np.float32)
    return np.concatenate([positive, -positive])


@pytest.mark.parametrize(
    "function", [*map(Function, sorted(set(ACTIVATIONS) - OVER_LAST_AXIS)), *SPECIAL], ids=str
)
def test_activation(function: Function) -> None:
    x = whole_range()[None]
    found, expected = run_both(spec.Activation(function), x)
    for result in found:
        check_elements(result, expected, x, "activation")


@pytest.mark.parametrize("name", sorted(OVER_LAST_AXIS))
@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 33])
def test_softmax(name: str, size: int) -> None:
    # Large numbers would overflow were the largest of a row not taken off first.
    x = np.random.default_rng(size).standard_normal((4, 3, size)).astype(np.float32)
    x *= np.array([1, 10, 100, 1e30], np.float32)[:, None, None]
    found, expected = run_both(spec.Activation(Function(name)), x)
    for result in found:
        for step, wanted in zip(result, expected, strict=True):
            check(step, wanted, "softmax")


@pytest.mark.parametrize("name", ["linear", "relu", "tanh", "softsign", "hard_tanh"])
def test_zero_stays_zero(name: str) -> None:
    found, _ = run_both(spec.Activation(Function(name)), np.array([[0.0, -0.0]], np.float32))
    for result in found:
        assert not result.any()


# --- inputs that are refused ---------------------------------------------------------------------

MODEL = cn.Model(alone(spec.Flatten(), (2, 3)))
GOOD = np.zeros((4, 2, 3), np.float32)


def with_number(number: float, dtype: Any = np.float32) -> Any:
    x = GOOD.astype(dtype)
    x[2, 1, 1] = number
    return x


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_number_that_is_none_names_its_frame(number: float, dtype: Any) -> None:
    frames = with_number(number, dtype)
    for given_frames in (frames, list(frames), iter(frames)):
        with pytest.raises(cn.InputError, match=r"'x'.*frame 2"):
            MODEL.predict(given_frames)


def test_a_float64_beyond_float32_is_refused() -> None:
    with pytest.raises(cn.InputError, match="frame 2"):
        MODEL.predict(with_number(1e39, np.float64))


def test_a_bad_sample_of_many_is_refused() -> None:
    with pytest.raises(cn.InputError, match="frame 2"):
        MODEL.predict(np.stack([GOOD, with_number(np.nan)]))


@pytest.mark.parametrize(
    ("frames", "found"),
    [
        (np.zeros((4, 3, 2), np.float32), r"\(4, 3, 2\)"),
        (np.zeros((2, 3), np.float32), r"\(2, 3\)"),
        (np.zeros((1, 1, 4, 2, 3), np.float32), r"\(1, 1, 4, 2, 3\)"),
        (np.zeros((0, 2, 3), np.float32), "0|none"),
        (np.zeros((0, 4, 2, 3), np.float32), "none"),
        (np.zeros((2, 0, 2, 3), np.float32), "0|none"),
        (np.zeros((4, 2, 3), np.int64), "int64"),
        (np.zeros((4, 2, 3), np.complex64), "complex64"),
        (np.zeros((4, 2, 3), bool), "bool"),
        (np.zeros((4, 2, 3), object), "object"),
        ([], "none"),
        ([np.zeros((2, 3)), np.zeros((3, 2))], r"\(3, 2\)"),
        (["frame"], "<U5"),
        (3, "int"),
        (None, "NoneType"),
        ("frames", "str|<U"),
        ({"z": GOOD}, "z"),
    ],
    ids=str,
)
def test_what_is_no_input_is_refused(frames: Any, found: str) -> None:
    with pytest.raises(cn.InputError, match=found) as caught:
        MODEL.predict(frames)
    assert isinstance(caught.value, ValueError)


def test_a_stream_goes_on_after_a_frame_that_was_refused() -> None:
    stream = MODEL.stream()
    stream.push(GOOD[0])
    for bad in (with_number(np.nan)[2], np.zeros((3, 2), np.float32)):
        with pytest.raises(cn.InputError):
            stream.push(bad)
    assert stream.frames == 1
    assert stream.push(GOOD[1]) is not None
    assert stream.frames == 2


def test_a_cell_does_not_see_a_frame_that_was_refused() -> None:
    net = behind_a_cell(spec.Flatten(), "channels_first")
    x = random(np.random.default_rng(6), net.inputs[0].shape, 3)
    model = cn.Model(net)
    stream = model.stream()
    results = []
    for frame in x:
        with pytest.raises(cn.InputError, match="frame"):
            stream.push(np.full_like(frame, np.nan))
        results.append(stream.push(frame)["y"])
    np.testing.assert_array_equal(np.stack(results), model.predict(x)["y"])


@pytest.mark.parametrize("threads", [0, -1, 1.5, "two"])
def test_threads_that_are_no_number_are_refused(threads: Any) -> None:
    with pytest.raises(cn.InputError, match="threads"):
        cn.Model(alone(spec.Flatten(), (2, 3)), threads=threads)
