"""Layers that scale a frame."""

from __future__ import annotations

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
