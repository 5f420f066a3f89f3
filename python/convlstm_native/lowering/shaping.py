"""Layers that move the numbers of a frame."""

from __future__ import annotations

import math

from convlstm_native.lowering.base import Lowering, Table, Tensor
from convlstm_native.spec import Flatten, Node, Slice


def _flatten(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    x = low.as_in_keras(node, inputs[0])
    return (Tensor(low.network.add_view(x.id, 0, (math.prod(low.shape(x)),)), (0,)),)


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


LOWER: Table = {Flatten: _flatten, Slice: _slice}
