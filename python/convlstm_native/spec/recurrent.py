"""Layers that remember."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from convlstm_native.activations import OVER_LAST_AXIS, SIGMOID, TANH, Function
from convlstm_native.spec.base import Array, Layer, Value, expect, expect_lengths, window_output
from convlstm_native.spec.normalization import BatchNormalization
from convlstm_native.spec.pooling import MaxPooling


@dataclass(frozen=True, eq=False)
class ConvLSTM2D(Layer):
    """Convolutional LSTM (Shi et al. 2015, without peepholes) with the arguments of Keras' ConvLSTM2D.

    Inputs: x, a sequence ``(C, H, W)`` or ``(H, W, C)`` by ``data_format``; then, when
    ``initial_state`` is set, the singles h and c. Outputs: y, a sequence, or the single of the last
    step without ``return_sequences``; then the singles h and c with ``return_state``.

    ``kernel`` is ``(4 * filters, C, kh, kw)``, ``recurrent_kernel``
    ``(4 * filters, filters / groups, kh, kw)``, ``bias`` ``(4 * filters,)`` (zeros where Keras has none),
    gates i, f, c, o.

    ``groups``, ``norm`` and ``pool`` are set by the rewrites alone, never by a reader: ``groups`` sibling
    layers in one whose states do not mix (output = their filters one after another), and the normalization
    and pooling that run in the pass that writes the frame (first norm, then pool).
    """

    NOT_IN_FILES = frozenset({"initial_state", "groups", "norm", "pool"})

    filters: int
    kernel_size: tuple[int, int]
    kernel: Array
    recurrent_kernel: Array
    bias: Array
    strides: tuple[int, int] = (1, 1)
    padding: str = "valid"
    data_format: str = "channels_last"
    dilation_rate: tuple[int, int] = (1, 1)
    activation: Function = TANH
    recurrent_activation: Function = SIGMOID
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    initial_state: bool = False
    groups: int = 1
    norm: BatchNormalization | None = None
    pool: MaxPooling | None = None

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        expect(
            len(inputs) == (3 if self.initial_state else 1), "inputs", "x or x, h, c", len(inputs)
        )
        x = inputs[0]
        expect(x.sequence and len(x.shape) == 3, "input", "a sequence of rank-3 frames", x)
        expect(self.padding in ("same", "valid"), "padding", "'same' or 'valid'", self.padding)
        expect(
            self.data_format in ("channels_first", "channels_last"),
            "data_format",
            "'channels_first' or 'channels_last'",
            self.data_format,
        )
        for function in (self.activation, self.recurrent_activation):
            expect(
                function.name not in OVER_LAST_AXIS,
                "activation",
                "an elementwise one",
                function.name,
            )
        expect_lengths("filters, groups", (self.filters, self.groups))
        expect_lengths("kernel_size", self.kernel_size)
        expect_lengths("strides", self.strides)
        expect_lengths("dilation_rate", self.dilation_rate)
        channels_first = self.data_format == "channels_first"
        channels = x.shape[0] if channels_first else x.shape[2]
        kernel = (4 * self.filters, channels, *self.kernel_size)
        recurrent = (4 * self.filters, self.filters // self.groups, *self.kernel_size)
        expect(self.kernel.shape == kernel, "kernel shape", kernel, self.kernel.shape)
        expect(
            self.recurrent_kernel.shape == recurrent,
            "recurrent_kernel shape",
            recurrent,
            self.recurrent_kernel.shape,
        )
        expect(self.bias.shape == kernel[:1], "bias shape", kernel[:1], self.bias.shape)
        shape = self.state_shape(x)
        state = Value(shape, sequence=False)
        if self.initial_state:
            for what, given in zip(("initial h", "initial c"), inputs[1:], strict=True):
                expect(given == state, what, state, given)
        y = replace(x, shape=shape) if self.return_sequences else state
        if self.norm is not None:
            (y,) = self.norm.infer((y,))
        if self.pool is not None:
            (y,) = self.pool.infer((y,))
        return (y, state, state) if self.return_state else (y,)

    def flops(self, inputs: Sequence[Value]) -> int:
        taps = math.prod(self.kernel.shape[1:]) + math.prod(self.recurrent_kernel.shape[1:])
        return 2 * 4 * taps * math.prod(self.state_shape(inputs[0]))

    def state_shape(self, x: Value) -> tuple[int, int, int]:
        """Shape of h and c, and of the output before norm and pool, in the order of ``data_format``."""
        channels_first = self.data_format == "channels_first"
        map_size = x.shape[1:] if channels_first else x.shape[:2]
        rows, cols = (
            window_output(n, k, s, self.padding, d)
            for n, k, s, d in zip(
                map_size, self.kernel_size, self.strides, self.dilation_rate, strict=True
            )
        )
        expect(
            min(rows, cols) >= 1, "rows, cols", f"at least the kernel {self.kernel_size}", map_size
        )
        return (self.filters, rows, cols) if channels_first else (rows, cols, self.filters)
