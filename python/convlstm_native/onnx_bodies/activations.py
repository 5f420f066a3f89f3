"""Activations in standard ONNX."""

from __future__ import annotations

import math
from typing import Any

from convlstm_native.onnx_bodies.base import Body
from convlstm_native.readers.onnx_contract import SINGLE_OPERATORS
from convlstm_native.spec import Function


def add_activation(body: Body, x: str, function: Function) -> str:
    """Add ``function`` of ``x`` by the formulas of Keras, and return the result's name."""
    name, parameters = function.name, function.parameters
    if name in SINGLE_OPERATORS:
        operator, attributes = SINGLE_OPERATORS[name]
        named: dict[str, Any] = dict(zip(attributes, parameters, strict=True))
        return body.add(operator, [x], **named)
    if name == "linear":
        return body.add("Identity", [x])
    if name == "relu":
        return _relu(body, x, *parameters)
    if name in ("gelu", "gelu_tanh"):
        return _gelu(body, x, tanh=name == "gelu_tanh")
    if name == "silu":
        return body.add("Mul", [x, body.add("Sigmoid", [x])])
    if name == "hard_silu":
        slope, offset = parameters
        return body.add("Mul", [x, body.add("HardSigmoid", [x], alpha=slope, beta=offset)])
    if name == "log_sigmoid":
        return body.add("Neg", [body.add("Softplus", [body.add("Neg", [x])])])
    if name == "mish":
        return body.add("Mul", [x, body.add("Tanh", [body.add("Softplus", [x])])])
    if name == "hard_tanh":
        return body.add("Clip", [x, body.constant(-1.0), body.constant(1.0)])
    if name == "hard_shrink":
        return body.add("Shrink", [x], lambd=parameters[0], bias=0.0)
    if name == "soft_shrink":
        return body.add("Shrink", [x], lambd=parameters[0], bias=parameters[0])
    if name == "tanh_shrink":
        return body.add("Sub", [x, body.add("Tanh", [x])])
    if name == "squareplus":
        return _squareplus(body, x, parameters[0])
    if name == "sparse_plus":
        return _sparse_plus(body, x)
    if name == "sparse_sigmoid":
        return body.add("HardSigmoid", [x], alpha=0.5, beta=0.5)
    if name == "threshold":
        limit, otherwise = parameters
        above = body.add("Greater", [x, body.constant(limit)])
        return body.add("Where", [above, x, body.constant(otherwise)])
    raise KeyError(name)


def _relu(body: Body, x: str, slope: float, highest: float, threshold: float) -> str:
    """x above the threshold and at most ``highest``, minus ``slope * relu(threshold - x)``."""
    if threshold == 0 and highest == math.inf:
        return body.add("LeakyRelu", [x], alpha=slope) if slope else body.add("Relu", [x])
    limit, zero = body.constant(threshold), body.constant(0.0)
    y = body.add("Where", [body.add("Greater", [x, limit]), x, zero])
    if highest != math.inf:
        y = body.add("Clip", [y, zero, body.constant(highest)])
    if slope:
        below = body.add("Relu", [body.add("Sub", [limit, x])])
        y = body.add("Sub", [y, body.add("Mul", [below, body.constant(slope)])])
    return y


def _gelu(body: Body, x: str, tanh: bool) -> str:
    if tanh:
        cube = body.add("Mul", [x, body.add("Mul", [x, x])])
        inner = body.add("Add", [x, body.add("Mul", [cube, body.constant(0.044715)])])
        bend = body.add("Tanh", [body.add("Mul", [inner, body.constant(math.sqrt(2 / math.pi))])])
    else:
        bend = body.add("Erf", [body.add("Mul", [x, body.constant(math.sqrt(0.5))])])
    half = body.add("Mul", [x, body.constant(0.5)])
    return body.add("Mul", [half, body.add("Add", [bend, body.constant(1.0)])])


def _squareplus(body: Body, x: str, b: float) -> str:
    """(x + sqrt(x^2 + b)) / 2"""
    square = body.add("Add", [body.add("Mul", [x, x]), body.constant(b)])
    return body.add("Mul", [body.add("Add", [x, body.add("Sqrt", [square])]), body.constant(0.5)])


def _sparse_plus(body: Body, x: str) -> str:
    """0 up to -1, x from 1 on, (x + 1)^2 / 4 between."""
    bounded = body.add("Clip", [x, body.constant(-1.0), body.constant(1.0)])
    shifted = body.add("Add", [bounded, body.constant(1.0)])
    bend = body.add("Mul", [body.add("Mul", [shifted, shifted]), body.constant(0.25)])
    above = body.add("GreaterOrEqual", [x, body.constant(1.0)])
    return body.add("Where", [above, x, bend])
