"""Layers that look at windows of a frame without weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convlstm_native.spec.base import Layer, Value, expect, expect_lengths, window_output


@dataclass(frozen=True)
class MaxPooling(Layer):
    """Maximum over a window of the frame; ``pool_size`` and ``strides`` have one entry a frame axis.

    ``padding`` is 'same' or 'valid' as Keras defines them; padded places never win.
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
