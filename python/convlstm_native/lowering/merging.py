"""Layers that make one value of several."""

from __future__ import annotations

import math

import numpy as np

from convlstm_native.lowering.base import Lowering, Order, Table, Tensor
from convlstm_native.spec import Concatenate, Dot, Merge, Node


def _merge(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    layer = node.layer
    assert isinstance(layer, Merge)
    constants, functions = [], [layer.function] * (len(inputs) - 1)
    if layer.function == "average":
        constants = [np.full(1, len(inputs), np.float32)]
        functions = ["add"] * (len(inputs) - 1) + ["divide"]
    shape = np.broadcast_shapes(*(low.in_keras(x) for x in inputs))
    # The result lies as the largest operand does, which is then read from front to back.
    full = [x for x in inputs if len(x.order) == len(shape)]
    order = max(full, key=lambda x: math.prod(low.shape(x))).order
    strides = [broadcast_strides(low.shape(x), x.order, order) for x in inputs]
    strides += [(0,) * len(shape)] * len(constants)
    value = low.network.add_merge(
        node.name,
        [x.id for x in inputs],
        constants,
        [shape[axis] for axis in order],
        strides,
        functions,
    )
    return (Tensor(value, order),)


def broadcast_strides(shape: tuple[int, ...], own: Order, order: Order) -> tuple[int, ...]:
    """Strides of a tensor that lies in order ``own`` along a result in ``order``, 0 where it stays."""
    missing = len(order) - len(shape)
    strides = []
    for axis in order:
        place = own.index(axis - missing) if axis >= missing else 0
        stays = axis < missing or shape[place] == 1
        strides.append(0 if stays else math.prod(shape[place + 1 :]))
    return tuple(strides)


def _concatenate(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    layer = node.layer
    assert isinstance(layer, Concatenate)
    order = max(inputs, key=lambda x: math.prod(low.shape(x))).order
    alike = [low.with_order(node, x, order) for x in inputs]
    axis = order.index(layer.axis)
    value = low.network.add_concatenate(node.name, [x.id for x in alike], axis)
    return (Tensor(value, order),)


def _dot(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    layer = node.layer
    assert isinstance(layer, Dot)
    first, second = (
        low.with_order(node, x, (*(i for i in x.order if i != axis), axis))
        for x, axis in zip(inputs, layer.axes, strict=True)
    )
    value = low.network.add_dot(node.name, first.id, second.id)
    a, b = (
        [i - (i > axis) for i in x.order[:-1]]
        for x, axis in zip((first, second), layer.axes, strict=True)
    )
    order = (*a, *(len(a) + i for i in b))
    if order:
        return (Tensor(value, order),)
    return (Tensor(low.network.add_view(value, 0, (1,)), (0,)),)


LOWER: Table = {Merge: _merge, Concatenate: _concatenate, Dot: _dot}
