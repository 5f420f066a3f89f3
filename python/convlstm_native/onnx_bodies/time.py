"""Layers that look along time, in standard ONNX. Time is axis 1 of a sequence."""

from __future__ import annotations

import numpy as np

from convlstm_native.onnx_bodies.base import Body, Call, Table
from convlstm_native.spec import Reverse

_END = np.iinfo(np.int64).max


def _reverse(body: Body, call: Call) -> list[str]:
    bounds = [body.constant([value]) for value in (-1, -_END, 1, -1)]
    return [body.add("Slice", [*call.inputs, *bounds])]


BODIES: Table = {Reverse: _reverse}
