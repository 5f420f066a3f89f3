"""Keras' convolutions: plain, depthwise, separable and transposed, over one to three axes.

A frame has the axes of the layer, or time is one of those. With channels_last it is the first axis that
the kernel runs along: windows of frames are gathered, and the kernel's other axes run over each. With
channels_first it is the channel axis, as Keras takes it: the sequence is collected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Parse, Tensor, take
from convlstm_native.spec import Array, Function, transposed


@dataclass(frozen=True)
class _Arguments:
    """What all convolutions have in common. The axes of all are those of the kernel."""

    what: str
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    dilation_rate: tuple[int, ...]
    data_format: str
    activation: Function
    use_bias: bool

    @property
    def rank(self) -> int:
        return len(self.kernel_size)

    def channels(self, site: CallSite) -> int:
        shape = site.value.shape
        return shape[-1 - self.rank if self.data_format == "channels_first" else -1]

    def bias(self, weights: dict[str, Array], filters: int) -> Array:
        return weights.get("bias", np.zeros(filters, np.float32))


def _arguments(args: Arguments, rank: int, paddings: tuple[str, ...]) -> _Arguments:
    strides = args.counts("strides", rank, 1)
    dilation = args.counts("dilation_rate", rank, 1)
    args.off("lora_rank", "quantization_config")
    args.ignore("lora_alpha")
    return _Arguments(
        args.what,
        args.counts("kernel_size", rank, None),
        strides,
        args.choice("padding", paddings, "valid"),
        dilation,
        args.data_format(),
        args.function("activation"),
        args.flag("use_bias", True),
    )


BOTH = ("valid", "same")


def _convolution(rank: int) -> Parse:
    def parse(args: Arguments) -> Builder:
        filters = args.count("filters")
        groups = args.counts("groups", 1, 1)[0]
        a = _arguments(args, rank, (*BOTH, "causal") if rank == 1 else BOTH)

        def build(site: CallSite) -> tuple[Tensor, ...]:
            if a.channels(site) % groups or filters % groups:
                raise UnsupportedModelError(
                    f"groups: expected a divisor of {a.channels(site)} channels and {filters} "
                    f"filters, found {groups}"
                )
            shapes = {"kernel": (*a.kernel_size, a.channels(site) // groups, filters)}
            weights = take(site, a.what, **shapes, **_bias(a, filters))
            kernel = _filters_first(_unflipped(weights["kernel"], site, a.rank))
            return (_convolve(site, site.inputs[0], a, kernel, a.bias(weights, filters), groups),)

        return _on_maps(a, build)

    return parse


def _depthwise(rank: int) -> Parse:
    def parse(args: Arguments) -> Builder:
        multiplier = args.counts("depth_multiplier", 1, 1)[0]
        _one_group(args)
        a = _arguments(args, rank, BOTH)

        def build(site: CallSite) -> tuple[Tensor, ...]:
            channels = a.channels(site)
            shapes = {"kernel": (*a.kernel_size, channels, multiplier)}
            weights = take(site, a.what, **shapes, **_bias(a, channels * multiplier))
            bias = a.bias(weights, channels * multiplier)
            kernel = _depthwise_filters(weights["kernel"])
            return (_convolve(site, site.inputs[0], a, kernel, bias, channels),)

        return _on_maps(a, build)

    return parse


def _separable(rank: int) -> Parse:
    """Two nodes: the depthwise convolution, and one with a kernel of one place over its channels."""

    def parse(args: Arguments) -> Builder:
        filters = args.count("filters")
        multiplier = args.counts("depth_multiplier", 1, 1)[0]
        _one_group(args)
        a = _arguments(args, rank, (*BOTH, "causal") if rank == 1 else BOTH)

        def build(site: CallSite) -> tuple[Tensor, ...]:
            channels = a.channels(site)
            inner = channels * multiplier
            shapes = {
                "depthwise_kernel": (*a.kernel_size, channels, multiplier),
                "pointwise_kernel": (*[1] * rank, inner, filters),
            }
            weights = take(site, a.what, **shapes, **_bias(a, filters))
            depthwise = replace(a, activation=spec.LINEAR)
            kernel = _depthwise_filters(weights["depthwise_kernel"])
            no_bias = np.zeros(inner, np.float32)
            x = _convolve(site, site.inputs[0], depthwise, kernel, no_bias, channels)
            bias = a.bias(weights, filters)
            return (_pointwise(site, x, a, weights["pointwise_kernel"], bias),)

        return _on_maps(a, build)

    return parse


def _transpose(rank: int) -> Parse:
    def parse(args: Arguments) -> Builder:
        filters = args.count("filters")
        _one_group(args)
        a = _arguments(args, rank, BOTH)
        output_padding = _output_padding(args, a)

        def build(site: CallSite) -> tuple[Tensor, ...]:
            shapes = {"kernel": (*a.kernel_size, filters, a.channels(site))}
            weights = take(site, a.what, **shapes, **_bias(a, filters))
            kernel = _filters_first(_unflipped(weights["kernel"], site, a.rank))
            bias = a.bias(weights, filters)
            return (_convolve_transposed(site, site.inputs[0], a, output_padding, kernel, bias),)

        return _on_maps(a, build)

    return parse


def _bias(a: _Arguments, filters: int) -> dict[str, tuple[int, ...]]:
    return {"bias": (filters,)} if a.use_bias else {}


def _one_group(args: Arguments) -> None:
    """Keras 2 writes the groups of layers that have no such argument."""
    groups = args.counts("groups", 1, 1)[0]
    if groups != 1:
        args.reject("groups", 1, groups)


def _output_padding(args: Arguments, a: _Arguments) -> tuple[int, ...]:
    """Zero is allowed; () where Keras has None."""
    value = args.raw("output_padding")
    if value is None:
        return ()
    values = value if isinstance(value, list) else [value] * a.rank
    known = len(values) == a.rank and all(type(v) is int for v in values)
    if known and all(0 <= v < s for v, s in zip(values, a.strides, strict=True)):
        return tuple(values)
    args.reject(
        "output_padding", f"{a.rank} integer(s), each at least 0 and below its stride", value
    )
    return ()


def _unflipped(kernel: Array, site: CallSite, rank: int) -> Array:
    return np.flip(kernel, tuple(range(rank))) if site.flip else kernel


def _filters_first(kernel: Array) -> Array:
    """Keras' ``(*size, a, b)`` as ``(b, a, *size)``."""
    rank = kernel.ndim - 2
    return np.ascontiguousarray(kernel.transpose(rank + 1, rank, *range(rank)))


