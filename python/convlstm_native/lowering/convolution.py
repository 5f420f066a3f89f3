"""Convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convlstm_native.lowering.base import Lowering, Table, Tensor, channels_first, function
from convlstm_native.lowering.dense import add_softmax, part_of
from convlstm_native.spec import (
    LINEAR,
    OVER_LAST_AXIS,
    Array,
    Convolution,
    ConvolutionTranspose,
    Function,
    Node,
)

AXES = 3  # of a map inside the engine, beside its channels


@dataclass(frozen=True)
class _Given:
    """The input of a convolution as the engine takes it, and the kernel that fits it."""

    x: Tensor
    channels: int
    size: tuple[int, ...]
    kernel: Array  # channels and filters, then an entry for each of `size`


def _convolution(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    layer = node.layer
    assert isinstance(layer, Convolution)
    # Channels of a group are neighbours: with groups the frames of a window lie inside a channel.
    given = _given(low, node, inputs[0], input_axis=1, frames_inside=layer.groups > 1)
    if not given.size and layer.groups == 1:
        kernel = np.ascontiguousarray(given.kernel.T)
        return _dense(low, node, given, kernel, layer.bias, layer.activation)
    pads = layer.pads(given.size)
    output = [
        (n + sum(pad) - (k - 1) * d - 1) // s + 1
        for pad, (n, k, s, d) in zip(pads, layer.axes(given.size), strict=True)
    ]
    value = low.network.add_convolution(
        name=node.name,
        x=given.x.id,
        map=(given.channels, *_axes(given.size)),
        kernel=given.kernel.reshape(*given.kernel.shape[:2], *_axes(layer.size)),
        bias=layer.bias,
        strides=_axes(layer.strides),
        dilation=_axes(layer.dilation_rate),
        before=_axes([before for before, _ in pads], 0),
        output=_axes(output),
        groups=layer.groups,
        activation=function(_elementwise(layer.activation)),
    )
    value = low.network.add_view(value, 0, (len(layer.bias), *output))
    order = channels_first(1 + len(output), layer.data_format)
    return _over_row(low, node, Tensor(value, order), layer.activation)


def _transpose(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    layer = node.layer
    assert isinstance(layer, ConvolutionTranspose)
    given = _given(low, node, inputs[0], input_axis=0, frames_inside=False)
    if not given.size:
        return _dense(low, node, given, given.kernel, layer.bias, layer.activation)
    output = layer.output_size(given.size)
    value = low.network.add_convolution_transpose(
        name=node.name,
        x=given.x.id,
        map=(given.channels, *_axes(given.size)),
        kernel=given.kernel.reshape(*given.kernel.shape[:2], *_axes(layer.size)),
        bias=layer.bias,
        strides=_axes(layer.strides),
        dilation=_axes(layer.dilation_rate),
        before=_axes(layer.before, 0),
        output=_axes(output),
        activation=function(_elementwise(layer.activation)),
    )
    value = low.network.add_view(value, 0, (len(layer.bias), *output))
    order = channels_first(1 + len(output), layer.data_format)
    return _over_row(low, node, Tensor(value, order), layer.activation)


def _given(low: Lowering, node: Node, x: Tensor, *, input_axis: int, frames_inside: bool) -> _Given:
    """Channels first; the frames of a window are further channels, inside or outside of the others.

    ``input_axis`` is that of the kernel which counts input channels.
    """
    layer = node.layer
    assert isinstance(layer, (Convolution, ConvolutionTranspose))
    if not layer.window:
        x = low.with_order(node, x, channels_first(len(x.order), layer.data_format))
        channels, *size = low.shape(x)
        return _Given(x, channels, tuple(size), layer.kernel)
    channel, *rest = (1 + axis for axis in channels_first(len(x.order) - 1, layer.data_format))
    outer = (channel, 0) if frames_inside else (0, channel)
    x = low.with_order(node, x, (*outer, *rest))
    first, second, *size = low.shape(x)
    # The kernel's axes of channels and frames side by side, in the order of the input's, then as one.
    kernel = np.moveaxis(layer.kernel, 2, input_axis + frames_inside)
    merged = list(kernel.shape)
    merged[input_axis : input_axis + 2] = [math.prod(merged[input_axis : input_axis + 2])]
    kernel = np.ascontiguousarray(kernel).reshape(merged)
    flat = Tensor(low.network.add_view(x.id, 0, (first * second, *size)), x.order[1:])
    return _Given(flat, first * second, tuple(size), kernel)


def _dense(
    low: Lowering, node: Node, x: _Given, kernel: Array, bias: Array, activation: Function
) -> tuple[Tensor, ...]:
    """Where no axis is left a convolution is a product with a matrix (inputs, filters)."""
    name = node.name
    value = low.network.add_dense(name, x.x.id, kernel, bias, function(_elementwise(activation)))
    return _over_row(low, node, Tensor(value, (0,)), activation)


def _axes(values: Sequence[int], missing: int = 1) -> tuple[int, ...]:
    """Three entries, those in front of the given ones being ``missing``."""
    return (*[missing] * (AXES - len(values)), *values)


def _elementwise(activation: Function) -> Function:
    return LINEAR if activation.name in OVER_LAST_AXIS else activation


def _over_row(low: Lowering, node: Node, y: Tensor, activation: Function) -> tuple[Tensor, ...]:
    if activation.name not in OVER_LAST_AXIS:
        return (y,)
    return add_softmax(low, part_of(node, activation), low.as_in_keras(node, y), activation)


LOWER: Table = {Convolution: _convolution, ConvolutionTranspose: _transpose}
