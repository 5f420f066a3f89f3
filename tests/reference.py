"""What every layer computes, in float64 NumPy: the specification that the engine is tested against.

One function a layer, written to be read beside its formula; families that are large have a file of
their own, ``reference_<family>.py``. Frame-wise functions take a batch of frames ``(B, *frame)``,
recurrent ones and those of ``WHOLE`` take values as they are, ``(N, T, *frame)`` or
``(N, *frame)``, and :func:`run` interprets a :class:`~convlstm_native.spec.NetworkSpec`. What a
function here does not honour it refuses: an unknown layer or activation is an error, never a silent
default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import numpy as np
import reference_merging
import reference_pooling
import reference_resizing
import reference_time
from convlstm_native import spec
from convlstm_native.spec import NetworkSpec
from numpy.typing import NDArray
from reference_activations import Array64, activation
from reference_convolution import (
    convolution,
    convolution_transpose,
)
from reference_recurrent import (
    masking,
    recurrent,
)

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
    spec.Convolution: convolution,
    spec.ConvolutionTranspose: convolution_transpose,
    spec.Dense: dense,
    spec.PReLU: prelu,
    spec.Flatten: flatten,
    spec.Reshape: reshape,
    spec.Permute: permute,
    spec.Activation: lambda layer, x: activation(layer.function, x),
    spec.Slice: take_slice,
    **reference_pooling.FRAME_WISE,
    **reference_resizing.FRAME_WISE,
}


# Layers that read several values or mix frames: (layer, arrays, what the spec knows of each).
WHOLE: dict[
    type[spec.Layer], Callable[[Any, list[Array64], list[spec.Value]], tuple[Array64, ...]]
] = {
    **reference_time.WHOLE,
    spec.Masking: lambda layer, x, _: masking(layer, x[0]),
    spec.Merge: reference_merging.merge,
    spec.Concatenate: reference_merging.concatenate,
    spec.Dot: reference_merging.dot,
}


def frame_wise(layer: spec.Layer, x: Array64, rank: int) -> Array64:
    """A frame-wise layer on ``(..., *frame)``; ``rank`` is the number of axes of the frame."""
    lead = x.shape[: x.ndim - rank]
    y = FRAME_WISE[type(layer)](layer, x.reshape(-1, *x.shape[x.ndim - rank :]))
    return y.reshape(*lead, *y.shape[1:])


# --- networks ---------------------------------------------------------------------------------


def fused(layer: spec.Recurrent, y: Array64) -> Array64:
    """``y`` behind the norm and the pool that the rewrites put into a ConvLSTM2D; states never are."""
    if isinstance(layer, spec.ConvLSTM2D):
        for behind in (layer.norm, layer.pool):
            y = y if behind is None else frame_wise(behind, y, rank=3)
    return y


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
        results: tuple[Array64, ...]
        if isinstance(node.layer, spec.Recurrent):
            # An initial state that is given wins over a kept one, as in Keras.
            masks, start = given[1 : 1 + node.layer.masked], given[1 + node.layer.masked :]
            kept = states.get(node.name, ())
            y, last = recurrent(node.layer, given[0], start or kept, *masks)
            if node.layer.stateful:
                states[node.name] = last
            results = (fused(node.layer, y), *(last if node.layer.return_state else ()))
        elif type(node.layer) in FRAME_WISE:
            results = (frame_wise(node.layer, given[0], rank=len(shapes[node.inputs[0]].shape)),)
        elif type(node.layer) in WHOLE:
            results = WHOLE[type(node.layer)](node.layer, given, [shapes[v] for v in node.inputs])
        else:
            raise TypeError(f"{spec.describe(node)}: the reference has no function for it")
        values.update(zip(node.outputs, results, strict=True))
    return {output.name: values[output.value] for output in network.outputs}
