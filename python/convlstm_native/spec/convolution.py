"""Convolutions over the axes of a frame, and over windows of frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from convlstm_native.activations import LINEAR, Function
from convlstm_native.spec.base import (
    Array,
    Layer,
    Value,
    expect,
    expect_lengths,
    same_padding,
    window_output,
)


class _Geometry(Protocol):
    """What a convolution and its transpose have in common."""

    @property
    def kernel(self) -> Array: ...
    @property
    def bias(self) -> Array: ...
    @property
    def strides(self) -> tuple[int, ...]: ...
    @property
    def dilation_rate(self) -> tuple[int, ...]: ...
    @property
    def data_format(self) -> str: ...
    @property
    def window(self) -> bool: ...


@dataclass(frozen=True, eq=False)
class Convolution(Layer):
    """``activation(kernel * x + bias)`` over one to three axes of the frame, as Keras' Conv1D to Conv3D.

    ``kernel`` is ``(O, C / groups, *size)``, ``bias`` ``(O,)``; the channels of the frame are its first
    axis or its last by ``data_format``. ``padding`` is 'valid', 'same' or, over one axis, 'causal'.
    ``strides`` and ``dilation_rate`` have an entry for each axis.

    With ``window`` the frame is ``(k, *shape)``, ``k`` frames that a :class:`Window` gathered: the first
    axis of the kernel runs along it, is as long, and leaves no axis. ``strides`` and ``dilation_rate`` are
    then of the other axes alone, and ``data_format`` says where the channels are in ``shape``.
    """

    kernel: Array
    bias: Array
    strides: tuple[int, ...]
    padding: str
    dilation_rate: tuple[int, ...]
    data_format: str = "channels_last"
    groups: int = 1
    activation: Function = LINEAR
    window: bool = False

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        filters = self.kernel.shape[0] if self.kernel.ndim else 0
        channels, size = _check(self, x, self.kernel.shape[1:2], self.groups)
        expect(self.groups >= 1 and channels % self.groups == 0, "groups", channels, self.groups)
        expect(filters % self.groups == 0, "filters", f"a multiple of {self.groups}", filters)
        expect(self.bias.shape == (filters,), "bias shape", (filters,), self.bias.shape)
        causal = self.padding == "causal" and self.kernel.ndim == 3
        expect(
            self.padding in ("same", "valid") or causal,
            "padding",
            "'same', 'valid' or, over one axis, 'causal'",
            self.padding,
        )
        places = tuple(
            window_output(n + before + after, k, s, "valid", d)
            for (before, after), (n, k, s, d) in zip(self.pads(size), self.axes(size), strict=True)
        )
        expect(min(places, default=1) >= 1, "input", f"at least the kernel {self.size}", x.shape)
        return (x.with_shape(with_channels(filters, places, self.data_format)),)

    def flops(self, inputs: Sequence[Value]) -> int:
        (y,) = self.infer(inputs)
        return 2 * math.prod(self.kernel.shape[1:]) * math.prod(y.shape)

    @property
    def size(self) -> tuple[int, ...]:
        """Lengths of the kernel along the axes of the frame, without that of a window."""
        return self.kernel.shape[2 + self.window :]

    def axes(self, size: Sequence[int]) -> list[tuple[int, int, int, int]]:
        """Length, kernel, stride and dilation of each axis of a map of ``size``."""
        return list(zip(size, self.size, self.strides, self.dilation_rate, strict=True))

    def pads(self, size: Sequence[int]) -> list[tuple[int, int]]:
        """Zeros before and behind each axis of a map of ``size``."""
        if self.padding == "same":
            return [same_padding(*axis) for axis in self.axes(size)]
        if self.padding == "causal":
            return [((k - 1) * d, 0) for _, k, _, d in self.axes(size)]
        return [(0, 0)] * len(size)


@dataclass(frozen=True, eq=False)
class ConvolutionTranspose(Layer):
    """The transpose of a convolution, as Keras' Conv1DTranspose to Conv3DTranspose.

    Input ``i`` adds ``kernel[k] * x[i]`` to output ``i * stride + k * dilation - before``; then bias and
    activation. ``kernel`` is ``(C, O, *size)``. ``padding`` 'valid' or 'same' and ``output_padding``, ()
    where Keras has none, decide about ``before`` and the length of the output. ``window`` as in
    :class:`Convolution`: along that axis the kernel is not mirrored.
    """

    kernel: Array
    bias: Array
    strides: tuple[int, ...]
    padding: str
    dilation_rate: tuple[int, ...]
    output_padding: tuple[int, ...] = ()
    data_format: str = "channels_last"
    activation: Function = LINEAR
    window: bool = False

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        (x,) = inputs
        _, size = _check(self, x, self.kernel.shape[:1], 1)
        filters = self.kernel.shape[1]
        expect(self.bias.shape == (filters,), "bias shape", (filters,), self.bias.shape)
        expect(self.padding in ("same", "valid"), "padding", "'same' or 'valid'", self.padding)
        if self.output_padding:
            expect(
                len(self.output_padding) == len(size) and min(self.output_padding) >= 0,
                "output_padding",
                f"{len(size)} numbers of at least 0",
                self.output_padding,
            )
        return (x.with_shape(with_channels(filters, self.output_size(size), self.data_format)),)

    def flops(self, inputs: Sequence[Value]) -> int:
        (x,) = inputs
        return 2 * self.kernel.size * math.prod(map_size(self, x.shape)[1])

    @property
    def size(self) -> tuple[int, ...]:
        """Lengths of the kernel along the axes of the frame, without that of a window."""
        return self.kernel.shape[2 + self.window :]

    def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Lengths of the output's axes for a map of ``size``."""
        return tuple(
            transposed(k, s, d, self.padding, p).output(n)
            for n, k, s, d, p in zip(
                size, self.size, self.strides, self.dilation_rate, self._output_padding, strict=True
            )
        )

    @property
    def before(self) -> tuple[int, ...]:
        """Places that are cut off in front of each axis."""
        return tuple(
            transposed(k, s, d, self.padding, p).before
            for k, s, d, p in zip(
                self.size, self.strides, self.dilation_rate, self._output_padding, strict=True
            )
        )

    @property
    def _output_padding(self) -> tuple[int | None, ...]:
        return self.output_padding or (None,) * len(self.size)


