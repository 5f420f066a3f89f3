"""What the layers that make a frame larger or smaller compute, in float64 NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from convlstm_native import spec
from reference_activations import Array64


def pad(layer: spec.Pad, x: Array64) -> Array64:
    """Places of one value around the frame; negative numbers cut places off."""
    ends = list(zip(layer.before, layer.after, strict=True))
    kept = [slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape[1:], ends, strict=True)]
    widths = [(0, 0), *((max(b, 0), max(a, 0)) for b, a in ends)]
    return np.pad(x[(slice(None), *kept)], widths, constant_values=layer.value)


def resize(layer: spec.Resize, x: Array64) -> Array64:
    """A product with one matrix an axis."""
    for axis, size in zip(layer.axes, layer.size, strict=True):
        matrix = resize_matrix(x.shape[axis + 1], size, layer.interpolation, layer.antialias)
        x = np.moveaxis(np.moveaxis(x, axis + 1, -1) @ matrix.T, -1, axis + 1)
    return x


def resize_matrix(length: int, size: int, interpolation: str, antialias: bool) -> Array64:
    """``y = matrix @ x`` takes ``length`` places to ``size``, element by element of the matrix.

    Place j of y has its centre at (j + 1/2) * length / size where those of x lie at i + 1/2.
    """
    matrix = np.zeros((size, length))
    stretch = max(length / size, 1.0) if antialias else 1.0
    for j in range(size):
        centre = (j + 0.5) * length / size
        if interpolation == "nearest":
            matrix[j, math.floor(centre)] = 1.0
            continue
        for i in range(length):
            matrix[j, i] = KERNELS[interpolation](abs(i + 0.5 - centre) / stretch)
        matrix[j] /= matrix[j].sum()
    return matrix


def triangle(x: float) -> float:
    """Straight from 1 at 0 to 0 at 1."""
    return max(1.0 - x, 0.0)


def cubic(x: float) -> float:
    """Piecewise cubic with value and slope joined at 1 and at 2, where it ends; slope -1/2 at 1."""
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def lanczos(radius: int, x: float) -> float:
    """sin(pi x) / (pi x) under the same function, ``radius`` times as wide."""
    if x == 0 or x >= radius:
        return float(x == 0)
    angle = math.pi * x
    return radius * math.sin(angle) * math.sin(angle / radius) / angle**2


KERNELS: dict[str, Callable[[float], float]] = {
    "bilinear": triangle,
    "bicubic": cubic,
    "lanczos3": lambda x: lanczos(3, x),
    "lanczos5": lambda x: lanczos(5, x),
}

FRAME_WISE: dict[type[spec.Layer], Callable[[Any, Array64], Array64]] = {
    spec.Pad: pad,
    spec.Resize: resize,
}
