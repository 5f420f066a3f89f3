"""Layers that make one value of several, in standard ONNX."""

from __future__ import annotations

from collections.abc import Sequence

from convlstm_native.onnx_bodies.base import Body, Call, Table
from convlstm_native.spec import Concatenate, Dot, Merge

# Of any number of tensors, and of two.
_OF_ALL = {"add": "Sum", "average": "Mean", "maximum": "Max", "minimum": "Min"}
_OF_TWO = {"multiply": "Mul", "subtract": "Sub"}


def _merge(body: Body, call: Call) -> Sequence[str]:
    layer = call.layer
    assert isinstance(layer, Merge)
    tensors = _aligned(body, call)
    if layer.function in _OF_ALL:
        return [body.add(_OF_ALL[layer.function], tensors)]
    result, *others = tensors
    for other in others:
        result = body.add(_OF_TWO[layer.function], [result, other])
    return [result]


def _aligned(body: Body, call: Call) -> list[str]:
    """The inputs with axes of length 1 for those that they lack: time, and leading ones of the frame."""
    (y,) = call.results
    tensors = []
    for x, value in zip(call.inputs, call.values, strict=True):
        lead = 2 if value.sequence else 1
        missing = y.sequence - value.sequence + len(y.shape) - len(value.shape)
        axes = body.constant([lead + i for i in range(missing)])
        tensors.append(body.add("Unsqueeze", [x, axes]) if missing else x)
    return tensors


def _concatenate(body: Body, call: Call) -> Sequence[str]:
    layer = call.layer
    assert isinstance(layer, Concatenate)
    lead = 2 if call.values[0].sequence else 1
    return [body.add("Concat", call.inputs, axis=lead + layer.axis)]


def _dot(body: Body, call: Call) -> Sequence[str]:
    layer = call.layer
    assert isinstance(layer, Dot)
    # n and t are batch and time, k is summed over.
    letters = iter("abcdefghijlmopqrsuvwxyz")
    leads = ["nt" if value.sequence else "n" for value in call.values]
    frames = [
        ["k" if i == axis else next(letters) for i in range(len(value.shape))]
        for axis, value in zip(layer.axes, call.values, strict=True)
    ]
    rest = "".join(letter for frame in frames for letter in frame if letter != "k")
    terms = [lead + "".join(frame) for lead, frame in zip(leads, frames, strict=True)]
    equation = f"{','.join(terms)}->{max(leads, key=len)}{rest}"
    result = body.add("Einsum", call.inputs, equation=equation)
    return [result if rest else body.add("Unsqueeze", [result, body.constant([-1])])]


BODIES: Table = {Concatenate: _concatenate, Dot: _dot, Merge: _merge}
