"""Layers of several inputs against the reference, over ranks, orders, lengths and threads."""

from __future__ import annotations

import convlstm_native as cn
import numpy as np
import pytest
import reference
from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.spec import MERGES, Array, NetworkSpec, Value
from hypothesis import given
from hypothesis import strategies as st
from strategies import conv_lstm, examples
from tolerances import check

ISAS = cn.available_isas()
Shapes = tuple[tuple[int, ...], ...]


def beside(layer: spec.Layer, shapes: Shapes, singles: tuple[bool, ...] = ()) -> NetworkSpec:
    """A network of one layer whose inputs have these shapes; the first is a sequence."""
    kinds = singles or (False,) * len(shapes)
    inputs = tuple(
        spec.Input(f"x{i}", shape, not single)
        for i, (shape, single) in enumerate(zip(shapes, kinds, strict=True))
    )
    node = spec.Node("layer", layer, tuple(i.name for i in inputs), ("y",))
    return NetworkSpec("beside", inputs, (node,), (spec.Output("y", "y"),))


def frames_for(net: NetworkSpec, seed: int = 0, steps: int = 3) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {
        i.name: rng.standard_normal((2, *((steps,) if i.sequence else ()), *i.shape)).astype("f4")
        for i in net.inputs
    }


def check_network(net: NetworkSpec, operation: str) -> None:
    given = frames_for(net)
    expected = reference.run(net, given)["y"]
    # The largest sum that may cancel.
    largest = sum(float(np.abs(x).max()) for x in given.values())
    for isa in ISAS:
        results = [
            cn.Model(net, isa=isa, threads=threads).predict(given)["y"] for threads in (1, 2, 3)
        ]
        check(results[0], expected, operation, largest)
        for other in results[1:]:
            np.testing.assert_array_equal(other, results[0])


@st.composite
def broadcasts(draw: st.DrawFn) -> Shapes:
    full = draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    shapes = []
    for _ in range(draw(st.integers(2, 4))):
        skipped = draw(st.integers(0, len(full) - 1))
        shapes.append(tuple(1 if draw(st.booleans()) else n for n in full[skipped:]))
    return tuple(shapes)


@examples(60)
@given(broadcasts(), st.sampled_from(MERGES))
def test_merge(shapes: Shapes, function: str) -> None:
    shapes = shapes[:2] if function == "subtract" else shapes
    check_network(beside(spec.Merge(function), shapes), "merge")


@pytest.mark.parametrize("function", MERGES)
@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 1, 700), (1, 5, 700)),
        ((40, 50, 3), (3,)),
        ((40, 50, 3), (40, 50, 1)),
        ((40, 50, 3), (40, 1, 1)),
        ((2, 3000), (2, 1)),
        ((2, 3000), (3000,)),
        ((5000,), (1,)),
        ((5000,), (5000,)),
    ],
    ids=str,
)
def test_merge_of_long_and_short_rows(function: str, shapes: Shapes) -> None:
    check_network(beside(spec.Merge(function), shapes), "merge")


@pytest.mark.parametrize("function", MERGES)
def test_a_single_meets_every_frame(function: str) -> None:
    check_network(beside(spec.Merge(function), ((4, 5, 3), (5, 1)), (False, True)), "merge")


def test_merge_of_one_is_itself() -> None:
    check_network(beside(spec.Merge("add"), ((4, 5),)), "merge")


@examples(40)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
    st.lists(st.integers(1, 20), min_size=1, max_size=4),
    st.integers(0, 3),
)
def test_concatenate(frame: list[int], lengths: list[int], axis: int) -> None:
    axis %= len(frame)
    shapes = tuple((*frame[:axis], length, *frame[axis + 1 :]) for length in lengths)
    check_network(beside(spec.Concatenate(axis), shapes), "concatenate")


def test_concatenate_of_long_rows() -> None:
    check_network(beside(spec.Concatenate(1), ((2, 30000), (2, 1), (2, 20000))), "concatenate")


def test_concatenate_to_every_place_within_a_line() -> None:
    # 503 columns: every row of the result begins elsewhere.
    lengths = (131, 7, 64, 301)
    check_network(beside(spec.Concatenate(1), tuple((67, n) for n in lengths)), "concatenate")


@examples(40)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(1, 70),
)
def test_dot(first: list[int], second: list[int], i: int, j: int, products: int) -> None:
    i, j = i % len(first), j % len(second)
    shapes = tuple(
        (*frame[:axis], products, *frame[axis + 1 :]) for frame, axis in ((first, i), (second, j))
    )
    check_network(beside(spec.Dot((i, j)), shapes), "dot")


