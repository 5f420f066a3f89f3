"""Layers that look along time, in float64 NumPy: (layer, arrays, what the spec knows of each)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from convlstm_native import spec
from numpy.typing import NDArray

Array64 = NDArray[np.float64]
Arrays = tuple[Array64, ...]


def window(layer: spec.Window, x: Array64) -> Array64:
    """y[n, t, i] = x[n, t * stride + i * dilation - before], or ``fill`` beyond the sequence."""
    frames = x.shape[1]
    y = np.full((len(x), layer.frames(frames), layer.size, *x.shape[2:]), layer.fill)
    for t in range(y.shape[1]):
        for i in range(layer.size):
            source = t * layer.stride + i * layer.dilation - layer.before
            if 0 <= source < frames:
                y[:, t, i] = x[:, source]
    return y


def repeat(layer: spec.Repeat, x: Array64) -> Array64:
    """Every frame ``times`` times, or once and then zeros."""
    y = np.repeat(x, layer.times, axis=1)
    if layer.zeros:
        y[:, np.arange(y.shape[1]) % layer.times != 0] = 0
    return y


def reduce_time(layer: spec.ReduceTime, x: Array64) -> Array64:
    """Mean or maximum of the frames."""
    y: Array64 = x.mean(axis=1) if layer.function == "mean" else x.max(axis=1)
    return y


# Sequences are (N, T, *frame) and singles (N, *frame): a single with time in front looks the same.
WHOLE: dict[type[spec.Layer], Callable[[Any, list[Array64], list[spec.Value]], Arrays]] = {
    spec.Collect: lambda _, x, __: (x[0],),
    spec.Emit: lambda _, x, __: (x[0],),
    spec.Reverse: lambda _, x, __: (x[0][:, ::-1],),
    spec.Window: lambda layer, x, __: (window(layer, x[0]),),
    spec.Repeat: lambda layer, x, __: (repeat(layer, x[0]),),
    spec.ReduceTime: lambda layer, x, __: (reduce_time(layer, x[0]),),
}
