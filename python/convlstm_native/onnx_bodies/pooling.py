"""Layers that make one number of many places, in standard ONNX."""

from __future__ import annotations

import math

from convlstm_native.onnx_bodies.base import Body, Call, Table
from convlstm_native.spec import AveragePooling, MaxPooling, Pooling, Reduce, same_padding


def _pooling(body: Body, call: Call) -> list[str]:
    """Axis by axis, since no runtime pools over more than three: a box is what they make together."""
    (x,), (value,) = call.inputs, call.values
    layer = call.layer
    assert isinstance(layer, Pooling)
    (result,) = call.results
    shape = list(value.shape)
    y = x
    for axis, (window, stride) in enumerate(zip(layer.pool_size, layer.strides, strict=True)):
        if (window, stride) == (1, 1):
            continue
        before, after = 0, 0
        if layer.padding == "same":
            before, after = same_padding(shape[axis], window, stride)
        rows = [-1, 1, shape[axis], math.prod(shape[axis + 1 :])]
        y = body.add(
            "MaxPool" if isinstance(layer, MaxPooling) else "AveragePool",
            [body.add("Reshape", [y, body.constant(rows)])],
            kernel_shape=[window, 1],
            strides=[stride, 1],
            pads=[before, 0, after, 0],
        )
        shape[axis] = result.shape[axis]
    if y == x:
        return [x]
    return [body.unfold(body.add("Reshape", [y, body.constant([-1, *shape])]), x, result)]


def _reduce(body: Body, call: Call) -> list[str]:
    (x,), (value,) = call.inputs, call.values
    layer = call.layer
    assert isinstance(layer, Reduce)
    lead = 2 if value.sequence else 1
    return [
        body.add(
            "ReduceMean" if layer.function == "mean" else "ReduceMax",
            [x],
            axes=[axis + lead for axis in layer.axes],
            keepdims=int(layer.keepdims),
        )
    ]


BODIES: Table = {MaxPooling: _pooling, AveragePooling: _pooling, Reduce: _reduce}