def test_dot_of_many_tiles() -> None:
    check_network(beside(spec.Dot((1, 1)), ((130, 40), (70, 40))), "dot")


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize(
    "layer",
    [
        *map(spec.Merge, MERGES),
        *map(spec.Concatenate, range(3)),
        spec.Dot((0, 0)),
        spec.Dot((1, 1)),
        spec.Dot((2, 2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("small", [False, True])
def test_beside_a_cell(layer: spec.Layer, data_format: str, small: bool) -> None:
    """A map as a cell leaves it, beside one that lies as the user gave it."""
    frame = (2, 5, 7) if data_format == "channels_first" else (5, 7, 2)
    shape = tuple(1 if small and isinstance(layer, spec.Merge) and n == 7 else n for n in frame)
    rng = np.random.default_rng(3)
    cell = conv_lstm(rng, 2, 2, padding="same", data_format=data_format, return_sequences=True)
    nodes = (
        spec.Node("cell", cell, ("x0",), ("h",)),
        spec.Node("layer", layer, ("h", "x1"), ("y",)),
    )
    inputs = (spec.Input("x0", frame), spec.Input("x1", shape))
    check_network(NetworkSpec("cells", inputs, nodes, (spec.Output("y", "y"),)), "network")


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize(
    "layers",
    [
        (spec.Reshape((5, 14)),),
        (spec.Reshape((35, 2)), spec.Reshape((7, 5, 2))),
        (spec.Reshape((70,)),),
        (spec.Reshape((1, 5, 1, 7, 2)), spec.Permute((4, 0, 1, 3, 2)), spec.Reshape((2, 35))),
        (spec.Permute((2, 0, 1)), spec.Flatten()),
        (spec.Permute((1, 0, 2)), spec.Reshape((35, 2))),
        (spec.Permute((2, 1, 0)), spec.Slice(1, 1, 3)),
        (spec.Reshape((5, 7, 2, 1)), spec.Permute((3, 2, 1, 0)), spec.Flatten()),
    ],
    ids=str,
)
def test_shapes_behind_a_cell(layers: tuple[spec.Layer, ...], data_format: str) -> None:
    frame = (5, 7, 2)
    cell = conv_lstm(
        np.random.default_rng(3),
        5 if data_format == "channels_first" else 2,
        5 if data_format == "channels_first" else 2,
        padding="same",
        data_format=data_format,
        return_sequences=True,
    )
    nodes = [spec.Node("cell", cell, ("x0",), ("v0",))]
    for i, layer in enumerate(layers):
        nodes.append(spec.Node(f"layer{i}", layer, (f"v{i}",), (f"v{i + 1}",)))
    outputs = (spec.Output("y", f"v{len(layers)}"),)
    check_network(
        NetworkSpec("chain", (spec.Input("x0", frame),), tuple(nodes), outputs), "network"
    )


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (spec.Merge("modulo"), [Value((3,), True)], "function: expected one of add"),
        (spec.Merge("subtract"), [Value((3,), True)] * 3, "inputs: expected 2, found 3"),
        (spec.Merge("add"), [], "inputs: expected at least 1, found 0"),
        (spec.Merge("add"), [Value((3,), True), Value((2,), True)], "broadcast"),
        (spec.Merge("add"), [Value((3,), True, 4), Value((3,), True, 5)], "one length"),
        (spec.Concatenate(1), [Value((3,), True)], "axis: expected 0 to 0, found 1"),
        (spec.Concatenate(0), [Value((3, 1), True), Value((3, 2), True)], "alike but for axis 0"),
        (spec.Concatenate(0), [Value((3,), True), Value((3,), False)], "alike but for axis 0"),
        (spec.Dot((0, 0)), [Value((3,), True), Value((2,), True)], "equal lengths"),
        (spec.Dot((0, 1)), [Value((3,), True), Value((3,), True)], "axes: expected within"),
        (spec.Dot((0, 0)), [Value((3,), True)], "inputs: expected 2, found 1"),
        (spec.Reshape((4,)), [Value((3,), True)], "shape: expected 3 numbers"),
        (spec.Reshape((-3, -1)), [Value((3,), True)], "shape: expected at least 1"),
        (spec.Permute((0, 0)), [Value((3, 3), True)], "axes: expected all of"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(layer: spec.Layer, inputs: list[Value], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        layer.infer(inputs)
