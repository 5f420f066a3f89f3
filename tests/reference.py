"""What every layer computes, in float64 NumPy: the specification that the engine is tested against.

One function a layer, written to be read beside its formula; families that are large have a file of
their own, ``reference_<family>.py``. Frame-wise functions take a batch of frames ``(B, *frame)``,
:func:`conv_lstm_2d` and those of ``WHOLE`` take values as they are, ``(N, T, *frame)`` or
``(N, *frame)``, and
:func:`run` interprets a :class:`~convlstm_native.spec.NetworkSpec`. What a function here does not
honour it refuses: an unknown layer or activation is an error, never a silent default.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import numpy as np
import reference_merging
import reference_time
from convlstm_native import spec
from convlstm_native.spec import NetworkSpec, same_padding, window_output
from numpy.typing import NDArray
from reference_activations import Array64, activation

States = MutableMapping[str, tuple[Array64, ...]]


# --- frame-wise layers: (B, *frame) -> (B, *frame) --------------------------------------------


def batch_normalization(layer: spec.BatchNormalization, x: Array64) -> Array64:
    """``x * scale + shift`` along one axis of the frame."""
    along_axis = [1] * x.ndim
    along_axis[layer.axis + 1] = -1
    scale, shift = (v.astype(np.float64).reshape(along_axis) for v in (layer.scale, layer.shift))
    return x * scale + shift


def layer_normalization(layer: spec.LayerNormalization, x: Array64) -> Array64:
    """Every frame scaled by its own mean and deviation, or norm, over some axes; then by weights."""
    axes = tuple(axis + 1 for axis in layer.axes)

    def mean(y: Array64) -> Array64:
        return np.mean(y, axis=axes, keepdims=True)

    deviation = np.sqrt(mean((x - mean(x)) ** 2) + layer.epsilon)
    y = {
        "layer": lambda: (x - mean(x)) / deviation,
        "variance": lambda: x / deviation,
        "rms": lambda: x / np.sqrt(mean(x**2) + layer.epsilon),
        "unit": lambda: (
            x / np.sqrt(np.maximum(np.sum(x**2, axis=axes, keepdims=True), layer.epsilon))
        ),
    }[layer.kind]()
    along = [n if axis in axes else 1 for axis, n in enumerate(x.shape)]
    if layer.scale is not None:
        y = y * layer.scale.astype(np.float64).reshape(along)
    if layer.shift is not None:
        y = y + layer.shift.astype(np.float64).reshape(along)
    return y


def max_pooling(layer: spec.MaxPooling, x: Array64) -> Array64:
    """The largest element of each window; places beyond the frame hold -inf and never win."""
    axes = list(zip(x.shape[1:], layer.pool_size, layer.strides, strict=True))
    if layer.padding == "same":
        pads = [same_padding(size, pool, stride) for size, pool, stride in axes]
        x = np.pad(x, [(0, 0), *pads], constant_values=-np.inf)
    sizes = [window_output(size, pool, stride, layer.padding) for size, pool, stride in axes]
    y = np.full((len(x), *sizes), -np.inf)
    for offsets in itertools.product(*map(range, layer.pool_size)):
        places = map(every, offsets, layer.strides, sizes)
        y = np.maximum(y, x[(slice(None), *places)])
    return y


def every(start: int, stride: int, count: int) -> slice:
    """The indices ``start + stride * n`` for ``0 <= n < count``."""
    return slice(start, start + stride * (count - 1) + 1, stride)


def dense(layer: spec.Dense, x: Array64) -> Array64:
    """``activation(x @ kernel + bias)`` over the last axis."""
    kernel, bias = layer.kernel.astype(np.float64), layer.bias.astype(np.float64)
    return activation(layer.activation, x @ kernel + bias)


def prelu(layer: spec.PReLU, x: Array64) -> Array64:
    """``x`` where it is not negative, ``x * slope`` elsewhere."""
    return np.where(x >= 0, x, x * layer.slope.astype(np.float64))


def flatten(layer: spec.Flatten, x: Array64) -> Array64:
    """The frame in row-major order."""
    return x.reshape(len(x), -1)


def reshape(layer: spec.Reshape, x: Array64) -> Array64:
    """The same numbers under another shape, in row-major order."""
    return x.reshape(len(x), *layer.shape)


def permute(layer: spec.Permute, x: Array64) -> Array64:
    """Axis ``i`` of the result is axis ``axes[i]``."""
    return x.transpose(0, *(axis + 1 for axis in layer.axes))


def take_slice(layer: spec.Slice, x: Array64) -> Array64:
    """``start <= index < stop`` along one axis of the frame."""
    return x[(slice(None),) * (layer.axis + 1) + (slice(layer.start, layer.stop),)]


FRAME_WISE: dict[type[spec.Layer], Callable[..., Array64]] = {
    spec.BatchNormalization: batch_normalization,
    spec.LayerNormalization: layer_normalization,
    spec.MaxPooling: max_pooling,
    spec.Dense: dense,
    spec.PReLU: prelu,
    spec.Flatten: flatten,
    spec.Reshape: reshape,
    spec.Permute: permute,
    spec.Activation: lambda layer, x: activation(layer.function, x),
    spec.Slice: take_slice,
}


# Layers that read several values or mix frames: (layer, arrays, what the spec knows of each).
WHOLE: dict[
    type[spec.Layer], Callable[[Any, list[Array64], list[spec.Value]], tuple[Array64, ...]]
] = {
    **reference_time.WHOLE,
    spec.Merge: reference_merging.merge,
    spec.Concatenate: reference_merging.concatenate,
    spec.Dot: reference_merging.dot,
}


def frame_wise(layer: spec.Layer, x: Array64, rank: int) -> Array64:
    """A frame-wise layer on ``(..., *frame)``; ``rank`` is the number of axes of the frame."""
    lead = x.shape[: x.ndim - rank]
    y = FRAME_WISE[type(layer)](layer, x.reshape(-1, *x.shape[x.ndim - rank :]))
    return y.reshape(*lead, *y.shape[1:])


# --- recurrent layers -------------------------------------------------------------------------


def conv2d(
    x: Array64,
    kernel: Array64,
    strides: tuple[int, int] = (1, 1),
    padding: str = "same",
    dilation: tuple[int, int] = (1, 1),
) -> Array64:
    """Cross-correlation of ``x`` (N, C, H, W) with ``kernel`` (O, C, kh, kw) -> (N, O, H', W').

    y[n, o, r, s] = sum over c, i, j of kernel[o, c, i, j] * x[n, c, r * stride + i * dilation, ...]
    """
    axes = list(zip(x.shape[2:], kernel.shape[2:], strides, dilation, strict=True))
    if padding == "same":
        x = np.pad(x, [(0, 0), (0, 0), *(same_padding(*axis) for axis in axes)])
    rows, cols = (window_output(n, k, s, padding, d) for n, k, s, d in axes)
    y = np.zeros((len(x), len(kernel), rows, cols))
    for i, j in np.ndindex(*kernel.shape[2:]):
        tap_rows = every(i * dilation[0], strides[0], rows)
        tap_cols = every(j * dilation[1], strides[1], cols)
        tap = x[:, :, tap_rows, tap_cols]
        y += np.einsum("nchw,oc->nohw", tap, kernel[:, :, i, j], optimize=True)
    return y


def recurrent_conv2d(h: Array64, kernel: Array64, groups: int) -> Array64:
    """``h`` (N, F, H, W) with ``kernel`` (4 * F, F / groups, kh, kw) -> (N, 4, F, H, W).

    The filters of a gate are those of the siblings in a row; a sibling sees its own h alone.
    """
    gates = kernel.reshape(4, h.shape[1], *kernel.shape[1:])
    parts = [
        conv2d(own_h, own.reshape(-1, *kernel.shape[1:])).reshape(len(h), 4, -1, *h.shape[2:])
        for own_h, own in zip(np.split(h, groups, 1), np.split(gates, groups, 1), strict=True)
    ]
    return np.concatenate(parts, axis=2)


def conv_lstm_2d(
    layer: spec.ConvLSTM2D, x: Array64, h0: Array64 | None = None, c0: Array64 | None = None
) -> tuple[Array64, Array64, Array64]:
    """``x`` (N, T, *frame), states (N, *state) -> y, and the last h and c.

    With W * x the input convolution, U * h the recurrent one (always stride 1, 'same', undilated),
    s the recurrent activation and g the activation:

        i = s(Wi * x + Ui * h + bi)         c = f c + i g(Wc * x + Uc * h + bc)
        f = s(Wf * x + Uf * h + bf)         h = o g(c)
        o = s(Wo * x + Uo * h + bo)

    y is every h, in the order in which they were computed, or only the last. norm and pool act on y
    alone, never on the states.
    """
    channels = 0 if layer.data_format == "channels_first" else 2  # their axis in a frame
    frames = np.moveaxis(np.asarray(x, np.float64), 2 + channels, 2)
    kernel, recurrent_kernel, bias = (
        w.astype(np.float64) for w in (layer.kernel, layer.recurrent_kernel, layer.bias)
    )

    def input_gates(frame: Array64) -> Array64:
        y = conv2d(frame, kernel, layer.strides, layer.padding, layer.dilation_rate)
        return (y + bias[:, None, None]).reshape(len(y), 4, layer.filters, *y.shape[2:])

    zeros = np.zeros_like(input_gates(frames[:, 0])[:, 0])
    h, c = (
        zeros if state is None else np.moveaxis(np.asarray(state, np.float64), 1 + channels, 1)
        for state in (h0, c0)
    )
    every_h = []
    steps = range(frames.shape[1])
    for t in reversed(steps) if layer.go_backwards else steps:
        gates = input_gates(frames[:, t]) + recurrent_conv2d(h, recurrent_kernel, layer.groups)
        i, f, o = (activation(layer.recurrent_activation, gates[:, k]) for k in (0, 1, 3))
        c = f * c + i * activation(layer.activation, gates[:, 2])
        h = o * activation(layer.activation, c)
        every_h.append(h)
    h, c = (np.moveaxis(state, 1, 1 + channels) for state in (h, c))
    y = np.moveaxis(np.stack(every_h, axis=1), 2, 2 + channels) if layer.return_sequences else h
    for fused in (layer.norm, layer.pool):
        if fused is not None:
            y = frame_wise(fused, y, rank=3)
    return y, h, c


# --- networks ---------------------------------------------------------------------------------


def run(
    network: NetworkSpec, inputs: Mapping[str, NDArray[np.generic]], states: States | None = None
) -> dict[str, Array64]:
    """The outputs of ``network`` by their names, in order.

    ``inputs`` holds sequences (N, T, *shape) and singles (N, *shape) by name. ``states`` keeps h
    and c of the stateful nodes, by node name, from call to call; without it each starts at zero.
    """
    shapes = network.values()
    values = {i.name: np.asarray(inputs[i.name], np.float64) for i in network.inputs}
    states = {} if states is None else states
    for node in network.nodes:
        given = [values[name] for name in node.inputs]
        if isinstance(node.layer, spec.ConvLSTM2D):
            # An initial state that is given wins over a kept one, as in Keras.
            start = given[1:] or states.get(node.name, ())
            y, h, c = conv_lstm_2d(node.layer, given[0], *start)
            if node.layer.stateful:
                states[node.name] = (h, c)
            results: tuple[Array64, ...] = (y, h, c) if node.layer.return_state else (y,)
        elif type(node.layer) in FRAME_WISE:
            results = (frame_wise(node.layer, given[0], rank=len(shapes[node.inputs[0]].shape)),)
        elif type(node.layer) in WHOLE:
            results = WHOLE[type(node.layer)](node.layer, given, [shapes[v] for v in node.inputs])
        else:
            raise TypeError(f"{spec.describe(node)}: the reference has no function for it")
        values.update(zip(node.outputs, results, strict=True))
    return {output.name: values[output.value] for output in network.outputs}
