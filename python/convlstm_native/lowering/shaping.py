"""Layers that move the numbers of a frame."""

from __future__ import annotations

import math

from convlstm_native.lowering.base import Lowering, Order, Table, Tensor, as_given
from convlstm_native.spec import Flatten, Node, Permute, Reshape, Slice


def _flatten(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    return (_reshaped(low, node, x, (math.prod(low.shape(x)),)),)


def _reshape(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Reshape)
    return (_reshaped(low, node, x, layer.shape),)


def _reshaped(low: Lowering, node: Node, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The numbers of ``x`` under another shape: as they lie where that will do, else as in Keras.

    A reshape cuts and joins runs of axes; where each run lies together inside, whatever the order of
    the runs, the tensor is only seen with other axes.
    """
    order = _order_after(low.in_keras(x), x.order, shape)
    if order is None:
        x, order = low.as_in_keras(node, x), as_given(len(shape))
    return Tensor(low.network.add_view(x.id, 0, [shape[axis] for axis in order]), order)


def _order_after(before: tuple[int, ...], order: Order, after: tuple[int, ...]) -> Order | None:
    """The order of the axes of ``after`` for numbers that lie in ``order``, None where there is none."""
    runs = {run[0][0]: run for run in _runs(before, after)}
    rest = [axis for axis in order if before[axis] > 1]
    found: list[int] = []
    while rest:
        old, new = runs.get(rest[0], ((), ()))
        if not old or tuple(rest[: len(old)]) != old:
            return None
        found += new
        del rest[: len(old)]
    # Axes of length 1 may lie anywhere.
    for axis, length in enumerate(after):
        if length == 1:
            found.insert(0, axis)
    return tuple(found)


def _runs(
    before: tuple[int, ...], after: tuple[int, ...]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The shortest runs of axes of two shapes that hold the same numbers, without axes of length 1."""
    runs = []
    olds = [axis for axis, length in enumerate(before) if length > 1]
    news = [axis for axis, length in enumerate(after) if length > 1]
    while olds:
        old, new = [olds.pop(0)], [news.pop(0)]
        while (a := math.prod(before[i] for i in old)) != (b := math.prod(after[i] for i in new)):
            (old if a < b else new).append((olds if a < b else news).pop(0))
        runs.append((tuple(old), tuple(new)))
    return runs


def _permute(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    """Nothing moves: the axes inside only show other axes of the spec."""
    del low
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Permute)
    return (Tensor(x.id, tuple(layer.axes.index(axis) for axis in x.order)),)


def _slice(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Slice)
    # Along the outermost axis a slice is a view; any other axis is brought there first.
    if x.order[0] != layer.axis:
        order = (layer.axis, *(axis for axis in x.order if axis != layer.axis))
        x = low.with_order(node, x, order)
    shape = low.shape(x)
    offset = layer.start * math.prod(shape[1:])
    view = low.network.add_view(x.id, offset, (layer.stop - layer.start, *shape[1:]))
    return (Tensor(view, x.order),)


LOWER: Table = {Flatten: _flatten, Permute: _permute, Reshape: _reshape, Slice: _slice}
