"""Keras layers that remember."""

from __future__ import annotations

import numpy as np

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Parse, one, take
from convlstm_native.spec import Array


def _convlstm2d(args: Arguments) -> Builder:
    filters = args.count("filters")
    rows, cols = args.counts("kernel_size", 2, None)
    row_stride, col_stride = args.counts("strides", 2, 1)
    row_rate, col_rate = args.counts("dilation_rate", 2, 1)
    padding = args.choice("padding", ("valid", "same"), "valid")
    data_format = args.data_format()
    activation = args.function("activation", "tanh")
    gate = args.function(
        "recurrent_activation", "sigmoid" if args.keras_major >= 3 else "hard_sigmoid"
    )
    use_bias = args.flag("use_bias", True)
    return_sequences = args.flag("return_sequences", False)
    return_state = args.flag("return_state", False)
    go_backwards = args.flag("go_backwards", False)
    stateful = args.flag("stateful", False)
    args.off("time_major", "zero_output_for_mask")
    what = args.what

    def layer(site: CallSite) -> spec.Layer:
        x = site.value
        if not x.sequence or len(x.shape) != 3:
            raise UnsupportedModelError(f"expected a sequence of rank-3 frames, found {x}")
        channels = x.shape[0 if data_format == "channels_first" else 2]
        shapes: dict[str, tuple[int, ...]] = {
            "kernel": (rows, cols, channels, 4 * filters),
            "recurrent_kernel": (rows, cols, filters, 4 * filters),
        }
        if use_bias:
            shapes["bias"] = (4 * filters,)
        weights = take(site, what, **shapes)
        return spec.ConvLSTM2D(
            filters=filters,
            kernel_size=(rows, cols),
            kernel=_oihw(weights["kernel"], site.flip),
            recurrent_kernel=_oihw(weights["recurrent_kernel"], site.flip),
            bias=weights.get("bias", np.zeros(4 * filters, np.float32)),
            strides=(row_stride, col_stride),
            padding=padding,
            data_format=data_format,
            dilation_rate=(row_rate, col_rate),
            activation=activation,
            recurrent_activation=gate,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            initial_state=len(site.inputs) == 3,
        )

    return one(layer)


def _oihw(kernel: Array, flip: bool) -> Array:
    """Keras' ``(rows, cols, in, out)`` as ``(out, in, rows, cols)``; gates stay i, f, c, o."""
    if flip:
        kernel = kernel[::-1, ::-1]
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))


LAYERS: dict[str, Parse] = {"ConvLSTM2D": _convlstm2d}
READS_TIME = RECURRENT = frozenset(LAYERS)
