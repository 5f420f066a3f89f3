"""Convolutions in float64 NumPy, tap by tap."""

from __future__ import annotations

import numpy as np
from convlstm_native import spec
from reference_activations import Array64, activation

ALL = slice(None)


def convolution(layer: spec.Convolution, x: Array64) -> Array64:
    """y[f, p] = b[f] + sum over c, k of w[f, c, k] * x[c, p * stride + k * dilation - before]

    over the channels c of the group of f; the frames of a window are one more axis, of which every tap
    reads its own.
    """
    x, kernel, bias = _prepared(layer, x)
    window = [(1, 1, (0, 0))] * layer.window
    pads = layer.pads(x.shape[2 + layer.window :])
    axes = window + list(zip(layer.strides, layer.dilation_rate, pads, strict=True))
    x = np.pad(x, [(0, 0), (0, 0), *(pad for _, _, pad in axes)])
    places = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, (s, d, _) in zip(x.shape[2:], kernel.shape[2:], axes, strict=True)
    ]
    groups = np.split(x, layer.groups, axis=1), np.split(kernel, layer.groups, axis=0)
    parts = []
    for own_x, own in zip(*groups, strict=True):
        y = np.zeros((len(x), len(own), *places))
        for k in np.ndindex(*kernel.shape[2:]):
            taps = [
                slice(i * d, i * d + (n - 1) * s + 1, s)
                for i, n, (s, d, _) in zip(k, places, axes, strict=True)
            ]
            y += np.einsum("bc...,fc->bf...", own_x[(ALL, ALL, *taps)], own[(ALL, ALL, *k)])
        parts.append(y)
    y = np.concatenate(parts, axis=1)
    return _finished(layer, y[:, :, 0] if layer.window else y, bias)


def convolution_transpose(layer: spec.ConvolutionTranspose, x: Array64) -> Array64:
    """y[f, i * stride + k * dilation - before] += w[c, f, k] * x[c, i], and b[f].

    Frame k of a window meets the kernel's k.
    """
    x, kernel, bias = _prepared(layer, x)
    if layer.window:
        x = x.reshape(len(x), -1, *x.shape[3:])
        kernel = np.moveaxis(kernel, 2, 1)
        kernel = kernel.reshape(-1, *kernel.shape[2:])
    size, output = x.shape[2:], layer.output_size(x.shape[2:])
    axes = list(zip(layer.strides, layer.dilation_rate, layer.before, strict=True))
    whole = [
        max((n - 1) * s + (k - 1) * d + 1, before + out)
        for n, k, out, (s, d, before) in zip(size, kernel.shape[2:], output, axes, strict=True)
    ]
    y = np.zeros((len(x), kernel.shape[1], *whole))
    for k in np.ndindex(*kernel.shape[2:]):
        places = [
            slice(i * d, i * d + (n - 1) * s + 1, s)
            for i, n, (s, d, _) in zip(k, size, axes, strict=True)
        ]
        y[(ALL, ALL, *places)] += np.einsum("bc...,cf->bf...", x, kernel[(ALL, ALL, *k)])
    kept = [slice(before, before + out) for out, (_, _, before) in zip(output, axes, strict=True)]
    return _finished(layer, y[(ALL, ALL, *kept)], bias)


Geometry = spec.Convolution | spec.ConvolutionTranspose


def _prepared(layer: Geometry, x: Array64) -> tuple[Array64, Array64, Array64]:
    """x as (B, C, *size), or (B, C, k, *size) with a window; kernel and bias in float64."""
    if layer.data_format == "channels_last":
        x = np.moveaxis(x, -1, 1)
    elif layer.window:
        x = np.moveaxis(x, 1, 2)
    return x, layer.kernel.astype(np.float64), layer.bias.astype(np.float64)


def _finished(layer: Geometry, y: Array64, bias: Array64) -> Array64:
    y = y + bias.reshape(-1, *[1] * (y.ndim - 2))
    if layer.data_format == "channels_last":
        y = np.moveaxis(y, 1, -1)
    return activation(layer.activation, y)
