"""Layers that make one value of several.

Inputs are frames side by side: sequences that run in step, and singles, which meet every frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convlstm_native.spec.base import Layer, Value, expect

# How elements that meet become one: a function of two, or of any number, in order.
PAIRS = ("subtract",)
MERGES = ("add", "multiply", "average", "maximum", "minimum", *PAIRS)


@dataclass(frozen=True)
class Merge(Layer):
    """``function`` of the elements that meet, the frames broadcast to one shape as NumPy does."""

    function: str

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        expect(self.function in MERGES, "function", f"one of {', '.join(MERGES)}", self.function)
        count = "2" if self.function in PAIRS else "at least 1"
        fits = len(inputs) == 2 if self.function in PAIRS else len(inputs) >= 1
        expect(fits, "inputs", count, len(inputs))
        shapes = [x.shape for x in inputs]
        return (in_step(inputs, broadcast(shapes)),)


@dataclass(frozen=True)
class Concatenate(Layer):
    """The frames one behind another along ``axis``; all alike but for that axis."""

    axis: int

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        expect(len(inputs) >= 1, "inputs", "at least 1", len(inputs))
        x = inputs[0]
        expect(0 <= self.axis < len(x.shape), "axis", f"0 to {len(x.shape) - 1}", self.axis)
        kinds = {(other.sequence, self._others(other)) for other in inputs}
        expect(len(kinds) == 1, "inputs", f"frames alike but for axis {self.axis}", list(inputs))
        length = sum(other.shape[self.axis] for other in inputs)
        return (in_step(inputs, (*x.shape[: self.axis], length, *x.shape[self.axis + 1 :])),)

    def _others(self, x: Value) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return x.shape[: self.axis], x.shape[self.axis + 1 :]


@dataclass(frozen=True)
class Dot(Layer):
    """Sums of products along one axis of each of two frames.

    The result has the other axes of the first frame, then those of the second; one of length 1 where
    there are none.
    """

    axes: tuple[int, int]

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        expect(len(inputs) == 2, "inputs", 2, len(inputs))
        lengths = []
        rest: list[int] = []
        for axis, x in zip(self.axes, inputs, strict=True):
            expect(0 <= axis < len(x.shape), "axes", f"within {x.shape}", self.axes)
            lengths.append(x.shape[axis])
            rest += [*x.shape[:axis], *x.shape[axis + 1 :]]
        expect(lengths[0] == lengths[1], "axes", "equal lengths", lengths)
        return (in_step(inputs, tuple(rest) or (1,)),)

    def flops(self, inputs: Sequence[Value]) -> int:
        a, b = (math.prod(x.shape) for x in inputs)
        return 2 * a * b // inputs[0].shape[self.axes[0]]


def broadcast(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape to which NumPy broadcasts ``shapes``."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        expect(False, "inputs", "shapes that broadcast to one", list(shapes))
        raise


def in_step(inputs: Sequence[Value], shape: tuple[int, ...]) -> Value:
    """A frame of ``shape`` for each frame of the inputs that are sequences; a single without one."""
    sequences = [x for x in inputs if x.sequence]
    lengths = {x.length for x in sequences} - {None}
    expect(len(lengths) <= 1, "inputs", "sequences of one length", list(inputs))
    return Value(shape, bool(sequences), next(iter(lengths), None))
