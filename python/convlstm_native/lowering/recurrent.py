"""Layers that remember."""

from __future__ import annotations

from typing import Any

from convlstm_native.lowering.base import (
    Lowering,
    Order,
    Table,
    Tensor,
    as_given,
    channels_first,
    function,
)
from convlstm_native.lowering.normalization import norm
from convlstm_native.lowering.pooling import pool
from convlstm_native.spec import (
    GRU,
    LSTM,
    ConvLSTM,
    ConvLSTM1D,
    ConvLSTM2D,
    ConvLSTM3D,
    Masking,
    Node,
    Recurrent,
    SimpleRNN,
    VectorRecurrent,
)


def _sequence(
    low: Lowering, node: Node, inputs: tuple[Tensor, ...], order: Order
) -> dict[str, Any]:
    """What every recurrent layer of the engine is told, with its inputs in ``order``."""
    layer = node.layer
    assert isinstance(layer, Recurrent)
    masks, states = inputs[1 : 1 + layer.masked], inputs[1 + layer.masked :]
    x, *initial = (low.with_order(node, tensor, order) for tensor in (inputs[0], *states))
    sequences = [x.id, *(mask.id for mask in masks)]
    if layer.go_backwards:
        sequences = [low.network.add_reversed(node.name, value) for value in sequences]
    return {
        "name": node.name,
        "x": sequences[0],
        "mask": (sequences[1], layer.zero_output_for_mask) if layer.masked else None,
        "initial": [tensor.id for tensor in initial],
        "frames": layer.return_sequences,
        "final": layer.return_state or not layer.return_sequences,
        "stateful": layer.stateful,
        "activation": function(layer.activation),
    }


def _outputs(
    layer: Recurrent, made: tuple[list[int], list[int]], order: Order
) -> tuple[Tensor, ...]:
    """y and the last states; without return_sequences y is the last h, with a mask the last output."""
    frames, final = made
    last = final[-1:] if layer.masked else final[:1]
    states = final[: len(layer.STATES)] if layer.return_state else []
    outputs = [*(frames or last), *states]
    return tuple(Tensor(value, order) for value in outputs)


def _conv_lstm(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    layer = node.layer
    assert isinstance(layer, ConvLSTM)
    order = channels_first(layer.RANK + 1, layer.data_format)
    fused: dict[str, Any] = {"groups": 1, "norm": None, "pool": None}
    if isinstance(layer, ConvLSTM2D):
        fused["groups"] = layer.groups
        if layer.norm is not None:
            fused["norm"] = norm(layer.norm, order.index(layer.norm.axis))
        if layer.pool is not None:
            fused["pool"] = pool(layer.pool, order)
    made = low.network.add_conv_lstm(
        **_sequence(low, node, inputs, order),
        filters=layer.filters,
        kernel=layer.kernel,
        recurrent_kernel=layer.recurrent_kernel,
        bias=layer.bias,
        kernel_size=layer.kernel_size,
        strides=layer.strides,
        dilation_rate=layer.dilation_rate,
        same=layer.padding == "same",
        recurrent_activation=function(layer.recurrent_activation),
        **fused,
    )
    return _outputs(layer, made, order)


def _recurrent(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    layer = node.layer
    assert isinstance(layer, VectorRecurrent)
    arguments = _sequence(low, node, inputs, as_given(1))
    add = low.network.add_simple_rnn
    if isinstance(layer, LSTM):
        add = low.network.add_lstm
    elif isinstance(layer, GRU):
        add = low.network.add_gru if layer.reset_after else low.network.add_gru_reset_before
        arguments["recurrent_bias"] = layer.recurrent_bias
    if isinstance(layer, (LSTM, GRU)):
        arguments["recurrent_activation"] = function(layer.recurrent_activation)
    made = add(
        **arguments,
        units=layer.units,
        kernel=layer.kernel,
        recurrent_kernel=layer.recurrent_kernel,
        bias=layer.bias,
    )
    return _outputs(layer, made, as_given(1))


def _masking(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Masking)
    frames, mask = low.network.add_mask(node.name, x.id, layer.value)
    return Tensor(frames, x.order), Tensor(mask, as_given(1))


LOWER: Table = {
    Masking: _masking,
    **dict.fromkeys((ConvLSTM1D, ConvLSTM2D, ConvLSTM3D), _conv_lstm),
    **dict.fromkeys((LSTM, GRU, SimpleRNN), _recurrent),
}