@dataclass(frozen=True)
class Transposed:
    """One axis of a transposed convolution: n inputs give ``n * stride + more`` outputs."""

    stride: int
    more: int
    before: int

    def output(self, length: int) -> int:
        """Length of the output."""
        return length * self.stride + self.more


def transposed(
    kernel: int, stride: int, dilation: int, padding: str, output_padding: int | None
) -> Transposed:
    """Where Keras begins and ends an axis.

    All of it has ``(n - 1) * stride + reach`` places. 'same' leaves ``n * stride`` of them, or with an
    ``output_padding`` ``(n - 1) * stride + reach % 2 + output_padding``, cut on both sides, the odd one
    behind; 'valid' cuts nothing and appends up to one stride.
    """
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        more = max(reach, stride) if output_padding is None else reach + output_padding
        return Transposed(stride, more - stride, 0)
    kept = stride if output_padding is None else reach % 2 + output_padding
    return Transposed(stride, kept - stride, max(reach - kept, 0) // 2)


def with_channels(channels: int, places: Sequence[int], data_format: str) -> tuple[int, ...]:
    """The shape of a map."""
    if data_format == "channels_first":
        return (channels, *places)
    return (*places, channels)


def map_size(layer: _Geometry, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """Channels of a frame, and its other axes without that of a window."""
    shape = shape[1:] if layer.window else shape
    if layer.data_format == "channels_first":
        return shape[0], shape[1:]
    return shape[-1], shape[:-1]


def _check(
    layer: _Geometry, x: Value, kernel_channels: tuple[int, ...], groups: int
) -> tuple[int, tuple[int, ...]]:
    """Channels and size of the map, after a check of all that the two layers have in common."""
    rank = layer.kernel.ndim - 2  # axes of the kernel, a window's among them
    expect(1 <= rank <= 3, "kernel axes", "1 to 3 beside the channels", rank)
    expect(len(x.shape) == rank + 1, "input", f"a frame of {rank + 1} axes", x.shape)
    expect(
        layer.data_format in ("channels_first", "channels_last"),
        "data_format",
        "'channels_first' or 'channels_last'",
        layer.data_format,
    )
    if layer.window:
        expect(x.shape[0] == layer.kernel.shape[2], "window", layer.kernel.shape[2], x.shape[0])
    channels, size = map_size(layer, x.shape)
    expect(kernel_channels[0] * groups == channels, "input channels", kernel_channels, channels)
    expect_lengths("kernel size", layer.kernel.shape)
    for what in ("strides", "dilation_rate"):
        values = getattr(layer, what)
        expect(len(values) == len(size), f"{what} length", len(size), values)
        expect_lengths(what, values)
    return channels, size
