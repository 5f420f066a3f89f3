"""Layers that remember.

All share how a sequence comes in and how frames and states go out (:class:`Recurrent`); they differ in
what they do with one frame. :class:`ConvLSTM1D`, :class:`ConvLSTM2D` and :class:`ConvLSTM3D` convolve maps,
:class:`LSTM`, :class:`GRU` and :class:`SimpleRNN` multiply vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from convlstm_native.activations import OVER_LAST_AXIS, SIGMOID, TANH, Function
from convlstm_native.spec.base import Array, Layer, Value, expect, expect_lengths, window_output
from convlstm_native.spec.normalization import BatchNormalization
from convlstm_native.spec.pooling import MaxPooling


class Recurrent(Layer):
    """What recurrent layers have in common.

    Inputs: x, a sequence; then, when it is ``masked``, the mask of a :class:`Masking`; then, when
    ``initial_state`` is set, a single for each of ``STATES``. Outputs: y, a sequence of every h in the
    order in which they were computed, or without ``return_sequences`` the single of the last step; then,
    with ``return_state``, the singles of the last states.

    Where the mask is 0 the states stay as they are, and y is that of the step before (zeros in the first
    step), or zeros with ``zero_output_for_mask``.
    """

    # The states by name, the output h first.
    STATES: ClassVar[tuple[str, ...]] = ("h",)
    NOT_IN_FILES = frozenset({"initial_state"})
    ADDED_LATER = frozenset({"masked", "zero_output_for_mask"})

    activation: Function
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    initial_state: bool
    masked: bool
    zero_output_for_mask: bool

    def state_shape(self, x: Value) -> tuple[int, ...]:
        """Shape of each state, and of the output as the cell makes it."""
        raise TypeError(f"{type(self).__name__} states no shape of its state")

    def _functions(self) -> tuple[Function, ...]:
        return (self.activation,)

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        names = self.STATES if self.initial_state else ()
        before = ("x", "mask") if self.masked else ("x",)
        expected = ", ".join((*before, *names))
        expect(len(inputs) == len(before) + len(names), "inputs", expected, len(inputs))
        x = inputs[0]
        if self.masked:
            mask = inputs[1]
            expect(not self.stateful, "stateful", "false where there is a mask", True)
            expect(mask.sequence and mask.shape == (1,), "mask", "a sequence of one number", mask)
        for function in self._functions():
            elementwise = function.name not in OVER_LAST_AXIS
            expect(elementwise, "activation", "an elementwise one", function.name)
        state = Value(self.state_shape(x), sequence=False)
        for name, given in zip(names, inputs[len(before) :], strict=True):
            expect(given == state, f"initial {name}", state, given)
        y = x.with_shape(state.shape) if self.return_sequences else state
        return (y, *[state] * (len(self.STATES) if self.return_state else 0))


@dataclass(frozen=True, eq=False)
class ConvLSTM(Recurrent):
    """Convolutional LSTM (Shi et al. 2015, without peepholes) with the arguments of Keras' layers.

    Frames are maps of ``RANK`` axes and channels, ordered by ``data_format``; the states are h and c.
    ``strides`` and ``dilation_rate`` left out are ones.

    ``kernel`` is ``(4 * filters, C, *kernel_size)``, ``recurrent_kernel``
    ``(4 * filters, filters, *kernel_size)``, ``bias`` ``(4 * filters,)`` (zeros where Keras has none),
    gates i, f, c, o.
    """

    STATES = ("h", "c")
    RANK: ClassVar[int]

    filters: int
    kernel_size: tuple[int, ...]
    kernel: Array
    recurrent_kernel: Array
    bias: Array
    strides: tuple[int, ...] = ()
    padding: str = "valid"
    data_format: str = "channels_last"
    dilation_rate: tuple[int, ...] = ()
    activation: Function = TANH
    recurrent_activation: Function = SIGMOID
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    initial_state: bool = False
    masked: bool = False
    zero_output_for_mask: bool = False

    def __post_init__(self) -> None:
        for name in ("strides", "dilation_rate"):
            object.__setattr__(self, name, getattr(self, name) or (1,) * self.RANK)

    @property
    def channel_axis(self) -> int:
        """The axis of a frame, and of a state, that counts channels."""
        return 0 if self.data_format == "channels_first" else self.RANK

    def flops(self, inputs: Sequence[Value]) -> int:
        taps = math.prod(self.kernel.shape[1:]) + math.prod(self.recurrent_kernel.shape[1:])
        return 2 * 4 * taps * math.prod(self.state_shape(inputs[0]))

    def state_shape(self, x: Value) -> tuple[int, ...]:
        """Shape of h and c, and of the output before norm and pool, in the order of ``data_format``."""
        self._expect_arguments()
        rank = self.RANK + 1
        expect(x.sequence and len(x.shape) == rank, "input", f"a sequence of rank-{rank} frames", x)
        sizes = list(x.shape)
        channels = sizes.pop(self.channel_axis)
        expect_weights(
            kernel=(self.kernel, (4 * self.filters, channels, *self.kernel_size)),
            recurrent_kernel=(
                self.recurrent_kernel,
                (4 * self.filters, self._recurrent_channels(), *self.kernel_size),
            ),
            bias=(self.bias, (4 * self.filters,)),
        )
        axes = zip(sizes, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        shape = [window_output(n, k, s, self.padding, d) for n, k, s, d in axes]
        expect(min(shape) >= 1, "map", f"at least the kernel {self.kernel_size}", tuple(sizes))
        shape.insert(self.channel_axis, self.filters)
        return tuple(shape)

    def _recurrent_channels(self) -> int:
        return self.filters

    def _functions(self) -> tuple[Function, ...]:
        return (self.activation, self.recurrent_activation)

    def _expect_arguments(self) -> None:
        """Check what does not depend on the input."""
        expect(self.padding in ("same", "valid"), "padding", "'same' or 'valid'", self.padding)
        expect(
            self.data_format in ("channels_first", "channels_last"),
            "data_format",
            "'channels_first' or 'channels_last'",
            self.data_format,
        )
        expect_lengths("filters", (self.filters,))
        for name in ("kernel_size", "strides", "dilation_rate"):
            lengths = getattr(self, name)
            expect(len(lengths) == self.RANK, name, f"{self.RANK} integer(s)", lengths)
            expect_lengths(name, lengths)


class ConvLSTM1D(ConvLSTM):
    """:class:`ConvLSTM` on frames of one spatial axis."""

    RANK = 1


@dataclass(frozen=True, eq=False)
class ConvLSTM2D(ConvLSTM):
    """:class:`ConvLSTM` on frames of two spatial axes.

    ``groups``, ``norm`` and ``pool`` are set by the rewrites alone, never by a reader: ``groups`` sibling
    layers in one whose states do not mix (output = their filters one after another; the recurrent kernel
    has ``filters / groups`` channels), and the normalization and pooling that run in the pass that writes
    the frame (first norm, then pool).
    """

    RANK = 2
    NOT_IN_FILES = Recurrent.NOT_IN_FILES | {"groups", "norm", "pool"}

    groups: int = 1
    norm: BatchNormalization | None = None
    pool: MaxPooling | None = None

    def _recurrent_channels(self) -> int:
        expect_lengths("groups", (self.groups,))
        return self.filters // self.groups

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        y, *states = super().infer(inputs)
        for fused in (self.norm, self.pool):
            if fused is not None:
                (y,) = fused.infer((y,))
        return (y, *states)


class ConvLSTM3D(ConvLSTM):
    """:class:`ConvLSTM` on frames of three spatial axes."""

    RANK = 3


class VectorRecurrent(Recurrent):
    """What LSTM, GRU and SimpleRNN share: frames ``(features,)``, states ``(units,)``.

    ``kernel`` is ``(features, GATES * units)``, ``recurrent_kernel`` ``(units, GATES * units)``, biases
    ``(GATES * units,)`` (zeros where Keras has none): the gates of a layer one after another, in the order
    that its formula names them.
    """

    GATES: ClassVar[int]

    units: int
    kernel: Array
    recurrent_kernel: Array
    bias: Array

    def flops(self, inputs: Sequence[Value]) -> int:
        del inputs
        return 2 * (self.kernel.size + self.recurrent_kernel.size)

    def state_shape(self, x: Value) -> tuple[int, ...]:
        """``(units,)``"""
        expect(x.sequence and len(x.shape) == 1, "input", "a sequence of vectors", x)
        expect_lengths("units", (self.units,))
        columns = self.GATES * self.units
        expect_weights(
            kernel=(self.kernel, (x.shape[0], columns)),
            recurrent_kernel=(self.recurrent_kernel, (self.units, columns)),
            bias=(self.bias, (columns,)),
        )
        return (self.units,)


@dataclass(frozen=True, eq=False)
class LSTM(VectorRecurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), gates i, f, c, o.

    With g the activation, s the recurrent one and ``z = x @ kernel + h @ recurrent_kernel + bias``:
    ``c = s(z_f) c + s(z_i) g(z_c)``, ``h = s(z_o) g(c)``.
    """

    STATES = ("h", "c")
    GATES = 4

    units: int
    kernel: Array
    recurrent_kernel: Array
    bias: Array
    activation: Function = TANH
    recurrent_activation: Function = SIGMOID
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    initial_state: bool = False
    masked: bool = False
    zero_output_for_mask: bool = False

    def _functions(self) -> tuple[Function, ...]:
        return (self.activation, self.recurrent_activation)


