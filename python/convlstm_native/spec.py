"""The spec: what a network is, independent of the file it came from and of the engine that runs it.

Readers produce a :class:`NetworkSpec`, rewrites map one to another, the ONNX writer and the lowering
consume it. A value is either a *sequence* (a tensor a frame; Keras shape ``(N, T, *shape)``) or a
*single* (a tensor a sample; Keras shape ``(N, *shape)``). ``shape`` never holds ``N`` or ``T``, keeps the
axis order of the Keras model, and every axis in it is a known, positive integer.

Weights are float32 in one canonical order: convolution kernels are OIHW, the gates of a recurrent layer
are stacked along O as i, f, c, o.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from convlstm_native.activations import (
    ACTIVATIONS,
    LINEAR,
    OVER_LAST_AXIS,
    SIGMOID,
    TANH,
    Function,
)
from convlstm_native.errors import UnsupportedModelError

__all__ = [
    "ACTIVATIONS",
    "LARGEST_LENGTH",
    "OVER_LAST_AXIS",
    "Activation",
    "Array",
    "BatchNormalization",
    "ConvLSTM2D",
    "Dense",
    "Flatten",
    "Function",
    "Input",
    "Layer",
    "MaxPooling",
    "NetworkSpec",
    "Node",
    "Output",
    "Preprocessing",
    "Slice",
    "Value",
    "describe",
    "same_padding",
    "weights",
    "window_output",
]

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Value:
    """Shape of a value without its batch and time axes, and whether it is a sequence."""

    shape: tuple[int, ...]
    sequence: bool


class Layer:
    """Base of the layer dataclasses. A layer is plain data; ``infer`` holds its shape rule."""

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        """Values of the outputs, given those of the inputs.

        Raises :class:`UnsupportedModelError` with what was expected and found.
        """
        raise TypeError(f"{type(self).__name__} states no shape rule")


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Zeros before and after an axis under Keras' padding='same': the odd one goes behind."""
    reach = (kernel - 1) * dilation + 1
    total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def window_output(size: int, kernel: int, stride: int, padding: str, dilation: int = 1) -> int:
    """Output length of a convolution or pooling window along one axis (Keras' 'same' and 'valid')."""
    if padding == "same":
        return math.ceil(size / stride)
    return (size - (kernel - 1) * dilation - 1) // stride + 1


# The largest length of an axis, kernel, stride or dilation: the engine's limit.
LARGEST_LENGTH = 2**31 - 1


def _expect_lengths(what: str, lengths: Sequence[int]) -> None:
    found = tuple(lengths)
    _expect(all(1 <= length <= LARGEST_LENGTH for length in found), what, "at least 1 each", found)


