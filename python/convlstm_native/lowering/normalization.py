"""Layers that scale a frame."""

from __future__ import annotations

import math

from convlstm_native.lowering.base import Lowering, Table, Tensor
from convlstm_native.spec import Array, BatchNormalization, LayerNormalization, Node


def norm(layer: BatchNormalization, axis: int) -> tuple[int, Array, Array]:
    """A normalization along ``axis`` of the planes as the engine takes it."""
    return axis, layer.scale, layer.shift


def _batch_normalization(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, BatchNormalization)
    shape = low.shape(x)
    axis = x.order.index(layer.axis)
    # As three axes with the normalized one last or in the middle.
    before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    planes = (1, before, shape[axis]) if after == 1 else (before, shape[axis], after)
    normed = norm(layer, 2 if after == 1 else 1)
    value = low.network.add_norm_pool(node.name, x.id, planes, normed, None)
    return (Tensor(low.network.add_view(value, 0, shape), x.order),)


def _layer_normalization(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, LayerNormalization)
    axes = [axis for axis in x.order if axis in layer.axes]
    first = x.order.index(axes[0])
    if list(x.order[first : first + len(axes)]) != axes:
        # The axes lie apart inside: they are brought together, behind all others.
        first = len(x.order) - len(axes)
        x = low.with_order(node, x, (*(a for a in x.order if a not in layer.axes), *axes))
    order = [layer.axes.index(axis) for axis in axes]
    scale, shift = (
        None if array is None else array.transpose(order) for array in (layer.scale, layer.shift)
    )
    span = (first, first + len(axes))
    value = low.network.add_layer_norm(
        node.name, x.id, span, layer.kind, layer.epsilon, scale, shift
    )
    return (Tensor(value, x.order),)


LOWER: Table = {
    BatchNormalization: _batch_normalization,
    LayerNormalization: _layer_normalization,
}