@dataclass(frozen=True, eq=False)
class GRU(VectorRecurrent):
    """Gated recurrent unit (Cho et al. 2014), gates z (update), r (reset), h (candidate).

    With g the activation, s the recurrent one, W, U the kernels and b, d the biases:
    ``z = s(x W_z + h U_z + b_z + d_z)``, ``r = s(x W_r + h U_r + b_r + d_r)``; the candidate is
    ``g(x W_h + b_h + r (h U_h + d_h))`` with ``reset_after``, where ``recurrent_bias`` d may be, and
    ``g(x W_h + b_h + (r h) U_h)`` without; ``h' = z h + (1 - z) candidate``.
    """

    GATES = 3

    units: int
    kernel: Array
    recurrent_kernel: Array
    bias: Array
    recurrent_bias: Array | None = None
    reset_after: bool = True
    activation: Function = TANH
    recurrent_activation: Function = SIGMOID
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    initial_state: bool = False
    masked: bool = False
    zero_output_for_mask: bool = False

    def state_shape(self, x: Value) -> tuple[int, ...]:
        """``(units,)``"""
        if self.recurrent_bias is not None:
            expect(self.reset_after, "recurrent_bias", "none without reset_after", "one")
            expect_weights(recurrent_bias=(self.recurrent_bias, (3 * self.units,)))
        return super().state_shape(x)

    def _functions(self) -> tuple[Function, ...]:
        return (self.activation, self.recurrent_activation)


@dataclass(frozen=True, eq=False)
class SimpleRNN(VectorRecurrent):
    """Fully connected recurrent layer: ``h = activation(x @ kernel + h @ recurrent_kernel + bias)``."""

    GATES = 1

    units: int
    kernel: Array
    recurrent_kernel: Array
    bias: Array
    activation: Function = TANH
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    initial_state: bool = False
    masked: bool = False
    zero_output_for_mask: bool = False


@dataclass(frozen=True)
class Masking(Layer):
    """Which frames count: two sequences, the frames with zeros where they do not, and the mask ``(1,)``.

    The mask is 1 where any number of a frame differs from ``value``, else 0.
    """

    value: float

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        expect(x.sequence and len(x.shape) > 0, "input", "a sequence of arrays", x)
        return x, x.with_shape((1,))


def expect_weights(**weights: tuple[Array, tuple[int, ...]]) -> None:
    """Raise :class:`UnsupportedModelError` unless each array has the shape beside it."""
    for name, (array, shape) in weights.items():
        expect(array.shape == shape, f"{name} shape", shape, array.shape)
