"""Bodies of the model-local functions in standard ONNX, one for each layer without an operator."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

from convlstm_native.onnx_bodies import (
    convolution,
    dense,
    merging,
    normalization,
    pooling,
    recurrent,
    resizing,
    shaping,
    time,
)
from convlstm_native.onnx_bodies.activations import add_activation
from convlstm_native.onnx_bodies.base import Body, Call, Table
from convlstm_native.readers.onnx_contract import DOMAIN, OPSET, weight_names
from convlstm_native.spec import Function, Layer, Value

BODIES: Table = {
    **convolution.BODIES,
    **dense.BODIES,
    **merging.BODIES,
    **normalization.BODIES,
    **pooling.BODIES,
    **recurrent.BODIES,
    **resizing.BODIES,
    **shaping.BODIES,
    **time.BODIES,
}


def layer_function(
    name: str, layer: Layer, values: Sequence[Value], attributes: Sequence[str]
) -> onnx.FunctionProto:
    """The function of a layer for inputs like ``values``: x, the weights, x1, x2... -> y, y1, y2..."""
    body = Body()
    x, *others = ["x", *(f"x{i}" for i in range(1, len(values)))]
    weights = weight_names(type(layer))
    call = Call(layer, (x, *others), tuple(values), {weight: weight for weight in weights})
    outputs = []
    for i, result in enumerate(BODIES[type(layer)](body, call)):
        outputs.append(body.add("Identity", [result], f"y{i}" if i else "y"))
    return _function(name, body, [x, *weights, *others], outputs, attributes)


def activation_function(
    name: str, function: Function, attributes: Sequence[str]
) -> onnx.FunctionProto:
    """An activation that no single operator expresses, as a function of one tensor."""
    body = Body()
    result = add_activation(body, "x", function)
    body.add("Identity", [result], "y")
    return _function(name, body, ["x"], ["y"], attributes)


def _function(
    name: str, body: Body, inputs: Sequence[str], outputs: Sequence[str], attributes: Sequence[str]
) -> onnx.FunctionProto:
    """A function of our domain that declares the attributes of its calls."""
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_function(
        DOMAIN, name, list(inputs), list(outputs), body.nodes, opset, list(attributes)
    )
