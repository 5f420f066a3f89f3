"""Dense and activation layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from convlstm_native.activations import LINEAR, Function
from convlstm_native.spec.base import Array, Layer, Value, expect


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """``activation(x @ kernel + bias)`` over the last axis of the frame; ``kernel`` is ``(in, units)``."""

    kernel: Array
    bias: Array
    activation: Function = LINEAR

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        expect(len(x.shape) >= 1, "input", "at least one axis", x.shape)
        expect(self.kernel.ndim == 2, "kernel rank", 2, self.kernel.ndim)
        expect(x.shape[-1] == self.kernel.shape[0], "last axis", self.kernel.shape[0], x.shape)
        units = self.kernel.shape[1:]
        expect(self.bias.shape == units, "bias shape", units, self.bias.shape)
        return (x.with_shape((*x.shape[:-1], *units)),)

    def flops(self, inputs: Sequence[Value]) -> int:
        return 2 * self.kernel.size * math.prod(inputs[0].shape[:-1])


@dataclass(frozen=True)
class Activation(Layer):
    """An activation function on its own."""

    function: Function

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        return (x,)


@dataclass(frozen=True, eq=False)
class PReLU(Layer):
    """``x`` where it is not negative, ``x * slope`` elsewhere; ``slope`` is broadcast to the frame."""

    slope: Array

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        found = self.slope.shape
        fits = len(found) == len(x.shape) and all(
            length in (1, n) for length, n in zip(found, x.shape, strict=True)
        )
        expect(fits, "slope shape", f"{x.shape}, or 1 for some", found)
        return (x,)
