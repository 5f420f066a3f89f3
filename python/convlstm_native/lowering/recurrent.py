"""Layers that remember."""

from __future__ import annotations

from convlstm_native.lowering.base import Lowering, Table, Tensor, channels_first, function
from convlstm_native.lowering.normalization import norm
from convlstm_native.lowering.pooling import pool
from convlstm_native.spec import ConvLSTM2D, Node


def _conv_lstm_2d(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    layer = node.layer
    assert isinstance(layer, ConvLSTM2D)
    order = channels_first(3, layer.data_format)
    x, *initial = (low.with_order(node, tensor, order) for tensor in inputs)
    if layer.go_backwards:
        x = Tensor(low.network.add_reversed(node.name, x.id), order)
    frames, final = low.network.add_conv_lstm_2d(
        name=node.name,
        x=x.id,
        initial=[tensor.id for tensor in initial],
        frames=layer.return_sequences,
        final=layer.return_state or not layer.return_sequences,
        stateful=layer.stateful,
        filters=layer.filters,
        kernel=layer.kernel,
        recurrent_kernel=layer.recurrent_kernel,
        bias=layer.bias,
        strides=layer.strides,
        dilation_rate=layer.dilation_rate,
        same=layer.padding == "same",
        groups=layer.groups,
        activation=function(layer.activation),
        recurrent_activation=function(layer.recurrent_activation),
        norm=None if layer.norm is None else norm(layer.norm, order.index(layer.norm.axis)),
        pool=None if layer.pool is None else pool(layer.pool, order),
    )
    # Without return_sequences the output is the last h.
    outputs = [*(frames or final[:1]), *(final if layer.return_state else ())]
    return tuple(Tensor(value, order) for value in outputs)


LOWER: Table = {ConvLSTM2D: _conv_lstm_2d}
