"""Pooling and resizing in the engine against the reference, on every instruction set and team."""

from __future__ import annotations

import itertools

import convlstm_native as cn
import numpy as np
import pytest
import reference
from convlstm_native import spec
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_graph import LayerConfig
from convlstm_native.readers.keras_layers import parse
from convlstm_native.spec import Array, NetworkSpec
from hypothesis import given
from hypothesis import strategies as st
from reference_resizing import resize_matrix
from strategies import examples
from tolerances import check

ISAS = cn.available_isas()
THREADS = (1, 2, 3)


def alone(layer: spec.Layer, frame: tuple[int, ...]) -> NetworkSpec:
    node = spec.Node("layer", layer, ("x",), ("y",))
    return NetworkSpec("alone", (spec.Input("x", frame),), (node,), (spec.Output("y", "y"),))


def check_layer(layer: spec.Layer, x: Array, operation: str, largest_term: float = 0.0) -> None:
    """The layer on frames (T, *frame): the reference's numbers, and the same bits on any team."""
    net = alone(layer, x.shape[1:])
    expected = reference.run(net, {"x": x[None]})["y"][0]
    for isa in ISAS:
        results = [cn.Model(net, isa=isa, threads=n).predict(x)["y"] for n in THREADS]
        check(results[0], expected, operation, largest_term)
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0])


def random(rng: np.random.Generator, frame: tuple[int, ...], steps: int = 2) -> Array:
    return rng.standard_normal((steps, *frame)).astype(np.float32)


frames = (
    st.lists(st.integers(1, 20), min_size=1, max_size=5)
    .map(tuple)
    .filter(lambda frame: np.prod(frame) < 20000)
)
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


# --- pooling -------------------------------------------------------------------------------------


@st.composite
def poolings(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], str]:
    frame = draw(frames)
    padding = draw(st.sampled_from(("same", "valid")))
    widest = [5 if padding == "same" else min(n, 5) for n in frame]
    # At most three axes with a window, as in Keras.
    pooled = draw(st.sets(st.integers(0, len(frame) - 1), max_size=3))
    sizes = [st.integers(1, k if axis in pooled else 1) for axis, k in enumerate(widest)]
    strides = [st.integers(1, 5 if axis in pooled else 1) for axis in range(len(frame))]
    return frame, draw(st.tuples(*sizes)), draw(st.tuples(*strides)), padding


@examples(100)
@given(poolings(), st.sampled_from((spec.MaxPooling, spec.AveragePooling)), seeds)
def test_pooling(
    case: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], str],
    kind: type[spec.Pooling],
    rng: np.random.Generator,
) -> None:
    frame, *arguments = case
    # All values lie below zero: a padded zero would win, or count.
    x = random(rng, frame) - 10
    check_layer(
        kind(*arguments), x, "max_pooling" if kind is spec.MaxPooling else "average_pooling"
    )


@pytest.mark.parametrize("kind", [spec.MaxPooling, spec.AveragePooling])
@pytest.mark.parametrize("window", [1, 2, 3, 7, 128, 129, 300])
@pytest.mark.parametrize("stride", [1, 2, 3, 150])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_pooling_of_long_rows(
    kind: type[spec.Pooling], window: int, stride: int, padding: str
) -> None:
    # Longer than what the kernel takes at a time.
    for length in (511, 1100):
        x = random(np.random.default_rng(length), (2, 2, length)) - 10
        layer = kind((1, 2, window), (1, 1, stride), padding)
        check_layer(layer, x, "max_pooling" if kind is spec.MaxPooling else "average_pooling long")


@examples(60)
@given(frames, st.sampled_from(("mean", "max")), st.booleans(), seeds)
def test_reduce(
    frame: tuple[int, ...], function: str, keepdims: bool, rng: np.random.Generator
) -> None:
    axes = tuple(axis for axis in range(len(frame)) if rng.random() < 0.6) or (0,)
    if not keepdims and len(axes) == len(frame):
        keepdims = True
    x = random(rng, frame) - 10
    check_layer(
        spec.Reduce(axes, function, keepdims), x, "max_pooling" if function == "max" else "mean"
    )