def _expect(condition: bool, what: str, expected: object, found: object) -> None:
    if not condition:
        raise UnsupportedModelError(f"{what}: expected {expected}, found {found}")


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
        _expect(0 <= self.axis < len(x.shape), "axis", f"0 to {len(x.shape) - 1}", self.axis)
        length = (x.shape[self.axis],)
        _expect(self.scale.shape == length, "scale shape", length, self.scale.shape)
        _expect(self.shift.shape == length, "shift shape", length, self.shift.shape)
        return (x,)


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
        _expect(len(self.pool_size) == rank, "pool_size length", rank, self.pool_size)
        _expect(len(self.strides) == rank, "strides length", rank, self.strides)
        _expect_lengths("pool_size", self.pool_size)
        _expect_lengths("strides", self.strides)
        _expect(self.padding in ("same", "valid"), "padding", "'same' or 'valid'", self.padding)
        shape = tuple(
            window_output(n, k, s, self.padding)
            for n, k, s in zip(x.shape, self.pool_size, self.strides, strict=True)
        )
        _expect(
            min(shape, default=1) >= 1,
            "input of the pooling",
            f"at least {self.pool_size}",
            x.shape,
        )
        return (Value(shape, x.sequence),)


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
        _expect(
            len(inputs) == (3 if self.initial_state else 1), "inputs", "x or x, h, c", len(inputs)
        )
        x = inputs[0]
        _expect(x.sequence and len(x.shape) == 3, "input", "a sequence of rank-3 frames", x)
        _expect(self.padding in ("same", "valid"), "padding", "'same' or 'valid'", self.padding)
        _expect(
            self.data_format in ("channels_first", "channels_last"),
            "data_format",
            "'channels_first' or 'channels_last'",
            self.data_format,
        )
        for function in (self.activation, self.recurrent_activation):
            _expect(
                function.name not in OVER_LAST_AXIS,
                "activation",
                "an elementwise one",
                function.name,
            )
        _expect_lengths("filters, groups", (self.filters, self.groups))
        _expect_lengths("kernel_size", self.kernel_size)
        _expect_lengths("strides", self.strides)
        _expect_lengths("dilation_rate", self.dilation_rate)
        channels_first = self.data_format == "channels_first"
        channels = x.shape[0] if channels_first else x.shape[2]
        kernel = (4 * self.filters, channels, *self.kernel_size)
        recurrent = (4 * self.filters, self.filters // self.groups, *self.kernel_size)
        _expect(self.kernel.shape == kernel, "kernel shape", kernel, self.kernel.shape)
        _expect(
            self.recurrent_kernel.shape == recurrent,
            "recurrent_kernel shape",
            recurrent,
            self.recurrent_kernel.shape,
        )
        _expect(self.bias.shape == kernel[:1], "bias shape", kernel[:1], self.bias.shape)
        shape = self.state_shape(x)
        state = Value(shape, sequence=False)
        if self.initial_state:
            for what, given in zip(("initial h", "initial c"), inputs[1:], strict=True):
                _expect(given == state, what, state, given)
        y = Value(shape, self.return_sequences)
        if self.norm is not None:
            (y,) = self.norm.infer((y,))
        if self.pool is not None:
            (y,) = self.pool.infer((y,))
        return (y, state, state) if self.return_state else (y,)

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
        _expect(
            min(rows, cols) >= 1, "rows, cols", f"at least the kernel {self.kernel_size}", map_size
        )
        return (self.filters, rows, cols) if channels_first else (rows, cols, self.filters)


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """``activation(x @ kernel + bias)`` over the last axis of the frame; ``kernel`` is ``(in, units)``."""

    kernel: Array
    bias: Array
    activation: Function = LINEAR

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        _expect(len(x.shape) >= 1, "input", "at least one axis", x.shape)
        _expect(self.kernel.ndim == 2, "kernel rank", 2, self.kernel.ndim)
        _expect(x.shape[-1] == self.kernel.shape[0], "last axis", self.kernel.shape[0], x.shape)
        units = self.kernel.shape[1:]
        _expect(self.bias.shape == units, "bias shape", units, self.bias.shape)
        return (Value((*x.shape[:-1], *units), x.sequence),)


@dataclass(frozen=True)
class Flatten(Layer):
    """The frame as one axis, in row-major order of the Keras axes."""

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        return (Value((math.prod(x.shape),), x.sequence),)


@dataclass(frozen=True)
class Activation(Layer):
    """An activation function on its own."""

    function: Function

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        return (x,)


@dataclass(frozen=True)
class Slice(Layer):
    """``start <= index < stop`` along ``axis`` of the frame. Rewrites cut merged siblings apart with it."""

    axis: int
    start: int
    stop: int

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        _expect(0 <= self.axis < len(x.shape), "axis", f"0 to {len(x.shape) - 1}", self.axis)
        length = x.shape[self.axis]
        _expect(0 <= self.start < self.stop <= length, "start, stop", f"within 0 to {length}", self)
        shape = (*x.shape[: self.axis], self.stop - self.start, *x.shape[self.axis + 1 :])
        return (Value(shape, x.sequence),)


@dataclass(frozen=True)
class Node:
    """One layer of the graph. ``inputs`` and ``outputs`` are value names, each produced once."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Preprocessing:
    """How ``score`` makes frames for an input: resize, reorder colours, then ``(pixel - mean) * scale``.

    ``size`` is (rows, cols) of the network; ``color`` 'rgb', 'bgr' or 'gray'; ``mean`` one value or one a
    channel, in pixel units 0 to 255; ``fps`` the frame rate the network was trained on, None for any.
    """

    size: tuple[int, int]
    data_format: str = "channels_first"
    color: str = "rgb"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    fps: float | None = None


@dataclass(frozen=True)
class Input:
    """A network input: a sequence of frames, or a single such as an initial state."""

    name: str
    shape: tuple[int, ...]
    sequence: bool = True
    preprocessing: Preprocessing | None = None

    @property
    def value(self) -> Value:
        """The shape rule's view of this input."""
        return Value(self.shape, self.sequence)


@dataclass(frozen=True)
class Output:
    """A network output: its public name, the value it shows, and what its numbers mean."""

    name: str
    value: str
    category: str | None = None


@dataclass(frozen=True)
class NetworkSpec:
    """A whole network. ``nodes`` are in an order in which they can run.

    ``source`` names what wrote the weights, e.g. ``"Keras 3.15.1"``. ``notes`` holds what a reader had to
    decide, e.g. a precision policy that is run in float32.
    """

    name: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    source: str = ""
    notes: tuple[str, ...] = field(default=())

    def values(self) -> dict[str, Value]:
        """Every value by name, inferred and checked.

        Raises :class:`UnsupportedModelError` that lists every node whose inputs do not fit it, every
        name that stands for two things, and every shape that is not of positive integers.
        """
        known: dict[str, Value] = {i.name: i.value for i in self.inputs}
        problems: list[str] = self._repeated_names()
        for i in self.inputs:
            if not _sound_shape(i.shape):
                problems.append(f"input {i.name!r}: expected axes of at least 1, found {i.shape}")
        for node in self.nodes:
            if missing := [name for name in node.inputs if name not in known]:
                if not problems:
                    problems.append(
                        f"{describe(node)}: input {missing[0]!r} is produced by no earlier node"
                    )
                continue
            try:
                inferred = node.layer.infer([known[name] for name in node.inputs])
                _expect(
                    len(inferred) == len(node.outputs), "outputs", len(inferred), len(node.outputs)
                )
                for value in inferred:
                    _expect(_sound_shape(value.shape), "output", "axes of at least 1", value.shape)
            except UnsupportedModelError as error:
                problems.append(f"{describe(node)}: {error}")
                continue
            except ValueError:
                problems.append(
                    f"{describe(node)}: expected another number of inputs, found {node.inputs}"
                )
                continue
            known.update(zip(node.outputs, inferred, strict=True))
        if not problems:
            problems = [
                f"output {output.name!r}: expected a known value, found {output.value!r}"
                for output in self.outputs
                if output.value not in known
            ]
        if problems:
            raise UnsupportedModelError.from_problems(f"network {self.name!r}", problems)
        return known

    def _repeated_names(self) -> list[str]:
        values = [i.name for i in self.inputs] + [v for n in self.nodes for v in n.outputs]
        kinds = {
            "value": values,
            "node": [node.name for node in self.nodes],
            "output": [output.name for output in self.outputs],
        }
        return [
            f"{kind} {name!r}: expected a name of its own, found it {count} times"
            for kind, names in kinds.items()
            for name, count in Counter(names).items()
            if count > 1
        ]


def _sound_shape(shape: tuple[int, ...]) -> bool:
    return all(1 <= length <= LARGEST_LENGTH for length in shape)


def describe(node: Node) -> str:
    """How messages call a node: kind and name."""
    return f"{type(node.layer).__name__} {node.name!r}"


def weights(layer: Layer) -> Iterator[Array]:
    """The weight arrays of a layer, for counting parameters and for checks."""
    for value in vars(layer).values():
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, Layer):
            yield from weights(value)
