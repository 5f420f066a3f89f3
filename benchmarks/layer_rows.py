"""The layers that layers.py measures: a list a family, each row a layer on frames of one shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from convlstm_native import spec
from numpy.typing import NDArray

RELU = spec.Function("relu")


@dataclass(frozen=True)
class LayerRow:
    """``make`` builds the layer with seeded weights; ``frame`` is the shape of what it reads.

    It reads the same frames ``times`` times, as its inputs.
    """

    name: str
    frame: tuple[int, ...]
    make: Callable[[], spec.Layer]
    times: int = 1

    def network(self) -> spec.NetworkSpec:
        """The layer alone between an input sequence and an output."""
        return spec.NetworkSpec(
            self.name,
            (spec.Input("x", self.frame),),
            (spec.Node("layer", self.make(), ("x",) * self.times, ("y",)),),
            (spec.Output("y", "y"),),
        )


def weight(*shape: int) -> NDArray[np.float32]:
    """Seeded numbers of a size that keeps sums over all axes but the first near one."""
    values = np.random.default_rng(0).standard_normal(shape)
    scaled: NDArray[np.float32] = (values / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
    return scaled


def conv(
    channels: int,
    rows: int,
    filters: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
) -> LayerRow:
    """A 'same' convolution of square maps with relu, channels_first."""
    extras = {"stride": stride, "groups": groups, "dilation": dilation}
    extra = "".join(f" {name} {value}" for name, value in extras.items() if value != 1)
    return LayerRow(
        f"{channels}x{rows}x{rows} -> {filters} {kernel}x{kernel}{extra}",
        (channels, rows, rows),
        lambda: spec.Convolution(
            weight(filters, channels // groups, kernel, kernel),
            weight(filters),
            (stride, stride),
            "same",
            (dilation, dilation),
            "channels_first",
            groups,
            RELU,
        ),
    )


def conv1d(channels: int, length: int, filters: int, kernel: int) -> LayerRow:
    """A 'same' convolution along one axis."""
    return LayerRow(
        f"{channels}x{length} -> {filters} {kernel}",
        (channels, length),
        lambda: spec.Convolution(
            weight(filters, channels, kernel),
            weight(filters),
            (1,),
            "same",
            (1,),
            "channels_first",
            activation=RELU,
        ),
    )


def transposed(channels: int, rows: int, filters: int, kernel: int, stride: int) -> LayerRow:
    """A 'same' transposed convolution of square maps, channels_first."""
    return LayerRow(
        f"transposed {channels}x{rows}x{rows} -> {filters} {kernel}x{kernel} stride {stride}",
        (channels, rows, rows),
        lambda: spec.ConvolutionTranspose(
            weight(channels, filters, kernel, kernel),
            weight(filters),
            (stride, stride),
            "same",
            (1, 1),
            (),
            "channels_first",
        ),
    )


def depthwise(channels: int, rows: int, kernel: int, **arguments: Any) -> LayerRow:
    """A convolution of each channel alone."""
    return conv(channels, rows, channels, kernel, groups=channels, **arguments)


def pooled(kind: type[spec.Pooling], channels: int, rows: int, size: int, stride: int) -> LayerRow:
    """A 'same' pool of square maps, channels_first."""
    return LayerRow(
        f"{kind.__name__} {channels}x{rows}x{rows} {size}x{size} stride {stride}",
        (channels, rows, rows),
        lambda: kind((1, size, size), (1, stride, stride), "same"),
    )


def resized(interpolation: str, channels: int, rows: int) -> LayerRow:
    """Rows and columns of square maps twice, channels_first."""
    return LayerRow(
        f"{interpolation} {channels}x{rows}x{rows} twice as large",
        (channels, rows, rows),
        lambda: spec.Resize((1, 2), (2 * rows, 2 * rows), interpolation),
    )


def applied(name: str, function: spec.Function, *frame: int) -> LayerRow:
    """An activation of each number."""
    return LayerRow(f"{name} {frame}", frame, lambda: spec.Activation(function))


def recurrent(kind: type[spec.LSTM] | type[spec.GRU], inputs: int, units: int) -> LayerRow:
    """Whole sequences of vectors."""
    gates = kind.GATES * units
    kernels = weight(gates, inputs).T, weight(gates, units).T, weight(gates)
    return LayerRow(
        f"{kind.__name__} {inputs} -> {units}",
        (inputs,),
        lambda: kind(units, *kernels, return_sequences=True),
    )


def dense(inputs: int, units: int) -> LayerRow:
    """Vectors, with relu."""
    return LayerRow(
        f"Dense {inputs} -> {units}",
        (inputs,),
        lambda: spec.Dense(weight(units, inputs).T, weight(units), RELU),
    )


FAMILIES: dict[str, list[LayerRow]] = {
    "convolution": [
        conv(1, 128, 64, 3),
        conv(64, 64, 64, 3),
        conv(256, 14, 256, 3),
        conv(512, 7, 512, 3),
        conv(64, 64, 1, 3),
        conv(3, 224, 32, 11, stride=4),
        conv(64, 56, 128, 3, stride=2),
        conv(64, 32, 64, 3, dilation=2),
        conv(64, 56, 64, 3, groups=4),
        conv(32, 28, 128, 1),
        conv(64, 56, 64, 1),
        depthwise(64, 56, 3),
        depthwise(512, 7, 3),
        conv1d(64, 1024, 64, 5),
        transposed(64, 28, 32, 3, 2),
        transposed(128, 32, 64, 5, 2),
        transposed(32, 56, 1, 11, 4),
    ],
    "dense": [
        dense(128, 10),
        dense(512, 512),
        dense(5780, 512),
        recurrent(spec.LSTM, 128, 128),
        recurrent(spec.LSTM, 512, 256),
        recurrent(spec.LSTM, 2048, 256),
        recurrent(spec.GRU, 128, 128),
        recurrent(spec.GRU, 512, 256),
    ],
    "pooling": [
        pooled(spec.MaxPooling, 32, 112, 2, 2),
        pooled(spec.MaxPooling, 32, 112, 3, 2),
        pooled(spec.MaxPooling, 32, 56, 3, 1),
        pooled(spec.AveragePooling, 32, 112, 2, 2),
        pooled(spec.AveragePooling, 32, 56, 3, 1),
        LayerRow("global mean 256x28x28", (256, 28, 28), lambda: spec.Reduce((1, 2), "mean")),
        LayerRow("global max 256x28x28", (256, 28, 28), lambda: spec.Reduce((1, 2), "max")),
        resized("nearest", 32, 56),
        resized("bilinear", 32, 56),
    ],
    "elementwise": [
        applied("tanh", spec.Function("tanh"), 64, 56, 56),
        applied("sigmoid", spec.Function("sigmoid"), 64, 56, 56),
        applied("softmax", spec.Function("softmax"), 4096, 10),
        applied("softmax", spec.Function("softmax"), 64, 1000),
        LayerRow(
            "BatchNormalization 64x56x56",
            (64, 56, 56),
            lambda: spec.BatchNormalization(0, weight(64), weight(64)),
        ),
        LayerRow(
            "LayerNormalization 784x256",
            (784, 256),
            lambda: spec.LayerNormalization((1,), "layer", 1e-3, weight(256), weight(256)),
        ),
        LayerRow("add 64x56x56", (64, 56, 56), lambda: spec.Merge("add"), 2),
        LayerRow("concatenate 64x56x56", (64, 56, 56), lambda: spec.Concatenate(0), 2),
    ],
}
