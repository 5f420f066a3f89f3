"""Layers that look at windows of a frame without weights."""

from __future__ import annotations

from convlstm_native.errors import UnsupportedModelError
from convlstm_native.lowering.base import PLANES, Lowering, Order, Table, Tensor
from convlstm_native.spec import MaxPooling, Node


def pool(layer: MaxPooling, order: Order) -> tuple[list[int], list[int], bool]:
    """Window and strides along three axes inside; a frame with fewer gets leading ones."""
    missing = [1] * (PLANES - len(order))
    window = missing + [layer.pool_size[axis] for axis in order]
    strides = missing + [layer.strides[axis] for axis in order]
    return window, strides, layer.padding == "same"


def _max_pooling(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, MaxPooling)
    rank = len(x.order)
    if rank > PLANES:
        raise UnsupportedModelError(f"expected a frame of at most {PLANES} axes, found {rank}")
    missing = PLANES - rank
    planes = (1,) * missing + low.shape(x)
    value = low.network.add_norm_pool(node.name, x.id, planes, None, pool(layer, x.order))
    pooled = low.network.add_view(value, 0, low.network.shape(value)[missing:])
    return (Tensor(pooled, x.order),)


LOWER: Table = {MaxPooling: _max_pooling}
