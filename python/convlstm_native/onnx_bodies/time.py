"""Layers that look along time, in standard ONNX. Time is axis 1 of a sequence."""

from __future__ import annotations

import numpy as np

from convlstm_native.onnx_bodies.base import Body, Call, Table
from convlstm_native.spec import Collect, Emit, ReduceTime, Repeat, Reverse, Window

_END = np.iinfo(np.int64).max


def _same(body: Body, call: Call) -> list[str]:
    """A single with time in front has the shape of the sequence."""
    return [body.add("Identity", call.inputs)]


def _reverse(body: Body, call: Call) -> list[str]:
    bounds = [body.constant([value]) for value in (-1, -_END, 1, -1)]
    return [body.add("Slice", [*call.inputs, *bounds])]


def _window(body: Body, call: Call) -> list[str]:
    """The padded sequence cut ``size`` times, one frame later each, side by side on a new axis."""
    layer = call.layer
    assert isinstance(layer, Window)
    (x,) = call.inputs
    one = body.constant([1])
    if layer.before < 0 or layer.after < 0:
        start = body.constant([max(-layer.before, 0)])
        stop = body.constant([layer.after if layer.after < 0 else _END])
        x = body.add("Slice", [x, start, stop, one])
    if layer.before > 0 or layer.after > 0:
        rank = len(call.values[0].shape)
        places = [0, max(layer.before, 0), *[0] * rank, 0, max(layer.after, 0), *[0] * rank]
        x = body.add("Pad", [x, body.constant(places), body.constant(float(layer.fill))])
    # The last window begins ``reach - 1`` frames before the end.
    reach = (layer.size - 1) * layer.dilation
    cuts = []
    for offset in range(0, reach + 1, layer.dilation):
        stop = body.constant([offset - reach if offset < reach else _END])
        cut = body.add(
            "Slice", [x, body.constant([offset]), stop, one, body.constant([layer.stride])]
        )
        cuts.append(body.add("Unsqueeze", [cut, body.constant([2])]))
    return [body.add("Concat", cuts, axis=2)]


def _repeat(body: Body, call: Call) -> list[str]:
    """Copies, or zeros, on a new axis behind time, which then joins it."""
    layer = call.layer
    assert isinstance(layer, Repeat)
    (x,) = call.inputs
    rank = len(call.values[0].shape)
    opened = body.add("Unsqueeze", [x, body.constant([2])])
    if layer.zeros:
        places = [*[0] * (rank + 3), 0, 0, layer.times - 1, *[0] * rank]
        wide = body.add("Pad", [opened, body.constant(places), body.constant(0.0)])
    else:
        counts = [1, 1, layer.times, *[1] * rank]
        wide = body.add("Tile", [opened, body.constant(counts)])
    samples = body.add("Shape", [x], start=0, end=1)
    frame = body.constant([-1, *call.values[0].shape])
    return [body.add("Reshape", [wide, body.add("Concat", [samples, frame], axis=0)])]


def _reduce_time(body: Body, call: Call) -> list[str]:
    layer = call.layer
    assert isinstance(layer, ReduceTime)
    operator = {"mean": "ReduceMean", "max": "ReduceMax"}[layer.function]
    return [body.add(operator, call.inputs, axes=[1], keepdims=0)]


BODIES: Table = {
    Collect: _same,
    Emit: _same,
    ReduceTime: _reduce_time,
    Repeat: _repeat,
    Reverse: _reverse,
    Window: _window,
}
