"""Layers that look along time."""

from __future__ import annotations

from convlstm_native.lowering.base import Lowering, Order, Table, Tensor
from convlstm_native.spec import Collect, Emit, Node, ReduceTime, Repeat, Reverse, Window


def _behind_new_axis(order: Order) -> Order:
    """The order of a frame that got an axis in front."""
    return (0, *(axis + 1 for axis in order))


def _window(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Window)
    value = low.network.add_window(
        node.name,
        x.id,
        size=layer.size,
        stride=layer.stride,
        dilation=layer.dilation,
        before=layer.before,
        after=layer.after,
        fill=layer.fill,
    )
    return (Tensor(value, _behind_new_axis(x.order)),)


def _repeat(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Repeat)
    return (Tensor(low.network.add_repeated(node.name, x.id, layer.times, layer.zeros), x.order),)


def _reverse(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    return (Tensor(low.network.add_reversed(node.name, x.id), x.order),)


def _collect(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Collect)
    value = low.network.add_collect(node.name, x.id, layer.length)
    return (Tensor(value, _behind_new_axis(x.order)),)


def _emit(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    # Time is the first axis, inside too.
    order = inputs[0].order
    x = low.with_order(node, inputs[0], (0, *(axis for axis in order if axis != 0)))
    value = low.network.add_slices(node.name, x.id)
    return (Tensor(value, tuple(axis - 1 for axis in x.order[1:])),)


def _reduce_time(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, ReduceTime)
    mean = layer.function == "mean"
    return (Tensor(low.network.add_reduce_time(node.name, x.id, mean), x.order),)


LOWER: Table = {
    Collect: _collect,
    Emit: _emit,
    ReduceTime: _reduce_time,
    Repeat: _repeat,
    Reverse: _reverse,
    Window: _window,
}
