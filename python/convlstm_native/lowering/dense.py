"""Dense and activation layers."""

from __future__ import annotations

from convlstm_native.lowering.base import Lowering, Table, Tensor, function
from convlstm_native.lowering.merging import broadcast_strides
from convlstm_native.spec import OVER_LAST_AXIS, Activation, Dense, Function, Node, PReLU


def _dense(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    layer = node.layer
    assert isinstance(layer, Dense)
    x = low.as_in_keras(node, inputs[0])
    over_row = layer.activation.name in OVER_LAST_AXIS
    linear = Function("linear") if over_row else layer.activation
    value = low.network.add_dense(node.name, x.id, layer.kernel, layer.bias, function(linear))
    if over_row:
        return add_softmax(
            low, part_of(node, layer.activation), Tensor(value, x.order), layer.activation
        )
    return (Tensor(value, x.order),)


def _activation(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Activation)
    if layer.function.name in OVER_LAST_AXIS:
        return add_softmax(low, node.name, x, layer.function)
    return (Tensor(low.network.add_activation(node.name, x.id, function(layer.function)), x.order),)


def part_of(node: Node, over_row: Function) -> str:
    """The name of the step that applies the activation of a layer."""
    return f"{node.name}:{over_row.name}"


def add_softmax(low: Lowering, name: str, x: Tensor, over_row: Function) -> tuple[Tensor]:
    """A softmax or log_softmax over the last axis of the model file, wherever it lies inside."""
    axis = x.order.index(len(x.order) - 1)
    value = low.network.add_softmax(name, x.id, axis, over_row.name == "log_softmax")
    return (Tensor(value, x.order),)


def _prelu(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, PReLU)
    slope = layer.slope.transpose(x.order)
    strides = [broadcast_strides(low.shape(x), x.order, x.order)]
    strides.append(broadcast_strides(slope.shape, x.order, x.order))
    value = low.network.add_merge(node.name, [x.id], [slope], low.shape(x), strides, ["prelu"])
    return (Tensor(value, x.order),)


LOWER: Table = {Activation: _activation, Dense: _dense, PReLU: _prelu}
