"""Activation layers with weights, in standard ONNX."""

from __future__ import annotations

from collections.abc import Sequence

from convlstm_native.onnx_bodies.base import Body, Call, Table
from convlstm_native.spec import PReLU


def _prelu(body: Body, call: Call) -> Sequence[str]:
    return [body.add("PRelu", [*call.inputs, call.weights["slope"]])]


BODIES: Table = {PReLU: _prelu}
