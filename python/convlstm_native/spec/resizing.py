"""Layers that make a frame larger or smaller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convlstm_native.spec.base import Array, Layer, Value, expect, expect_lengths


@dataclass(frozen=True)
class Pad(Layer):
    """``before`` and ``after`` hold one number a frame axis: places of ``value`` put around the frame.

    Negative numbers cut places off.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: float = 0.0

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        rank = len(x.shape)
        expect(len(self.before) == rank, "before length", rank, self.before)
        expect(len(self.after) == rank, "after length", rank, self.after)
        kept = [
            n + min(b, 0) + min(a, 0)
            for n, b, a in zip(x.shape, self.before, self.after, strict=True)
        ]
        found = (self.before, self.after)
        expect(min(kept) >= 1, "before, after", f"at least one place of {x.shape} kept", found)
        shape = tuple(n + b + a for n, b, a in zip(x.shape, self.before, self.after, strict=True))
        expect_lengths("shape", shape)
        return (x.with_shape(shape),)


@dataclass(frozen=True)
class Resize(Layer):
    """``axes`` of the frame get the lengths ``size``, each by :func:`interpolation_weights`.

    ``interpolation`` is one of :data:`INTERPOLATIONS`; ``antialias`` widens its kernel to the places
    that fall together where an axis gets shorter.
    """

    axes: tuple[int, ...]
    size: tuple[int, ...]
    interpolation: str
    antialias: bool = False

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        rank = len(x.shape)
        known = self.axes == tuple(sorted(set(self.axes) & set(range(rank))))
        expect(known and bool(self.axes), "axes", f"ascending, within 0 to {rank - 1}", self.axes)
        expect(len(self.size) == len(self.axes), "size length", len(self.axes), self.size)
        expect_lengths("size", self.size)
        names = " or ".join(map(repr, INTERPOLATIONS))
        expect(self.interpolation in INTERPOLATIONS, "interpolation", names, self.interpolation)
        shape = list(x.shape)
        for axis, length in zip(self.axes, self.size, strict=True):
            shape[axis] = length
        return (x.with_shape(tuple(shape)),)


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1 - x, 0)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic convolution of Keys, with a = -0.5."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(radius: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)


# Kernels of the distance between two places, and how far they reach. 'nearest' has none.
_KERNELS = {
    "bilinear": (_triangle, 1),
    "bicubic": (_cubic, 2),
    "lanczos3": (lambda x: _lanczos(3, x), 3),
    "lanczos5": (lambda x: _lanczos(5, x), 5),
}
INTERPOLATIONS = ("nearest", *_KERNELS)


def interpolation_weights(
    length: int, size: int, interpolation: str, antialias: bool = False
) -> tuple[NDArray[np.int64], Array]:
    """Which places of an axis of ``length`` make up each of ``size`` places, and with what weight.

    Both results have a row a place. Place ``j`` lies at ``p = (j + 0.5) * length / size - 0.5`` of the
    old axis: pixels are squares and their centres count. The nearest place is the square that ``p``
    falls in. Other weights are the kernel of the distance to ``p``, over the places that exist, divided
    by their sum.
    """
    places = np.arange(size, dtype=np.int64)
    if interpolation == "nearest":
        # In whole numbers: the exact floor.
        nearest = (2 * places + 1) * length // (2 * size)
        return nearest[:, None], np.ones((size, 1), np.float32)
    kernel, radius = _KERNELS[interpolation]
    stretch = max(length / size, 1.0) if antialias else 1.0
    at = (places + 0.5) * length / size - 0.5
    width = min(int(np.floor(2 * radius * stretch)) + 1, length)
    first = np.clip(np.ceil(at - radius * stretch), 0, length - width).astype(np.int64)
    indices = first[:, None] + np.arange(width)
    weights = kernel(np.abs(indices - at[:, None]) / stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    used = np.flatnonzero(weights.any(axis=0))
    columns = slice(used[0], used[-1] + 1)
    return indices[:, columns], weights[:, columns].astype(np.float32)
