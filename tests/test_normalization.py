"""Layers along an axis of the frame against the reference: sums, maxima, slopes."""

from __future__ import annotations

import convlstm_native as cn
import numpy as np
import pytest
import reference
from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.spec import Array, Function, NetworkSpec, Value
from hypothesis import given
from hypothesis import strategies as st
from strategies import conv_lstm, examples
from tolerances import check

ISAS = cn.available_isas()
KINDS = ("layer", "variance", "rms", "unit")


def normalization(
    rng: np.random.Generator,
    frame: tuple[int, ...],
    axes: tuple[int, ...],
    kind: str = "layer",
    weights: tuple[str, ...] = ("scale", "shift"),
    epsilon: float = 1e-3,
) -> spec.LayerNormalization:
    shape = tuple(frame[axis] for axis in axes)
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name in weights}
    return spec.LayerNormalization(axes, kind, epsilon, **arrays)


def alone(layer: spec.Layer, frame: tuple[int, ...]) -> NetworkSpec:
    node = spec.Node("layer", layer, ("x",), ("y",))
    return NetworkSpec("alone", (spec.Input("x", frame),), (node,), (spec.Output("y", "y"),))


def check_layer(layer: spec.Layer, x: Array, operation: str, largest_term: float = 0.0) -> None:
    """The layer on frames (T, *frame): every ISA, the same bits for any number of threads."""
    net = alone(layer, x.shape[1:])
    expected = reference.run(net, {"x": x[None]})["y"][0]
    for isa in ISAS:
        results = [cn.Model(net, isa=isa, threads=threads).predict(x)["y"] for threads in (1, 2, 3)]
        check(results[0], expected, operation, largest_term)
        for other in results[1:]:
            np.testing.assert_array_equal(other, results[0])


frames = st.lists(st.integers(1, 20), min_size=1, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def random(rng: np.random.Generator, frame: tuple[int, ...], steps: int = 2) -> Array:
    return rng.standard_normal((steps, *frame)).astype(np.float32)


@examples(60)
@given(
    frames,
    st.sets(st.integers(0, 3), min_size=1),
    st.sampled_from(KINDS),
    st.sampled_from([(), ("scale",), ("shift",), ("scale", "shift")]),
    seeds,
)
def test_layer_normalization(
    frame: tuple[int, ...],
    axes: set[int],
    kind: str,
    weights: tuple[str, ...],
    rng: np.random.Generator,
) -> None:
    chosen = tuple(sorted({axis % len(frame) for axis in axes}))
    layer = normalization(rng, frame, chosen, kind, weights)
    x = random(rng, frame)
    # An axis of few numbers that lie near each other is divided by a small deviation.
    largest = float(np.abs(x).max()) / layer.epsilon**0.5
    check_layer(layer, x, "layer_normalization", largest)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("frame", "axes"),
    [
        ((50000,), (0,)),
        ((3, 40000), (1,)),
        ((300, 200, 3), (0, 1, 2)),
        ((120, 300), (0,)),
        ((700, 130), (0,)),
        ((5, 257, 129), (1,)),
        ((16385,), (0,)),
    ],
    ids=str,
)
def test_long_and_wide_axes(frame: tuple[int, ...], axes: tuple[int, ...], kind: str) -> None:
    rng = np.random.default_rng(1)
    layer = normalization(rng, frame, axes, kind)
    # Far from zero, where the mean of squares would lose the variance.
    x = random(rng, frame) + (100 if kind == "layer" else 0)
    check_layer(layer, x, "layer_normalization", 100 if kind == "layer" else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_numbers_stay_finite(kind: str) -> None:
    for number in (0.0, 7.0):
        x = np.full((1, 4, 5), number, np.float32)
        check_layer(
            spec.LayerNormalization((0, 1), kind, 1e-3), x, "layer_normalization", number / 0.03
        )
    assert (
        not cn.Model(alone(spec.LayerNormalization((0,), "unit", 1e-24), (3,)))
        .predict(np.zeros((1, 3), np.float32))["y"]
        .any()
    )


@examples(40)
@given(frames, st.sets(st.integers(0, 3)), seeds)
def test_prelu(frame: tuple[int, ...], shared: set[int], rng: np.random.Generator) -> None:
    shape = tuple(1 if i in shared else n for i, n in enumerate(frame))
    check_layer(
        spec.PReLU(rng.standard_normal(shape).astype(np.float32)), random(rng, frame), "prelu"
    )


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("frame", [(7, 9, 300), (3, 200, 2), (1, 1, 5), (129, 2, 1)], ids=str)
def test_softmax_along_any_axis(name: str, axis: int, frame: tuple[int, ...]) -> None:
    x = random(np.random.default_rng(2), frame) * 10
    order = (*(i for i in range(3) if i != axis), axis)
    nodes = (
        spec.Node("last", spec.Permute(order), ("x",), ("a",)),
        spec.Node("softmax", spec.Activation(Function(name)), ("a",), ("b",)),
        spec.Node("back", spec.Permute(tuple(map(order.index, range(3)))), ("b",), ("y",)),
    )
    net = NetworkSpec("along", (spec.Input("x", frame),), nodes, (spec.Output("y", "y"),))
    expected = reference.run(net, {"x": x[None]})["y"][0]
    for isa in ISAS:
        results = [cn.Model(net, isa=isa, threads=threads).predict(x)["y"] for threads in (1, 2, 3)]
        check(results[0], expected, "softmax")
        for other in results[1:]:
            np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], ids=str)
def test_behind_a_cell(axes: tuple[int, ...], data_format: str) -> None:
    frame = (2, 5, 7) if data_format == "channels_first" else (5, 7, 2)
    rng = np.random.default_rng(3)
    cell = conv_lstm(rng, 2, 2, padding="same", data_format=data_format, return_sequences=True)
    slope = rng.standard_normal([1 if i in axes else n for i, n in enumerate(frame)])
    nodes = (
        spec.Node("cell", cell, ("x",), ("h",)),
        spec.Node("norm", normalization(rng, frame, axes), ("h",), ("z",)),
        spec.Node("prelu", spec.PReLU(slope.astype(np.float32)), ("z",), ("y",)),
    )
    net = NetworkSpec("cells", (spec.Input("x", frame),), nodes, (spec.Output("y", "y"),))
    x = random(rng, frame, 3)
    expected = reference.run(net, {"x": x[None]})["y"][0]
    for isa in ISAS:
        # As far as the small deviation of two numbers magnifies.
        check(cn.Model(net, isa=isa).predict(x)["y"], expected, "network", 10.0)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (spec.LayerNormalization((1, 0), "layer", 1e-3), "axes: expected some of 0 to 1, asc"),
        (spec.LayerNormalization((2,), "layer", 1e-3), "axes: expected"),
        (spec.LayerNormalization((), "layer", 1e-3), "axes: expected"),
        (spec.LayerNormalization((0,), "batch", 1e-3), "kind: expected one of layer"),
        (spec.LayerNormalization((0,), "layer", -1.0), "epsilon: expected"),
        (
            spec.LayerNormalization((0,), "layer", 1e-3, np.ones(4, np.float32)),
            r"scale shape: expected \(3,\), found \(4,\)",
        ),
        (spec.PReLU(np.ones((3, 2), np.float32)), "slope shape: expected"),
        (spec.PReLU(np.ones(4, np.float32)), "slope shape: expected"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(layer: spec.Layer, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        layer.infer([Value((3, 4), sequence=True)])
