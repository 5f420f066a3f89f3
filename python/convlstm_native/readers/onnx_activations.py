"""The rules that match ONNX nodes to activations."""

from __future__ import annotations

import math

import numpy as np
import onnx

from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.onnx_contract import (
    ACTIVATION,
    DOMAIN,
    SINGLE_OPERATORS,
    decode_function,
    function_kind,
    refuse_unknown,
    widen,
)
from convlstm_native.readers.onnx_matcher import Matcher, Tensor, options, require
from convlstm_native.spec import Activation, Function

# Operators that are an activation, with the attributes that hold its parameters.
OPERATORS = {operator: (name, keys) for name, (operator, keys) in SINGLE_OPERATORS.items()} | {
    "Relu": ("relu", ())
}
_DEFAULTS: dict[str, dict[str, float]] = {
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "Elu": {"alpha": 1.0},
    "Celu": {"alpha": 1.0},
    "Selu": {"alpha": 1.6732632, "gamma": 1.0507010},
    "Softmax": {"axis": -1},
    "LogSoftmax": {"axis": -1},
}


def is_activation(node: onnx.NodeProto) -> bool:
    """Whether :func:`function_of` knows the node."""
    if node.domain == DOMAIN:
        return function_kind(node.op_type) == ACTIVATION
    return node.domain == "" and node.op_type in OPERATORS


def read_activation(matcher: Matcher, node: onnx.NodeProto) -> None:
    """A node that is an activation on its own."""
    x = matcher.tensor(node.input[0])
    matcher.emit(node, Activation(function_of(matcher, node, x)), [x], list(node.output))


def function_of(matcher: Matcher, node: onnx.NodeProto, x: Tensor) -> Function:
    """The activation that a node applies: a standard operator or a call of our function."""
    if node.domain == DOMAIN:
        given = matcher.arguments(node)
        function = decode_function("function", given)
        refuse_unknown(given)
        return function
    name, keys = OPERATORS[node.op_type]
    found = options(node, **_DEFAULTS.get(node.op_type, {}))
    if name in ("softmax", "log_softmax"):
        if found["axis"] not in (-1, len(x.dims) - 1):
            raise UnsupportedModelError(
                f"axis: expected the last of {x.dims}, found {found['axis']}"
            )
        return Function(name)
    if name == "selu":
        # The two constants that make the function self-normalizing are part of its name.
        require({key: round(value, 4) for key, value in found.items()}, alpha=1.6733, gamma=1.0507)
    return Function(name, tuple(widen(found[key]) for key in keys))


def read_leaky_relu(matcher: Matcher, node: onnx.NodeProto) -> None:
    """LeakyRelu is relu with a slope below zero."""
    x = matcher.tensor(node.input[0])
    slope = widen(options(node, alpha=0.01)["alpha"])
    matcher.emit(node, Activation(Function("relu", (slope, math.inf, 0.0))), [x], list(node.output))


def read_clip(matcher: Matcher, node: onnx.NodeProto) -> None:
    """Clip from 0 is relu with a highest value, clip from -1 to 1 is hard_tanh."""
    options(node)
    x = matcher.tensor(node.input[0])
    bounds = [
        matcher.constant(node, index, np.array(default, np.float32)).ravel().tolist()
        for index, default in ((1, -math.inf), (2, math.inf))
    ]
    if [len(bound) for bound in bounds] != [1, 1]:
        raise UnsupportedModelError(f"min, max: expected one number each, found {bounds}")
    (low,), (high,) = bounds
    if (low, high) == (-1, 1):
        function = Function("hard_tanh")
    elif low == 0 and high > 0:
        function = Function("relu", (0.0, widen(high), 0.0))
    else:
        raise UnsupportedModelError(
            f"min, max: expected -1, 1 or 0 and a positive number, found {low}, {high}"
        )
    matcher.emit(node, Activation(function), [x], list(node.output))
