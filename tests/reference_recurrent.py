"""Recurrent layers in float64: a function a layer for one step, and the loop that all share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from convlstm_native import spec
from convlstm_native.spec import same_padding, window_output
from reference_activations import Array64, activation

# From a frame and the states to the next states, the output first.
Step = Callable[[Array64, tuple[Array64, ...]], tuple[Array64, ...]]


def recurrent(
    layer: spec.Recurrent,
    x: Array64,
    start: Sequence[Array64] = (),
    mask: Array64 | None = None,
) -> tuple[Array64, tuple[Array64, ...]]:
    """``x`` (N, T, *frame), states (N, *state), zeros where none are given -> y, and the last states.

    y is every h, in the order in which they were computed, or only the last. Where ``mask`` (N, T, 1)
    is 0 the states stay, and y is the y before (zeros in the first step) or zeros.
    """
    x = np.asarray(x, np.float64)
    shape = layer.state_shape(spec.Value(x.shape[2:], sequence=True))
    zeros = (np.zeros((len(x), *shape)),) * len(layer.STATES)
    states = tuple(np.asarray(state, np.float64) for state in start) or zeros
    step = STEPS[type(layer)](layer)
    y, every_y = zeros[0], []
    times = range(x.shape[1])
    for t in reversed(times) if layer.go_backwards else times:
        counts = np.ones(len(x), bool) if mask is None else mask[:, t, 0] == 1
        counts = counts.reshape(-1, *(1,) * len(shape))
        new = step(x[:, t], states)
        y = np.where(counts, new[0], 0 if layer.zero_output_for_mask else y)
        states = tuple(np.where(counts, *pair) for pair in zip(new, states, strict=True))
        every_y.append(y)
    return np.stack(every_y, axis=1) if layer.return_sequences else y, states


def masking(layer: spec.Masking, x: Array64) -> tuple[Array64, Array64]:
    """``x`` (N, T, ...) with zeros where all of a frame are ``value``, and (N, T, 1) where not."""
    counts = (x != np.float32(layer.value)).any(axis=tuple(range(2, x.ndim)))
    shown = counts.reshape(*counts.shape, *[1] * (x.ndim - 2))
    return np.where(shown, x, 0), counts[..., None].astype(np.float64)


def lstm_gates(layer: Any, gates: Sequence[Array64], c: Array64) -> tuple[Array64, Array64]:
    """h and c from the sums of the gates, s the recurrent activation and g the activation:

    c = s(f) c + s(i) g(c~)
    h = s(o) g(c)
    """
    i, f, o = (activation(layer.recurrent_activation, gates[k]) for k in (0, 1, 3))
    c = f * c + i * activation(layer.activation, gates[2])
    return o * activation(layer.activation, c), c


# --- vectors -----------------------------------------------------------------------------------


def weights_of(layer: spec.VectorRecurrent) -> tuple[Array64, Array64, Array64]:
    """The kernel W of x, the kernel U of h, the bias b."""
    w, u, b = (v.astype(np.float64) for v in (layer.kernel, layer.recurrent_kernel, layer.bias))
    return w, u, b


def lstm(layer: spec.LSTM) -> Step:
    """Gates x W + h U + b, in the order i, f, c, o."""
    w, u, b = weights_of(layer)

    def step(x: Array64, states: tuple[Array64, ...]) -> tuple[Array64, ...]:
        h, c = states
        return lstm_gates(layer, np.split(x @ w + h @ u + b, 4, axis=1), c)

    return step


def gru(layer: spec.GRU) -> Step:
    """With s the recurrent activation, g the activation, d the recurrent bias:

    z = s(x Wz + h Uz + bz + dz)          h = z h + (1 - z) a
    r = s(x Wr + h Ur + br + dr)
    a = g(x Wh + bh + r (h Uh + dh))      with reset_after, and without
    a = g(x Wh + bh + (r h) Uh)
    """
    w, u, b = weights_of(layer)
    d = np.zeros_like(b)
    if layer.recurrent_bias is not None:
        d = layer.recurrent_bias.astype(np.float64)
    (wz, wr, wh), (uz, ur, uh) = (np.split(kernel, 3, axis=1) for kernel in (w, u))
    (bz, br, bh), (dz, dr, dh) = np.split(b, 3), np.split(d, 3)

    def step(x: Array64, states: tuple[Array64, ...]) -> tuple[Array64, ...]:
        (h,) = states
        z = activation(layer.recurrent_activation, x @ wz + h @ uz + bz + dz)
        r = activation(layer.recurrent_activation, x @ wr + h @ ur + br + dr)
        recurrent_part = r * (h @ uh + dh) if layer.reset_after else (r * h) @ uh
        a = activation(layer.activation, x @ wh + bh + recurrent_part)
        return (z * h + (1 - z) * a,)

    return step


def simple_rnn(layer: spec.SimpleRNN) -> Step:
    """h = g(x W + h U + b)"""
    w, u, b = weights_of(layer)
    return lambda x, states: (activation(layer.activation, x @ w + states[0] @ u + b),)


# --- maps --------------------------------------------------------------------------------------


def conv(
    x: Array64,
    kernel: Array64,
    strides: Sequence[int],
    padding: str,
    dilation: Sequence[int],
) -> Array64:
    """Cross-correlation of ``x`` (N, C, *map) with ``kernel`` (O, C, *size) -> (N, O, *map').

    y[n, o, p] = sum over c, k of kernel[o, c, k] * x[n, c, p * stride + k * dilation]
    """
    axes = list(zip(x.shape[2:], kernel.shape[2:], strides, dilation, strict=True))
    if padding == "same":
        x = np.pad(x, [(0, 0), (0, 0), *(same_padding(*axis) for axis in axes)])
    sizes = [window_output(n, k, s, padding, d) for n, k, s, d in axes]
    y = np.zeros((len(x), len(kernel), *sizes))
    for place in np.ndindex(*kernel.shape[2:]):
        starts = np.multiply(place, dilation)
        taps = [
            slice(start, start + stride * (size - 1) + 1, stride)
            for start, stride, size in zip(starts, strides, sizes, strict=True)
        ]
        tap = x[(slice(None), slice(None), *taps)]
        y += np.einsum("nc...,oc->no...", tap, kernel[(..., *place)], optimize=True)
    return y


def recurrent_conv(h: Array64, kernel: Array64, groups: int) -> Array64:
    """``h`` (N, F, *map) with ``kernel`` (4 * F, F / groups, *size) -> (N, 4, F, *map).

    Stride 1, 'same', undilated. The filters of a gate are those of the siblings in a row; a sibling
    sees its own h alone.
    """
    ones = (1,) * (h.ndim - 2)
    gates = kernel.reshape(4, h.shape[1], *kernel.shape[1:])
    parts = [
        conv(own_h, own.reshape(-1, *kernel.shape[1:]), ones, "same", ones).reshape(
            len(h), 4, -1, *h.shape[2:]
        )
        for own_h, own in zip(np.split(h, groups, 1), np.split(gates, groups, 1), strict=True)
    ]
    return np.concatenate(parts, axis=2)


def conv_lstm(layer: spec.ConvLSTM) -> Step:
    """Gates W * x + U * h + b, in the order i, f, c, o; * is a convolution."""
    kernel, recurrent_kernel, bias = (
        w.astype(np.float64) for w in (layer.kernel, layer.recurrent_kernel, layer.bias)
    )
    groups = layer.groups if isinstance(layer, spec.ConvLSTM2D) else 1
    channels = 1 + layer.channel_axis

    def step(x: Array64, states: tuple[Array64, ...]) -> tuple[Array64, ...]:
        x, h, c = (np.moveaxis(array, channels, 1) for array in (x, *states))
        gates = conv(x, kernel, layer.strides, layer.padding, layer.dilation_rate)
        gates += bias.reshape(-1, *(1,) * layer.RANK)
        both = gates.reshape(len(x), 4, layer.filters, *gates.shape[2:])
        both = both + recurrent_conv(h, recurrent_kernel, groups)
        h, c = lstm_gates(layer, np.moveaxis(both, 1, 0), c)
        return np.moveaxis(h, 1, channels), np.moveaxis(c, 1, channels)

    return step


STEPS: dict[type[spec.Layer], Callable[[Any], Step]] = {
    spec.ConvLSTM1D: conv_lstm,
    spec.ConvLSTM2D: conv_lstm,
    spec.ConvLSTM3D: conv_lstm,
    spec.LSTM: lstm,
    spec.GRU: gru,
    spec.SimpleRNN: simple_rnn,
}
