"""Layers that scale a frame by its own numbers, in standard ONNX."""

from __future__ import annotations

import math
from collections.abc import Sequence

from convlstm_native.onnx_bodies.base import Body, Call, Table
from convlstm_native.spec import LayerNormalization


def _layer_normalization(body: Body, call: Call) -> Sequence[str]:
    (x,), (value,) = call.inputs, call.values
    layer = call.layer
    assert isinstance(layer, LayerNormalization)
    rank = len(value.shape)
    # Counted from behind, the axes are the same with and without time.
    axes = [axis - rank for axis in layer.axes]
    about = x
    if layer.kind in ("layer", "variance"):
        about = body.add("Sub", [x, body.add("ReduceMean", [x], axes=axes)])
    mean = body.add("ReduceMean", [body.add("Mul", [about, about])], axes=axes)
    epsilon = body.constant(float(layer.epsilon))
    if layer.kind == "unit":
        count = math.prod(value.shape[axis] for axis in layer.axes)
        total = body.add("Mul", [mean, body.constant(float(count))])
        square = body.add("Max", [total, epsilon])
    else:
        square = body.add("Add", [mean, epsilon])
    y = body.add("Div", [about if layer.kind == "layer" else x, body.add("Sqrt", [square])])
    shape = [value.shape[axis] if axis in layer.axes else 1 for axis in range(rank)]
    for weight, operator in (("scale", "Mul"), ("shift", "Add")):
        if getattr(layer, weight) is not None:
            along = body.add("Reshape", [call.weights[weight], body.constant(shape)])
            y = body.add(operator, [y, along])
    return [y]


BODIES: Table = {LayerNormalization: _layer_normalization}