def _depthwise_filters(kernel: Array) -> Array:
    """Keras' ``(*size, channels, multiplier)`` as ``(channels * multiplier, 1, *size)``."""
    rank = kernel.ndim - 2
    kernel = kernel.transpose(rank, rank + 1, *range(rank))
    return np.ascontiguousarray(kernel.reshape(-1, 1, *kernel.shape[2:]))


# --- calls --------------------------------------------------------------------------------------


def _on_maps(a: _Arguments, build: Callable[[CallSite], tuple[Tensor, ...]]) -> Builder:
    """Brings what a call meets to the axes of the layer: a map, alone, as a frame, or along time."""

    def call(site: CallSite) -> tuple[Tensor, ...]:
        (x,) = site.inputs
        more = site.lead + len(x.value.shape) - a.rank - 2  # axes than Keras' layer has
        if more == 0 and site.lead == 2 and a.data_format == "channels_first":
            return build(replace(site, inputs=(site.as_single(x),), lead=1))
        if more == 0 or (more == 1 and site.lead == 2):
            return build(site)
        if more == 1 and not x.value.sequence:
            frames = site.as_sequence(x)
            (y,) = build(replace(site, inputs=(frames,), lead=2))
            return (site.as_single(y),)
        raise UnsupportedModelError(
            f"input: expected {a.rank + 2} axes with batch, or {a.rank + 3}, "
            f"found {a.rank + 2 + more}"
        )

    return call


