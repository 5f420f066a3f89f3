"""Layers that scale a frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from convlstm_native.spec.base import Array, Layer, Value, expect


@dataclass(frozen=True, eq=False)
class BatchNormalization(Layer):
    """``y = x * scale + shift`` along ``axis`` of the frame: the inference form of batch normalization.

    scale = gamma / sqrt(moving_variance + epsilon), shift = beta - moving_mean * scale, computed by the
    reader in float64. ``axis`` counts in ``Value.shape`` (batch and time left out).
    """

    axis: int
    scale: Array
    shift: Array

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        expect(0 <= self.axis < len(x.shape), "axis", f"0 to {len(x.shape) - 1}", self.axis)
        length = (x.shape[self.axis],)
        expect(self.scale.shape == length, "scale shape", length, self.scale.shape)
        expect(self.shift.shape == length, "shift shape", length, self.shift.shape)
        return (x,)


# What is taken off each number, and what it is divided by: see LayerNormalization.
NORMS = ("layer", "variance", "rms", "unit")


@dataclass(frozen=True, eq=False)
class LayerNormalization(Layer):
    """Every frame scaled by its own numbers over ``axes``, then by weights: ``z * scale + shift``.

    With m the mean and v the variance of x over the axes, and e for ``epsilon``, ``kind`` says what z is:

        layer     (x - m) / sqrt(v + e)           variance  x / sqrt(v + e)
        rms       x / sqrt(mean(x^2) + e)         unit      x / sqrt(max(sum(x^2), e))

    ``scale`` and ``shift`` have the shape of the axes, which are in ascending order.
    """

    axes: tuple[int, ...]
    kind: str
    epsilon: float
    scale: Array | None = None
    shift: Array | None = None

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        rank = len(x.shape)
        ascending = tuple(sorted({axis for axis in self.axes if 0 <= axis < rank}))
        fits = self.axes == ascending and len(self.axes) >= 1
        expect(fits, "axes", f"some of 0 to {rank - 1}, ascending", self.axes)
        expect(self.kind in NORMS, "kind", f"one of {', '.join(NORMS)}", self.kind)
        expect(0 <= self.epsilon < math.inf, "epsilon", "a number of at least 0", self.epsilon)
        shape = tuple(x.shape[axis] for axis in self.axes)
        for what, array in (("scale", self.scale), ("shift", self.shift)):
            if array is not None:
                expect(array.shape == shape, f"{what} shape", shape, array.shape)
        return (x,)
