"""Layers that make one number of many places, without weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convlstm_native.spec.base import Layer, Value, expect, expect_lengths, window_output


@dataclass(frozen=True)
class Pooling(Layer):
    """A window over the frame; ``pool_size`` and ``strides`` have one entry a frame axis.

    ``padding`` is 'same' or 'valid' as Keras defines them.
    """

    pool_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        rank = len(x.shape)
        expect(len(self.pool_size) == rank, "pool_size length", rank, self.pool_size)
        expect(len(self.strides) == rank, "strides length", rank, self.strides)
        expect_lengths("pool_size", self.pool_size)
        expect_lengths("strides", self.strides)
        expect(self.padding in ("same", "valid"), "padding", "'same' or 'valid'", self.padding)
        shape = tuple(
            window_output(n, k, s, self.padding)
            for n, k, s in zip(x.shape, self.pool_size, self.strides, strict=True)
        )
        expect(
            min(shape, default=1) >= 1,
            "input of the pooling",
            f"at least {self.pool_size}",
            x.shape,
        )
        return (x.with_shape(shape),)


class MaxPooling(Pooling):
    """The maximum of each window; padded places never win."""


class AveragePooling(Pooling):
    """The mean of each window; padded places do not count."""


@dataclass(frozen=True)
class Reduce(Layer):
    """The 'mean' or 'max' over ``axes`` of the frame, which go or with ``keepdims`` have length 1."""

    axes: tuple[int, ...]
    function: str
    keepdims: bool = False

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        rank = len(x.shape)
        known = self.axes == tuple(sorted(set(self.axes) & set(range(rank))))
        expect(known and bool(self.axes), "axes", f"ascending, within 0 to {rank - 1}", self.axes)
        expect(self.function in ("mean", "max"), "function", "'mean' or 'max'", self.function)
        if self.keepdims:
            shape = tuple(1 if axis in self.axes else n for axis, n in enumerate(x.shape))
        else:
            shape = tuple(n for axis, n in enumerate(x.shape) if axis not in self.axes)
        expect(len(shape) >= 1, "axes", "one of the frame to be left", self.axes)
        return (x.with_shape(shape),)