def _over_time(site: CallSite, x: Tensor, a: _Arguments) -> bool:
    """Whether time is the first axis that the kernel runs along."""
    return site.lead == 2 and len(x.value.shape) == a.rank


def _convolve(
    site: CallSite, x: Tensor, a: _Arguments, kernel: Array, bias: Array, groups: int
) -> Tensor:
    window = _over_time(site, x, a)
    if window:
        (x,) = site.add(_window(a, x.value.length), (x,))
    layer = spec.Convolution(
        kernel,
        bias,
        a.strides[window:],
        "valid" if window and a.padding == "causal" else a.padding,
        a.dilation_rate[window:],
        a.data_format,
        groups,
        a.activation,
        window,
    )
    return site.add(layer, (x,))[0]


def _window(a: _Arguments, length: int | None) -> spec.Window:
    """The frames along which the first axis of the kernel runs."""
    size, stride, dilation = a.kernel_size[0], a.strides[0], a.dilation_rate[0]
    before = after = 0
    if a.padding == "causal":
        before = (size - 1) * dilation
    elif a.padding == "same":
        if length is None and stride > 1:
            raise UnsupportedModelError(
                "padding, strides: expected a known number of frames, or 'valid' or stride 1 over "
                f"time, found None with 'same' and stride {stride}"
            )
        # With stride 1 the padding does not depend on the length.
        before, after = spec.same_padding(length or 1, size, stride, dilation)
    return spec.Window(size, stride, dilation, before, after)


def _pointwise(site: CallSite, x: Tensor, a: _Arguments, kernel: Array, bias: Array) -> Tensor:
    """A kernel of one place on what the depthwise convolution left of the axes."""
    axes = len(x.value.shape) - 1
    kernel = kernel.reshape(kernel.shape[-2:])
    if axes == 0:
        return site.add(spec.Dense(kernel, bias, a.activation), (x,))[0]
    ones = (1,) * axes
    filters = np.ascontiguousarray(kernel.T).reshape(*kernel.shape[::-1], *ones)
    layer = spec.Convolution(filters, bias, ones, "valid", ones, a.data_format, 1, a.activation)
    return site.add(layer, (x,))[0]


def _convolve_transposed(
    site: CallSite,
    x: Tensor,
    a: _Arguments,
    output_padding: tuple[int, ...],
    kernel: Array,
    bias: Array,
) -> Tensor:
    window = _over_time(site, x, a)
    if window:
        size, stride, dilation = a.kernel_size[0], a.strides[0], a.dilation_rate[0]
        axis = transposed(
            size, stride, dilation, a.padding, output_padding[0] if output_padding else None
        )
        if stride > 1:
            (x,) = site.add(spec.Repeat(stride, zeros=True), (x,))
        # Output t sums kernel[k] * x[t + before - k * dilation]: the kernel runs backwards.
        kernel = np.ascontiguousarray(kernel[:, :, ::-1])
        reach = (size - 1) * dilation
        around = spec.Window(size, 1, dilation, reach - axis.before, axis.more + axis.before)
        (x,) = site.add(around, (x,))
    layer = spec.ConvolutionTranspose(
        kernel,
        bias,
        a.strides[window:],
        a.padding,
        a.dilation_rate[window:],
        output_padding[window:],
        a.data_format,
        a.activation,
        window,
    )
    return site.add(layer, (x,))[0]


LAYERS: dict[str, Parse] = {
    **{f"Conv{rank}D": _convolution(rank) for rank in (1, 2, 3)},
    **{f"DepthwiseConv{rank}D": _depthwise(rank) for rank in (1, 2)},
    **{f"SeparableConv{rank}D": _separable(rank) for rank in (1, 2)},
    **{f"Conv{rank}DTranspose": _transpose(rank) for rank in (1, 2, 3)},
}
READS_TIME = frozenset(name for name in LAYERS if name.endswith(("3D", "3DTranspose")))