@pytest.mark.parametrize("function", ["mean", "max"])
@pytest.mark.parametrize(
    ("frame", "axes"),
    [
        ((3, 200, 300), (1, 2)),
        ((200, 300, 3), (0, 1)),
        ((150, 33, 40), (0, 1)),
        ((2, 150, 300), (1,)),
        ((70000, 1), (0,)),
        ((5, 7, 9, 11), (0, 2)),
        # The last of the columns that are taken together is alone.
        ((20, 129), (0,)),
        ((300, 257), (0,)),
    ],
    ids=str,
)
def test_reduce_of_large_maps(frame: tuple[int, ...], axes: tuple[int, ...], function: str) -> None:
    # Far from zero, where a long sum in float32 would lose what the tolerance asks for.
    x = random(np.random.default_rng(1), frame, 1) + 100
    check_layer(spec.Reduce(axes, function), x, "max_pooling" if function == "max" else "mean")


def test_infinities_stay() -> None:
    # exp overflows: float32 numbers become infinite inside the network.
    nodes = (
        spec.Node("exp", spec.Activation(spec.Function("exponential")), ("x",), ("e",)),
        spec.Node("max", spec.MaxPooling((1, 3), (1, 2), "same"), ("e",), ("pooled",)),
        spec.Node("mean", spec.Reduce((1,), "mean"), ("e",), ("y",)),
    )
    outputs = (spec.Output("pooled", "pooled"), spec.Output("y", "y"))
    net = NetworkSpec("overflow", (spec.Input("x", (2, 9)),), nodes, outputs)
    x = np.zeros((1, 2, 9), np.float32)
    x[0, 1, 4] = 200
    found = cn.Model(net).predict(x)
    np.testing.assert_array_equal(found["y"], [[1.0, np.inf]])
    np.testing.assert_array_equal(found["pooled"][0, 1], [1, 1, np.inf, 1, 1])


# --- padding, cropping, resizing -----------------------------------------------------------------


@examples(80)
@given(frames, st.sampled_from((0.0, -1.5)), seeds)
def test_pad(frame: tuple[int, ...], value: float, rng: np.random.Generator) -> None:
    ends = []
    for n in frame:
        before = int(rng.integers(-(n - 1), 4))
        ends.append((before, int(rng.integers(-(n - 1 + min(before, 0)), 4))))
    before, after = zip(*ends, strict=True)
    check_layer(spec.Pad(before, after, value), random(rng, frame), "pad")


@examples(80)
@given(frames, st.sampled_from(spec.INTERPOLATIONS), st.booleans(), seeds)
def test_resize(
    frame: tuple[int, ...], interpolation: str, antialias: bool, rng: np.random.Generator
) -> None:
    axes = tuple(axis for axis in range(len(frame)) if rng.random() < 0.5)[:3] or (0,)
    size = tuple(int(rng.integers(1, 2 * frame[axis] + 1)) for axis in axes)
    x = random(rng, frame)
    layer = spec.Resize(axes, size, interpolation, antialias)
    operation = "nearest" if interpolation == "nearest" else "resize"
    # Kernels with negative parts: terms are larger than their sum.
    check_layer(layer, x, operation, float(np.abs(x).max()))


