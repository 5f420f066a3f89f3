"""Layers that move the numbers of a frame and leave them as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from convlstm_native.spec.base import Layer, Value, expect, expect_lengths


@dataclass(frozen=True)
class Flatten(Layer):
    """The frame as one axis, in row-major order of the Keras axes."""

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        return (x.with_shape((math.prod(x.shape),)),)


@dataclass(frozen=True)
class Reshape(Layer):
    """The frame with other axes, its numbers in row-major order of the Keras axes before and after."""

    shape: tuple[int, ...]

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        expect_lengths("shape", self.shape)
        count = math.prod(x.shape)
        expect(math.prod(self.shape) == count, "shape", f"{count} numbers", self.shape)
        return (x.with_shape(self.shape),)


@dataclass(frozen=True)
class Permute(Layer):
    """The frame with its axes in another order: axis ``i`` of the result is axis ``axes[i]``."""

    axes: tuple[int, ...]

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        expect(
            sorted(self.axes) == list(range(len(x.shape))), "axes", f"all of {x.shape}", self.axes
        )
        return (x.with_shape(tuple(x.shape[axis] for axis in self.axes)),)


@dataclass(frozen=True)
class Slice(Layer):
    """``start <= index < stop`` along ``axis`` of the frame. Rewrites cut merged siblings apart with it."""

    axis: int
    start: int
    stop: int

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        expect(0 <= self.axis < len(x.shape), "axis", f"0 to {len(x.shape) - 1}", self.axis)
        length = x.shape[self.axis]
        expect(0 <= self.start < self.stop <= length, "start, stop", f"within 0 to {length}", self)
        shape = (*x.shape[: self.axis], self.stop - self.start, *x.shape[self.axis + 1 :])
        return (x.with_shape(shape),)
