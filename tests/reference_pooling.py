"""What the layers that make one number of many places compute, in float64 NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from convlstm_native import spec
from convlstm_native.spec import same_padding, window_output
from reference_activations import Array64


def taps(layer: spec.Pooling, x: Array64, beyond: float) -> Iterator[Array64]:
    """One element of every window after another; places beyond the frame hold ``beyond``."""
    axes = list(zip(x.shape[1:], layer.pool_size, layer.strides, strict=True))
    if layer.padding == "same":
        pads = [same_padding(size, pool, stride) for size, pool, stride in axes]
        x = np.pad(x, [(0, 0), *pads], constant_values=beyond)
    sizes = [window_output(size, pool, stride, layer.padding) for size, pool, stride in axes]
    for offsets in itertools.product(*map(range, layer.pool_size)):
        yield x[(slice(None), *map(every, offsets, layer.strides, sizes))]


def every(start: int, stride: int, count: int) -> slice:
    """The indices ``start + stride * n`` for ``0 <= n < count``."""
    return slice(start, start + stride * (count - 1) + 1, stride)


def max_pooling(layer: spec.MaxPooling, x: Array64) -> Array64:
    """The largest element of each window; -inf never wins."""
    return np.max(list(taps(layer, x, -np.inf)), axis=0)


def average_pooling(layer: spec.AveragePooling, x: Array64) -> Array64:
    """The sum of each window over the number of places in it that the frame has."""
    return sum(taps(layer, x, 0.0)) / sum(taps(layer, np.ones_like(x), 0.0))


def reduce(layer: spec.Reduce, x: Array64) -> Array64:
    """The mean or maximum over axes of the frame."""
    function = {"mean": np.mean, "max": np.max}[layer.function]
    return function(x, axis=tuple(a + 1 for a in layer.axes), keepdims=layer.keepdims)


FRAME_WISE: dict[type[spec.Layer], Callable[[Any, Array64], Array64]] = {
    spec.MaxPooling: max_pooling,
    spec.AveragePooling: average_pooling,
    spec.Reduce: reduce,
}
