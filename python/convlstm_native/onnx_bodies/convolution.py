"""Convolutions as Conv and ConvTranspose, which want the channels in front."""

from __future__ import annotations

from collections.abc import Sequence

from convlstm_native.onnx_bodies.activations import add_activation
from convlstm_native.onnx_bodies.base import Body, Call, Table
from convlstm_native.spec import Convolution, ConvolutionTranspose


def _convolution(body: Body, call: Call) -> list[str]:
    """A window's frames are one more axis, along which the kernel fits once."""
    layer = call.layer
    assert isinstance(layer, Convolution)
    (value,) = call.values
    frames = _channels_first(body, body.fold(call.inputs[0], value), layer)
    size = _size(layer, value.shape)
    pads = [(0, 0)] * layer.window + layer.pads(size)
    one = [1] * layer.window
    y = body.add(
        "Conv",
        [frames, call.weights["kernel"], call.weights["bias"]],
        pads=[before for before, _ in pads] + [after for _, after in pads],
        strides=[*one, *layer.strides],
        dilations=[*one, *layer.dilation_rate],
        group=layer.groups,
    )
    if layer.window:
        y = body.add("Squeeze", [y, body.constant([2])])
    return [_finish(body, call, layer, y)]


def _transpose(body: Body, call: Call) -> list[str]:
    """A window's frames are further channels; where no axis is left there is one of length 1."""
    layer = call.layer
    assert isinstance(layer, ConvolutionTranspose)
    (value,) = call.values
    x = _channels_first(body, body.fold(call.inputs[0], value), layer)
    size = _size(layer, value.shape)
    kernel = call.weights["kernel"]
    if layer.window:
        channels, filters, length, *rest = layer.kernel.shape
        order = [0, 2, 1, *range(3, layer.kernel.ndim)]
        kernel = body.add("Transpose", [kernel], perm=order)
        shape = [channels * length, filters, *(rest or [1])]
        kernel = body.add("Reshape", [kernel, body.constant(shape)])
        x = body.add("Reshape", [x, body.constant([-1, channels * length, *(size or [1])])])
    axes = list(zip(size, layer.output_size(size), layer.size, layer.strides, strict=True))
    # Places behind the output: cut off where positive, appended where negative.
    behind = [
        (n - 1) * s + (k - 1) * d + 1 - before - out
        for (n, out, k, s), d, before in zip(axes, layer.dilation_rate, layer.before, strict=True)
    ]
    none = [0] * (not size)
    y = body.add(
        "ConvTranspose",
        [x, kernel, call.weights["bias"]],
        pads=[*none, *layer.before, *none, *(max(n, 0) for n in behind)],
        output_padding=[*none, *(max(-n, 0) for n in behind)],
        strides=[*layer.strides] or [1],
        dilations=[*layer.dilation_rate] or [1],
    )
    if not size:
        y = body.add("Squeeze", [y, body.constant([2])])
    return [_finish(body, call, layer, y)]


def _size(layer: Convolution | ConvolutionTranspose, shape: Sequence[int]) -> list[int]:
    """The axes of the frame beside its channels, without that of a window."""
    inner = list(shape[1:] if layer.window else shape)
    return inner[1:] if layer.data_format == "channels_first" else inner[:-1]


def _channels_first(body: Body, frames: str, layer: Convolution | ConvolutionTranspose) -> str:
    """Frames (B, C, *size), those of a window (B, C, k, *size)."""
    rank = layer.kernel.ndim
    if layer.data_format == "channels_last":
        return body.add("Transpose", [frames], perm=[0, rank - 1, *range(1, rank - 1)])
    if layer.window:
        return body.add("Transpose", [frames], perm=[0, 2, 1, *range(3, rank)])
    return frames


def _finish(body: Body, call: Call, layer: Convolution | ConvolutionTranspose, y: str) -> str:
    """The axes as in Keras, then the activation, which may go over the last of them."""
    (result,) = call.results
    rank = len(result.shape) + 1
    if layer.data_format == "channels_last" and rank > 2:
        y = body.add("Transpose", [y], perm=[0, *range(2, rank), 1])
    y = add_activation(body, y, layer.activation)
    return body.unfold(y, call.inputs[0], result)


BODIES: Table = {Convolution: _convolution, ConvolutionTranspose: _transpose}
