"""Convolutions against the reference: any geometry, every ISA, any number of threads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import convlstm_native as cn
import numpy as np
import pytest
import reference
from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.spec import Array, NetworkSpec, Value
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import examples, function, weight
from tolerances import check

ISAS = cn.available_isas()


def alone(layer: spec.Layer, frame: tuple[int, ...]) -> NetworkSpec:
    node = spec.Node("layer", layer, ("x",), ("y",))
    return NetworkSpec("alone", (spec.Input("x", frame),), (node,), (spec.Output("y", "y"),))


def check_layer(
    layer: spec.Layer, frame: tuple[int, ...], seed: int = 0, before: spec.Layer | None = None
) -> None:
    """Every ISA agrees with the reference, and gives the same bits on any number of threads.

    Errors count relative to what ``before``, the layer less an activation of slope one at most,
    gives, where that is larger.
    """
    net = alone(layer, frame)
    x = np.random.default_rng(seed).standard_normal((2, *frame)).astype(np.float32)
    expected = reference.run(net, {"x": x[None]})["y"][0]
    largest = 0.0
    if before is not None:
        sums = reference.run(alone(before, frame), {"x": x[None]})["y"]
        largest = float(np.abs(sums).max())
    for isa in ISAS:
        first, *others = (cn.Model(net, isa=isa, threads=n).predict(x)["y"] for n in (1, 2, 3))
        check(first, expected, "convolution", largest)
        for other in others:
            np.testing.assert_array_equal(other, first)


def with_channels(channels: int, size: tuple[int, ...], data_format: str) -> tuple[int, ...]:
    return (channels, *size) if data_format == "channels_first" else (*size, channels)


FORMATS = st.sampled_from(("channels_first", "channels_last"))
ACTIVATIONS = st.sampled_from(("linear", "relu", "tanh", "elu", "softmax"))


def convolution(rng: np.random.Generator, shape: tuple[int, ...], *sizes: Any) -> spec.Convolution:
    """With random weights of this shape and what follows the bias."""
    bias = rng.standard_normal(shape[0]).astype(np.float32)
    return spec.Convolution(weight(rng, *shape), bias, *sizes)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[spec.Convolution, tuple[int, ...]]:
    rank = draw(st.integers(1, 3))
    small = st.integers(1, 4)
    per_axis = st.tuples(*[small] * rank)
    kernel, strides, dilation = draw(per_axis), draw(per_axis), draw(per_axis)
    paddings = ["same", "valid", *(["causal"] if rank == 1 else [])]
    padding = draw(st.sampled_from(paddings))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    longest = {1: 40, 2: 20, 3: 8}[rank]
    least = reach if padding == "valid" else [1] * rank
    size = tuple(draw(st.integers(n, n + longest)) for n in least)
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    channels, filters = groups * draw(small), groups * draw(st.integers(1, 11))
    form = draw(FORMATS)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layer = convolution(
        rng,
        (filters, channels // groups, *kernel),
        strides,
        padding,
        dilation,
        form,
        groups,
        function(draw(ACTIVATIONS)),
    )
    return layer, with_channels(channels, size, form)


@examples(150)
@given(convolutions())
def test_convolution(case: tuple[spec.Convolution, tuple[int, ...]]) -> None:
    check_layer(*case)


@st.composite
def strided_convolutions(draw: st.DrawFn) -> tuple[spec.Convolution, tuple[int, ...]]:
    """Kernels with a column more than the stride; of some every tap has its own plane."""
    stride = draw(st.sampled_from((2, 4)))
    row_stride, kernel_rows = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    size = draw(st.integers(5, 20)), draw(st.integers(5, 70))
    filters = draw(st.integers(10, 70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layer = convolution(
        rng,
        (filters, 3, kernel_rows, stride + 1),
        (row_stride, stride),
        draw(st.sampled_from(("same", "valid"))),
        (1, 1),
        "channels_first",
        1,
        function(draw(ACTIVATIONS)),
    )
    return layer, (3, *size)


@examples(80)
@given(strided_convolutions())
def test_strided_convolution(case: tuple[spec.Convolution, tuple[int, ...]]) -> None:
    check_layer(*case)


@st.composite
def convolutions_3x3(draw: st.DrawFn) -> tuple[spec.Convolution, tuple[int, ...]]:
    """Shapes of which many are cheaper by Winograd."""
    padding = draw(st.sampled_from(("same", "valid")))
    # Maps that the dilation divides are convolved phase by phase.
    dilation = draw(st.sampled_from(((1, 1), (1, 1), (2, 2), (1, 4), (3, 2))))
    size = tuple(
        d * (draw(st.integers(4, n)) // d + 2) for d, n in zip(dilation, (50, 150), strict=True)
    )
    groups = draw(st.sampled_from((1, 1, 2)))
    channels, filters = groups * draw(st.integers(3, 30)), groups * draw(st.integers(3, 30))
    form = draw(FORMATS)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layer = convolution(
        rng,
        (filters, channels // groups, 3, 3),
        (1, 1),
        padding,
        dilation,
        form,
        groups,
        function(draw(ACTIVATIONS)),
    )
    return layer, with_channels(channels, size, form)


@examples(60)
@given(convolutions_3x3())
def test_convolution_3x3(case: tuple[spec.Convolution, tuple[int, ...]]) -> None:
    layer, frame = case
    check_layer(layer, frame, before=replace(layer, activation=function("linear")))


@st.composite
def depthwise_convolutions(draw: st.DrawFn) -> tuple[spec.Convolution, tuple[int, ...]]:
    """Of stride 1, to maps of the same size."""
    rank = draw(st.integers(1, 2))
    per_axis = st.tuples(*[st.integers(1, 5)] * rank)
    kernel, dilation = draw(per_axis), draw(per_axis)
    size = tuple(draw(st.integers(1, {1: 90, 2: 30}[rank])) for _ in range(rank))
    channels, form = draw(st.integers(2, 9)), draw(FORMATS)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layer = spec.Convolution(
        weight(rng, channels, 1, *kernel),
        rng.standard_normal(channels).astype(np.float32),
        (1,) * rank,
        draw(st.sampled_from(("same", "causal") if rank == 1 else ("same",))),
        dilation,
        form,
        channels,
        function(draw(ACTIVATIONS)),
    )
    return layer, with_channels(channels, size, form)


@examples(100)
@given(depthwise_convolutions())
def test_depthwise_convolution(case: tuple[spec.Convolution, tuple[int, ...]]) -> None:
    layer, frame = case
    check_layer(layer, frame, before=replace(layer, activation=function("linear")))


@st.composite
def transposes(draw: st.DrawFn) -> tuple[spec.ConvolutionTranspose, tuple[int, ...]]:
    rank = draw(st.integers(1, 3))
    small = st.integers(1, 4)
    per_axis = st.tuples(*[small] * rank)
    kernel, strides, dilation = draw(per_axis), draw(per_axis), draw(per_axis)
    size = tuple(draw(st.integers(1, {1: 30, 2: 12, 3: 6}[rank])) for _ in range(rank))
    channels, filters = draw(small), draw(st.integers(1, 9))
    output_padding = tuple(draw(st.integers(0, s - 1)) for s in strides)
    form = draw(FORMATS)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layer = spec.ConvolutionTranspose(
        weight(rng, channels, filters, *kernel),
        rng.standard_normal(filters).astype(np.float32),
        strides,
        draw(st.sampled_from(("same", "valid"))),
        dilation,
        draw(st.sampled_from(((), output_padding))),
        form,
        function(draw(ACTIVATIONS)),
    )
    assume(min(layer.output_size(size)) >= 1)  # 'same' with output_padding may leave nothing
    return layer, with_channels(channels, size, form)


@examples(100)
@given(transposes())
def test_convolution_transpose(case: tuple[spec.ConvolutionTranspose, tuple[int, ...]]) -> None:
    check_layer(*case)


# Maps that are cut into blocks by rows, by columns and by filters, with sums in several steps.
LARGE: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "many rows": ((2, 150, 70), (5, 2, 3, 3), {}),
    "long": ((3, 5000), (6, 3, 5), {}),
    "wide rows": ((1, 3, 3000), (2, 1, 3, 3), {"strides": (1, 2)}),
    "many channels": ((200, 9, 11), (70, 200, 3, 3), {}),
    "3x3, wide": ((40, 9, 400), (30, 40, 3, 3), {}),
    "3x3, many filters": ((300, 14, 14), (130, 300, 3, 3), {"padding": "valid"}),
    "3x3, one row of tiles": ((30, 4, 61), (33, 30, 3, 3), {}),
    "many channels, wide": ((300, 2, 250), (9, 300, 2, 2), {}),
    "depthwise": ((70, 30, 33), (140, 1, 3, 3), {"groups": 70, "strides": (2, 2)}),
    "stride 4": ((3, 90, 90), (32, 3, 11, 11), {"strides": (4, 4)}),
    "stride 2, many filters": ((20, 41, 56), (70, 20, 3, 3), {"strides": (2, 2)}),
    "stride 4, a tap more": ((9, 30, 75), (45, 9, 4, 5), {"strides": (3, 4), "padding": "valid"}),
    "dilation": ((8, 40, 45), (16, 8, 3, 3), {"dilation_rate": (7, 9)}),
    "dilation of many channels": ((64, 32, 32), (64, 64, 3, 3), {"dilation_rate": (2, 2)}),
    "wide dilation": ((64, 36, 96), (64, 64, 3, 3), {"dilation_rate": (3, 6), "padding": "valid"}),
    "3x3 of some maps": ((20, 3, 30, 41), (24, 20, 1, 3, 3), {}),
    "3x3 of some small maps": ((64, 5, 8, 10), (64, 64, 1, 3, 3), {"padding": "valid"}),
    "1x1 in whole vectors": ((33, 16, 16), (67, 33, 1, 1), {}),
    "1x1, odd columns": ((30, 32, 19), (67, 30, 1, 1), {}),
    "deep": ((4, 9, 20, 30), (5, 4, 3, 3, 3), {}),
}


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("name", LARGE)
def test_large(name: str, activation: str) -> None:
    frame, kernel, extra = LARGE[name]
    rng = np.random.default_rng(5)
    ones = (1,) * (len(kernel) - 2)
    layer = spec.Convolution(
        weight(rng, *kernel),
        rng.standard_normal(kernel[0]).astype(np.float32),
        **{
            **{"strides": ones, "padding": "same", "dilation_rate": ones},
            **{"data_format": "channels_first", "activation": function(activation)},
            **extra,
        },
    )
    check_layer(layer, frame)


@pytest.mark.parametrize("frames", [3, 8])
def test_a_window_is_a_kernel_over_time(frames: int) -> None:
    """Windows and a kernel over them against the same kernel over the collected sequence."""
    rng = np.random.default_rng(6)
    kernel, bias = weight(rng, 5, 3, 2, 3), rng.standard_normal(5).astype(np.float32)
    window = spec.Convolution(kernel, bias, (1,), "same", (1,), window=True)
    whole = spec.Convolution(kernel, bias, (1, 1), "valid", (1, 1))
    x = rng.standard_normal((frames, 7, 3)).astype(np.float32)
    padded = np.pad(x, [(0, 0), (1, 1), (0, 0)])
    nodes = (
        spec.Node("gather", spec.Window(2), ("x",), ("w",)),
        spec.Node("layer", window, ("w",), ("y",)),
    )
    net = NetworkSpec("time", (spec.Input("x", (7, 3)),), nodes, (spec.Output("y", "y"),))
    expected = reference.FRAME_WISE[spec.Convolution](whole, padded[None].astype(np.float64))
    check(cn.Model(net).predict(x)["y"], expected[0], "convolution")


def layer_of(**changed: Any) -> spec.Convolution:
    arguments: dict[str, Any] = {
        **{"kernel": np.zeros((4, 3, 3, 3), np.float32), "bias": np.zeros(4, np.float32)},
        **{"strides": (1, 1), "padding": "same", "dilation_rate": (1, 1)},
    }
    return spec.Convolution(**{**arguments, **changed})


def zeros(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("layer", "frame", "message"),
    [
        (layer_of(), (5, 5), r"a frame of 3 axes, found \(5, 5\)"),
        (layer_of(), (5, 5, 2), "input channels: expected .*3.*found 2"),
        (layer_of(bias=zeros(3)), (5, 5, 3), r"bias shape: expected \(4,\), found \(3,\)"),
        (layer_of(groups=3, kernel=zeros(4, 1, 3, 3)), (5, 5, 3), "a multiple of 3, found 4"),
        (layer_of(padding="causal"), (5, 5, 3), "over one axis, 'causal', found causal"),
        (layer_of(padding="valid"), (2, 5, 3), r"at least the kernel \(3, 3\)"),
        (layer_of(strides=(1,)), (5, 5, 3), r"strides length: expected 2, found \(1,\)"),
        (layer_of(dilation_rate=(0, 1)), (5, 5, 3), "dilation_rate: expected at least 1"),
        (layer_of(data_format="NHWC"), (5, 5, 3), "data_format: .*found NHWC"),
        (layer_of(kernel=zeros(4, 3)), (3,), "kernel axes: expected 1 to 3"),
    ],
)
def test_what_does_not_fit_is_refused(
    layer: spec.Convolution, frame: tuple[int, ...], message: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        layer.infer([Value(frame, sequence=True)])
