"""Layers that make one value of several, in float64 NumPy."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from convlstm_native import spec
from reference_activations import Array64

FUNCTIONS: dict[str, Callable[[list[Array64]], Array64]] = {
    "add": lambda xs: functools.reduce(np.add, xs),
    "subtract": lambda xs: xs[0] - xs[1],
    "multiply": lambda xs: functools.reduce(np.multiply, xs),
    "average": lambda xs: functools.reduce(np.add, xs) / len(xs),
    "maximum": lambda xs: functools.reduce(np.maximum, xs),
    "minimum": lambda xs: functools.reduce(np.minimum, xs),
}


def merge(layer: spec.Merge, xs: list[Array64], values: list[spec.Value]) -> tuple[Array64]:
    """``function`` of the elements that meet."""
    rank = max(len(value.shape) for value in values)
    aligned = [_with_axes(x, v, values, rank) for x, v in zip(xs, values, strict=True)]
    return (FUNCTIONS[layer.function](aligned),)


def _with_axes(x: Array64, value: spec.Value, beside: list[spec.Value], rank: int) -> Array64:
    """``x`` with leading axes of length 1 in its frame, and one for time beside a sequence."""
    x = np.expand_dims(x, tuple(lead(value) + i for i in range(rank - len(value.shape))))
    in_time = any(other.sequence for other in beside)
    return x[:, None] if in_time and not value.sequence else x


def lead(value: spec.Value) -> int:
    return 2 if value.sequence else 1


def concatenate(
    layer: spec.Concatenate, xs: list[Array64], values: list[spec.Value]
) -> tuple[Array64]:
    """The frames one behind another along an axis."""
    return (np.concatenate(xs, axis=lead(values[0]) + layer.axis),)


def dot(layer: spec.Dot, xs: list[Array64], values: list[spec.Value]) -> tuple[Array64]:
    """y[..., i..., j...] = sum over k of a[..., i..., k] b[..., j..., k]"""
    a, b = (
        np.moveaxis(x, lead(value) + axis, -1)
        for x, value, axis in zip(xs, values, layer.axes, strict=True)
    )
    in_time = any(value.sequence for value in values)
    rest: list[int] = []
    matrices = []
    for x, value in zip((a, b), values, strict=True):
        frames = x.shape[1:2] if value.sequence else (1,) * in_time
        matrices.append(x.reshape(len(x), *frames, -1, x.shape[-1]))
        rest += x.shape[lead(value) : -1]
    y = matrices[0] @ np.swapaxes(matrices[1], -1, -2)
    return (y.reshape(*y.shape[:-2], *(rest or [1])),)
