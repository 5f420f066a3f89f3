"""Layers that move the numbers of a frame, in standard ONNX."""

from __future__ import annotations

from collections.abc import Sequence

from convlstm_native.onnx_bodies.base import Body, Call, Table
from convlstm_native.spec import Permute, Reshape


def _reshape(body: Body, call: Call) -> Sequence[str]:
    (x,), (value,) = call.inputs, call.values
    layer = call.layer
    assert isinstance(layer, Reshape)
    # 0 keeps N and T as they come.
    lead = [0, 0] if value.sequence else [0]
    return [body.add("Reshape", [x, body.constant([*lead, *layer.shape])])]


def _permute(body: Body, call: Call) -> Sequence[str]:
    (x,), (value,) = call.inputs, call.values
    layer = call.layer
    assert isinstance(layer, Permute)
    lead = 2 if value.sequence else 1
    return [body.add("Transpose", [x], perm=[*range(lead), *(lead + axis for axis in layer.axes)])]


BODIES: Table = {Permute: _permute, Reshape: _reshape}