@pytest.mark.parametrize("times", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("axes", [(1, 2), (0, 1), (1,), (2,), (0, 1, 2)])
def test_places_repeated(times: int, axes: tuple[int, ...]) -> None:
    x = random(np.random.default_rng(times), (3, 5, 7))
    size = tuple(x.shape[1 + axis] * times for axis in axes)
    layer = spec.Resize(axes, size, "nearest")
    check_layer(layer, x, "nearest")
    expected = x
    for axis in axes:
        expected = np.repeat(expected, times, axis + 1)
    np.testing.assert_array_equal(cn.Model(alone(layer, (3, 5, 7))).predict(x)["y"], expected)


@pytest.mark.parametrize(
    ("interpolation", "antialias"),
    [*itertools.product(spec.INTERPOLATIONS, (False, True))],
)
@pytest.mark.parametrize(("length", "size"), [(1, 7), (7, 1), (5, 5), (3, 200), (200, 3), (6, 9)])
def test_interpolation_weights(length: int, size: int, interpolation: str, antialias: bool) -> None:
    indices, weights = spec.interpolation_weights(length, size, interpolation, antialias)
    matrix = np.zeros((size, length))
    np.put_along_axis(matrix, indices, weights, axis=1)
    expected = resize_matrix(length, size, interpolation, antialias)
    check(matrix, expected, "resize")


# --- refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (spec.AveragePooling((2, 2), (1, 1), "valid"), "pool_size length: expected 3"),
        (spec.AveragePooling((2, 2, 2), (1, 0, 1), "valid"), "strides: expected at least 1"),
        (spec.AveragePooling((1, 1, 5), (1, 1, 1), "valid"), "input of the pooling"),
        (spec.AveragePooling((1, 1, 1), (1, 1, 1), "full"), "padding: expected 'same' or 'valid'"),
        (spec.Reduce((), "mean"), "axes: expected ascending"),
        (spec.Reduce((1, 0), "mean"), "axes: expected ascending"),
        (spec.Reduce((3,), "mean"), "axes: expected ascending, within 0 to 2"),
        (spec.Reduce((0, 1, 2), "mean"), "axes: expected one of the frame to be left"),
        (spec.Reduce((0,), "sum"), "function: expected 'mean' or 'max', found sum"),
        (spec.Pad((0, 0), (0, 0, 0)), "before length: expected 3"),
        (spec.Pad((-2, 0, 0), (0, 0, 0)), "expected at least one place"),
        (spec.Pad((0, -2, 0), (0, -1, 0)), "expected at least one place"),
        (spec.Resize((0,), (2, 2), "nearest"), "size length: expected 1"),
        (spec.Resize((0,), (0,), "nearest"), "size: expected at least 1"),
        (spec.Resize((3,), (2,), "nearest"), "axes: expected ascending"),
        (spec.Resize((0,), (2,), "area"), "interpolation: expected 'nearest' or 'bilinear'"),
    ],
    ids=str,
)
def test_arguments_that_are_refused(layer: spec.Layer, message: str) -> None:
    with pytest.raises(cn.UnsupportedModelError, match=message):
        alone(layer, (2, 3, 4)).values()


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("UpSampling2D", {"interpolation": "area"}, "interpolation: expected 'nearest' or"),
        ("Resizing", {"height": 2, "width": 3, "interpolation": "gaussian"}, "found 'gaussian'"),
        ("Resizing", {"height": 2, "width": 0}, "width: expected 1 positive"),
        (
            "Resizing",
            {"height": 2, "width": 3, "crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True},
            "pad_to_aspect_ratio: expected false beside crop_to_aspect_ratio",
        ),
        ("Resizing", {"height": 2, "width": 3, "fill_mode": "wrap"}, "expected 'constant'"),
        ("ZeroPadding2D", {"padding": [1, 2, 3]}, "padding: expected places before and after 2"),
        ("Cropping1D", {"cropping": [-1, 2]}, "cropping: expected places before and after 1"),
        ("Cropping3D", {"cropping": [[1, 2], [0, 1], "x"]}, "cropping: expected places"),
        ("AveragePooling2D", {"padding": "full"}, "padding: expected 'valid' or 'same'"),
        ("GlobalMaxPooling1D", {"keepdims": "yes"}, "keepdims: expected true or false"),
        ("RandomFlip", {"speed": 3}, "speed: expected no such argument"),
    ],
)
def test_arguments_of_keras_that_are_refused(
    kind: str, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(cn.UnsupportedModelError, match=f"{kind} 'it': .*{message}"):
        parse(Arguments(LayerConfig("it", kind, arguments), 3))
