"""Layers that make a frame larger or smaller."""

from __future__ import annotations

import math

from convlstm_native.lowering.base import Lowering, Table, Tensor
from convlstm_native.spec import Node, Pad, Resize, interpolation_weights

# Taps a place, their indices and weights.
Interpolation = tuple[int, list[int], list[float]]


def _pad(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Pad)
    before, after = ([ends[axis] for axis in x.order] for ends in (layer.before, layer.after))
    return (Tensor(low.network.add_pad(node.name, x.id, before, after, layer.value), x.order),)


def _resize(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    """Two neighbouring axes at a time, from the last ones on: rows of pixels stay together."""
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Resize)
    shape, value = list(low.shape(x)), x.id
    sizes = dict(zip(layer.axes, layer.size, strict=True))
    wanted = {place: sizes[axis] for place, axis in enumerate(x.order) if axis in sizes}
    tables = {place: _table(shape[place], size, layer) for place, size in wanted.items()}
    while tables:
        last = max(tables)
        cols: Interpolation | None = tables.pop(last)
        rows: Interpolation | None = tables.pop(last - 1, None)
        outer, inner = math.prod(shape[: last - (rows is not None)]), math.prod(shape[last + 1 :])
        if rows is not None:
            planes = (outer, shape[last - 1], shape[last], inner)
            shape[last - 1] = wanted[last - 1]
        elif inner == 1:
            planes = (outer, 1, shape[last], 1)
        else:  # whole rows of numbers at a time
            planes, rows, cols = (outer, shape[last], 1, inner), cols, None
        name = f"{node.name}:{last}" if tables else node.name
        value = low.network.add_resize(name, value, planes, rows, cols)
        shape[last] = wanted[last]
    value = low.network.add_view(value, 0, shape)
    return (Tensor(value, x.order),)


def _table(length: int, size: int, layer: Resize) -> Interpolation:
    """How an axis becomes one of another length, as the engine takes it."""
    indices, weights = interpolation_weights(length, size, layer.interpolation, layer.antialias)
    taps = indices.shape[1]
    plain = taps == 1 and (weights == 1).all()
    return taps, indices.ravel().tolist(), [] if plain else weights.ravel().tolist()


LOWER: Table = {Pad: _pad, Resize: _resize}
