"""The spec: what a network is, independent of the file it came from and of the engine that runs it.

Readers produce a :class:`NetworkSpec`, rewrites map one to another, the ONNX writer and the lowering
consume it. A value is either a *sequence* (a tensor a frame; Keras shape ``(N, T, *shape)``) or a
*single* (a tensor a sample; Keras shape ``(N, *shape)``). ``shape`` never holds ``N`` or ``T``, keeps the
axis order of the Keras model, and every axis in it is a known, positive integer.

Weights are float32 in one canonical order: convolution kernels are OIHW, the gates of a recurrent layer
are stacked along O as i, f, c, o.
"""

from __future__ import annotations

from convlstm_native.activations import ACTIVATIONS, OVER_LAST_AXIS, Function
from convlstm_native.spec.base import (
    LARGEST_LENGTH,
    Array,
    Layer,
    Value,
    same_padding,
    window_output,
)
from convlstm_native.spec.dense import Activation, Dense, PReLU
from convlstm_native.spec.merging import MERGES, Concatenate, Dot, Merge
from convlstm_native.spec.network import (
    Input,
    NetworkSpec,
    Node,
    Output,
    Preprocessing,
    describe,
    weights,
)
from convlstm_native.spec.normalization import BatchNormalization, LayerNormalization
from convlstm_native.spec.pooling import MaxPooling
from convlstm_native.spec.recurrent import ConvLSTM2D
from convlstm_native.spec.shaping import Flatten, Permute, Reshape, Slice
from convlstm_native.spec.time import Collect, Emit, ReduceTime, Repeat, Reverse, Window

# Every layer, by the name that messages, tables and files use.
LAYERS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Activation,
        BatchNormalization,
        Collect,
        Concatenate,
        ConvLSTM2D,
        Dense,
        Dot,
        Emit,
        Flatten,
        LayerNormalization,
        MaxPooling,
        Merge,
        PReLU,
        Permute,
        ReduceTime,
        Repeat,
        Reshape,
        Reverse,
        Slice,
        Window,
    )
}

__all__ = [
    "ACTIVATIONS",
    "LARGEST_LENGTH",
    "LAYERS",
    "MERGES",
    "OVER_LAST_AXIS",
    "Activation",
    "Array",
    "BatchNormalization",
    "Collect",
    "Concatenate",
    "ConvLSTM2D",
    "Dense",
    "Dot",
    "Emit",
    "Flatten",
    "Function",
    "Input",
    "Layer",
    "LayerNormalization",
    "MaxPooling",
    "Merge",
    "NetworkSpec",
    "Node",
    "Output",
    "PReLU",
    "Permute",
    "Preprocessing",
    "ReduceTime",
    "Repeat",
    "Reshape",
    "Reverse",
    "Slice",
    "Value",
    "Window",
    "describe",
    "same_padding",
    "weights",
    "window_output",
]
