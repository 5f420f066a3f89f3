"""Layers that look along time. All others work frame by frame, or remember."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from convlstm_native.spec.base import Layer, Value, expect, expect_lengths


def _sequence(inputs: Sequence[Value]) -> Value:
    (x,) = inputs
    expect(x.sequence, "input", "a sequence", x)
    return x


@dataclass(frozen=True)
class Collect(Layer):
    """A sequence of ``length`` frames as one single ``(length, *shape)``: holds the whole sequence."""

    length: int

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        x = _sequence(inputs)
        expect_lengths("length", (self.length,))
        expect(x.length in (None, self.length), "frames", self.length, x.length)
        return (Value((self.length, *x.shape), sequence=False),)


@dataclass(frozen=True)
class Emit(Layer):
    """A single ``(length, *shape)`` as a sequence, its first axis being time."""

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        expect(not x.sequence and len(x.shape) >= 1, "input", "a single with an axis", x)
        return (Value(x.shape[1:], sequence=True, length=x.shape[0]),)


@dataclass(frozen=True)
class Reverse(Layer):
    """The frames of a sequence from last to first: holds the whole sequence."""

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        return (_sequence(inputs),)


@dataclass(frozen=True)
class Window(Layer):
    """Frames that lie near in time, side by side: a sequence of frames ``(size, *shape)``.

    Frame ``t`` of the result holds the frames ``t * stride + i * dilation - before``, ``i < size``; places
    before the first and ``after`` places behind the last frame hold ``fill``. A negative ``before`` or
    ``after`` leaves frames out. Streams, ``size - 1`` steps of ``dilation`` less ``before`` frames behind.
    """

    size: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    fill: float = 0.0

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        x = _sequence(inputs)
        expect_lengths("size, stride, dilation", (self.size, self.stride, self.dilation))
        length = None if x.length is None else self.frames(x.length)
        expect(length is None or length >= 1, "frames", f"enough for {self}", x.length)
        return (replace(x, shape=(self.size, *x.shape), length=length),)

    def frames(self, length: int) -> int:
        """Windows that fit a sequence of ``length`` frames."""
        reach = (self.size - 1) * self.dilation + 1
        return max((length + self.before + self.after - reach) // self.stride + 1, 0)


@dataclass(frozen=True)
class Repeat(Layer):
    """Every frame ``times`` times in a row; with ``zeros`` once, then ``times - 1`` frames of zeros."""

    times: int
    zeros: bool = False

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        x = _sequence(inputs)
        expect_lengths("times", (self.times,))
        return (replace(x, length=None if x.length is None else x.length * self.times),)


@dataclass(frozen=True)
class ReduceTime(Layer):
    """The 'mean' or 'max' of all frames, element by element: a single."""

    function: str

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        x = _sequence(inputs)
        expect(self.function in ("mean", "max"), "function", "'mean' or 'max'", self.function)
        return (Value(x.shape, sequence=False),)
