"""Layers that make a frame larger or smaller, in standard ONNX."""

from __future__ import annotations

import math

import numpy as np
from onnx import numpy_helper

from convlstm_native.onnx_bodies.base import Body, Call, Table
from convlstm_native.spec import Pad, Resize, interpolation_weights


def _pad(body: Body, call: Call) -> list[str]:
    (y,), (value,) = call.inputs, call.values
    layer = call.layer
    assert isinstance(layer, Pad)
    lead = 2 if value.sequence else 1
    for axis, (before, after) in enumerate(zip(layer.before, layer.after, strict=True)):
        if min(before, after) < 0:
            start, stop = max(-before, 0), value.shape[axis] - max(-after, 0)
            y = body.add("Slice", [y, *(body.constant([n]) for n in (start, stop, axis + lead))])
    zeros = [0] * lead
    pads = [
        *(*zeros, *(max(n, 0) for n in layer.before)),
        *(*zeros, *(max(n, 0) for n in layer.after)),
    ]
    return [body.add("Pad", [y, body.constant(pads), body.constant(float(layer.value))])]


def _resize(body: Body, call: Call) -> list[str]:
    """A product with a matrix of weights an axis; nearest places are gathered."""
    (x,), (value,) = call.inputs, call.values
    layer = call.layer
    assert isinstance(layer, Resize)
    y = body.fold(x, value)
    shape = list(value.shape)
    for axis, size in zip(layer.axes, layer.size, strict=True):
        length, rest = shape[axis], math.prod(shape[axis + 1 :])
        indices, weights = interpolation_weights(length, size, layer.interpolation, layer.antialias)
        if layer.interpolation == "nearest":
            y = body.add("Gather", [y, body.constant(indices.ravel().tolist())], axis=axis + 1)
        else:
            matrix = np.zeros((size, length), np.float32)
            np.put_along_axis(matrix, indices, weights, axis=1)
            constant = body.add("Constant", [], value=numpy_helper.from_array(matrix))
            rows = body.add("Reshape", [y, body.constant([-1, length, rest])])
            y = body.add("MatMul", [constant, rows])
        shape[axis] = size
        if layer.interpolation != "nearest":
            y = body.add("Reshape", [y, body.constant([-1, *shape])])
    return [body.unfold(y, x, call.results[0])]


BODIES: Table = {Pad: _pad, Resize: _resize}
