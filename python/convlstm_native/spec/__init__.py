"""The spec: what a network is, independent of the file it came from and of the engine that runs it.

Readers produce a :class:`NetworkSpec`, rewrites map one to another, the ONNX writer and the lowering
consume it. A value is either a *sequence* (a tensor a frame; Keras shape ``(N, T, *shape)``) or a
*single* (a tensor a sample; Keras shape ``(N, *shape)``). ``shape`` never holds ``N`` or ``T``, keeps the
axis order of the Keras model, and every axis in it is a known, positive integer.

Weights are float32 in one canonical order: convolution kernels are OIHW, the gates of a recurrent layer
are stacked along O as i, f, c, o (:mod:`.recurrent` names those of each layer).
"""

from __future__ import annotations

from convlstm_native.activations import ACTIVATIONS, LINEAR, OVER_LAST_AXIS, Function
from convlstm_native.spec.base import (
    LARGEST_LENGTH,
    Array,
    Layer,
    Value,
    same_padding,
    window_output,
)
from convlstm_native.spec.convolution import (
    Convolution,
    ConvolutionTranspose,
    transposed,
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
from convlstm_native.spec.pooling import AveragePooling, MaxPooling, Pooling, Reduce
from convlstm_native.spec.recurrent import (
    GRU,
    LSTM,
    ConvLSTM,
    ConvLSTM1D,
    ConvLSTM2D,
    ConvLSTM3D,
    Masking,
    Recurrent,
    SimpleRNN,
    VectorRecurrent,
)
from convlstm_native.spec.resizing import (
    INTERPOLATIONS,
    Pad,
    Resize,
    interpolation_weights,
)
from convlstm_native.spec.shaping import Flatten, Permute, Reshape, Slice
from convlstm_native.spec.time import Collect, Emit, ReduceTime, Repeat, Reverse, Window

# Every layer, by the name that messages, tables and files use.
LAYERS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Activation,
        AveragePooling,
        BatchNormalization,
        Collect,
        ConvLSTM1D,
        Concatenate,
        ConvLSTM2D,
        ConvLSTM3D,
        Convolution,
        ConvolutionTranspose,
        Dense,
        Dot,
        Emit,
        Flatten,
        GRU,
        LSTM,
        LayerNormalization,
        Masking,
        MaxPooling,
        Merge,
        PReLU,
        Permute,
        ReduceTime,
        Repeat,
        Reshape,
        Pad,
        Reduce,
        Resize,
        Reverse,
        SimpleRNN,
        Slice,
        Window,
    )
}

__all__ = [
    "ACTIVATIONS",
    "GRU",
    "INTERPOLATIONS",
    "LARGEST_LENGTH",
    "LAYERS",
    "LINEAR",
    "LSTM",
    "MERGES",
    "OVER_LAST_AXIS",
    "Activation",
    "Array",
    "AveragePooling",
    "BatchNormalization",
    "Collect",
    "Concatenate",
    "ConvLSTM",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Convolution",
    "ConvolutionTranspose",
    "Dense",
    "Dot",
    "Emit",
    "Flatten",
    "Function",
    "Input",
    "Layer",
    "LayerNormalization",
    "Masking",
    "MaxPooling",
    "Merge",
    "NetworkSpec",
    "Node",
    "Output",
    "PReLU",
    "Pad",
    "Permute",
    "Pooling",
    "Preprocessing",
    "Recurrent",
    "Reduce",
    "ReduceTime",
    "Repeat",
    "Reshape",
    "Resize",
    "Reverse",
    "SimpleRNN",
    "Slice",
    "Value",
    "VectorRecurrent",
    "Window",
    "describe",
    "interpolation_weights",
    "same_padding",
    "transposed",
    "weights",
    "window_output",
]
