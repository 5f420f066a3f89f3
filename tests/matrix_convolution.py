"""Convolutions over the axes of a frame and over time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matrix import Row, distributed, over_time, row, single

FORMATS = ("channels_last", "channels_first")
Cases = dict[str, dict[str, Any]]


def in_both_formats(kind: str, size: tuple[int, ...], cases: Cases, **common: Any) -> Iterator[Row]:
    """Every case on frames of 6 channels, in both formats."""
    for name, arguments in cases.items():
        for form in FORMATS:
            frame = (*size, 6) if form == "channels_last" else (6, *size)
            every = {**common, **arguments}
            id = f"TimeDistributed {kind} {name} {form}"
            yield distributed(id, (5, *frame), kind, data_format=form, **every)


def along_time(kind: str, size: tuple[int, ...], cases: Cases, **common: Any) -> Iterator[Row]:
    """Every case with time as the first axis of the kernel; an argument ``frames`` is their number."""
    for name, arguments in cases.items():
        every = {**common, **arguments}
        frames = every.pop("frames", 7)
        yield over_time(f"{kind} over time {name}", (frames, *size, 6), kind, **every)


def behind_a_cell(kind: str, **arguments: Any) -> Row:
    """A row of one layer behind a cell that keeps its last state alone."""
    return row(
        f"{kind} on the last state of a cell",
        (5, 7, 6, 2),
        lambda keras, x: getattr(keras.layers, kind)(**arguments)(
            keras.layers.ConvLSTM2D(4, 3, padding="same")(x)
        ),
        tolerance="keras conv_lstm",
    )


# Each a different argument, on maps of odd sizes.
CONV1D: Cases = {
    "valid": {"kernel_size": 3},
    "same even": {"kernel_size": 4, "padding": "same"},
    "causal": {"kernel_size": 3, "padding": "causal"},
    "causal dilation": {"kernel_size": 3, "padding": "causal", "dilation_rate": 2},
    "causal strides": {"kernel_size": 3, "padding": "causal", "strides": 2},
    "strides same": {"kernel_size": 5, "padding": "same", "strides": (3,)},
    "dilation": {"kernel_size": [3], "dilation_rate": 3},
    "groups": {"kernel_size": 3, "groups": 2},
    "one place": {"kernel_size": 1, "activation": "sigmoid"},
    "softmax": {"kernel_size": 2, "activation": "softmax"},
}
CONV2D: Cases = {
    "3x3": {"kernel_size": 3},
    "same": {"kernel_size": 3, "padding": "same"},
    "1x1": {"kernel_size": 1},
    "even same": {"kernel_size": (2, 4), "padding": "same"},
    "long": {"kernel_size": [1, 5], "padding": "SAME"},
    "strides": {"kernel_size": 3, "strides": 2},
    "strides same": {"kernel_size": (5, 3), "strides": (3, 2), "padding": "same"},
    "stride beyond kernel": {"kernel_size": 1, "strides": (2, 3)},
    "stride 4": {"kernel_size": 5, "strides": 4, "padding": "same"},
    "dilation": {"kernel_size": 3, "dilation_rate": 2},
    "dilation same": {"kernel_size": (2, 3), "dilation_rate": (3, 2), "padding": "same"},
    "groups": {"kernel_size": 3, "groups": 2},
    "groups same strides": {"kernel_size": 3, "groups": 3, "strides": 2, "padding": "same"},
    "no bias": {"kernel_size": 3, "use_bias": False},
    "relu": {"kernel_size": 3, "activation": "relu"},
    "tanh same": {"kernel_size": 3, "activation": "tanh", "padding": "same"},
    "softmax": {"kernel_size": 2, "activation": "softmax"},
}
CONV3D: Cases = {
    "valid": {"kernel_size": 2},
    "same": {"kernel_size": 3, "padding": "same"},
    "strides": {"kernel_size": (3, 2, 1), "strides": (2, 1, 2), "padding": "same"},
    "dilation": {"kernel_size": 2, "dilation_rate": (1, 2, 3)},
    "groups": {"kernel_size": (1, 3, 3), "groups": 3},
    "relu": {"kernel_size": (2, 1, 2), "activation": "relu", "use_bias": False},
}
DEPTHWISE1D: Cases = {
    "valid": {"kernel_size": 3},
    "same": {"kernel_size": 4, "padding": "same", "depth_multiplier": 2},
    "strides": {"kernel_size": 3, "strides": 2, "use_bias": False},
    "dilation": {"kernel_size": 3, "dilation_rate": 2, "activation": "relu"},
}
DEPTHWISE2D: Cases = {
    "valid": {"kernel_size": 3},
    "same": {"kernel_size": 3, "padding": "same"},
    "strides": {"kernel_size": (3, 2), "strides": 2},
    "strides same": {"kernel_size": 5, "strides": 2, "padding": "same"},
    "dilation": {"kernel_size": 2, "dilation_rate": (2, 3), "padding": "same"},
    "multiplier": {"kernel_size": 3, "depth_multiplier": 3},
    "no bias": {"kernel_size": 3, "use_bias": False},
    "tanh": {"kernel_size": 3, "activation": "tanh"},
}
SEPARABLE1D: Cases = {
    "valid": {"kernel_size": 3},
    "same multiplier": {"kernel_size": 4, "padding": "same", "depth_multiplier": 2},
    "strides": {"kernel_size": 3, "strides": 2, "use_bias": False},
    "dilation": {"kernel_size": 3, "dilation_rate": 2, "activation": "softmax"},
}
SEPARABLE2D: Cases = {
    "valid": {"kernel_size": 3},
    "same": {"kernel_size": (3, 2), "padding": "same"},
    "strides": {"kernel_size": 3, "strides": 2, "padding": "same"},
    "dilation": {"kernel_size": 3, "dilation_rate": 2},
    "multiplier": {"kernel_size": 3, "depth_multiplier": 2, "activation": "relu"},
    "no bias": {"kernel_size": 1, "use_bias": False},
}
TRANSPOSE1D: Cases = {
    "valid": {"kernel_size": 3},
    "same": {"kernel_size": 4, "padding": "same"},
    "strides": {"kernel_size": 3, "strides": 2, "padding": "same"},
    "stride beyond kernel": {"kernel_size": 2, "strides": 3},
    "stride beyond kernel same": {"kernel_size": 1, "strides": 3, "padding": "same"},
    "output_padding": {"kernel_size": 3, "strides": 3, "output_padding": 1, "padding": "same"},
    "dilation": {"kernel_size": 3, "dilation_rate": 2, "activation": "relu"},
}
TRANSPOSE2D: Cases = {
    "valid": {"kernel_size": 3},
    "same": {"kernel_size": 3, "padding": "same"},
    "strides": {"kernel_size": 3, "strides": 2},
    "strides same": {"kernel_size": (2, 5), "strides": (2, 3), "padding": "same"},
    "stride beyond kernel": {"kernel_size": (2, 1), "strides": 3},
    "output_padding": {"kernel_size": 3, "strides": 2, "output_padding": 1},
    "output_padding 0": {"kernel_size": 3, "strides": 2, "output_padding": 0, "padding": "same"},
    "output_padding same": {
        **{"kernel_size": (3, 4), "strides": (2, 3), "padding": "same"},
        "output_padding": (1, 2),
    },
    "dilation same": {
        "kernel_size": 3,
        "dilation_rate": (2, 3),
        "padding": "same",
        "keras2": False,
    },
    "dilation": {"kernel_size": 2, "dilation_rate": 3},
    "no bias": {"kernel_size": 3, "strides": 2, "use_bias": False},
    "sigmoid": {"kernel_size": 11, "strides": 4, "padding": "same", "activation": "sigmoid"},
    "softmax": {"kernel_size": 2, "strides": 2, "activation": "softmax"},
}
TRANSPOSE3D: Cases = {
    "valid": {"kernel_size": 2},
    "strides same": {"kernel_size": 3, "strides": 2, "padding": "same"},
    "mixed": {"kernel_size": (1, 2, 3), "strides": (3, 1, 2), "activation": "tanh"},
    "output_padding": {"kernel_size": 3, "strides": 2, "output_padding": (0, 1, 0)},
}
# Along time the length of the sequence matters to 'same' with a stride alone.
TIME: Cases = {
    "valid": {"kernel_size": 3},
    "same": {"kernel_size": 3, "padding": "same"},
    "same, any length": {"kernel_size": 2, "padding": "same", "frames": None},
    "valid strides, any length": {"kernel_size": 3, "strides": 2, "frames": None},
    "strides same": {"kernel_size": 3, "strides": 2, "padding": "same"},
    "stride beyond kernel": {"kernel_size": 1, "strides": 3},
    "dilation same": {"kernel_size": 2, "dilation_rate": 2, "padding": "same"},
    "dilation": {"kernel_size": 3, "dilation_rate": 2, "activation": "relu"},
    "groups": {"kernel_size": 3, "groups": 2},
    "softmax": {"kernel_size": 2, "activation": "softmax", "use_bias": False},
}
CAUSAL: Cases = {
    "causal": {"kernel_size": 3, "padding": "causal"},
    "causal, any length": {
        **{"kernel_size": 3, "padding": "causal", "dilation_rate": 2},
        "frames": None,
    },
    "causal strides": {"kernel_size": 2, "padding": "causal", "strides": 2},
}
MIXED: Cases = {
    "mixed": {"kernel_size": (3, 2, 1), "strides": (1, 2, 1), "padding": "same"},
    "only time": {"kernel_size": (3, 1, 1)},
    "only space": {"kernel_size": (1, 3, 3), "padding": "same", "frames": None},
    "sigmoid": {"kernel_size": 3, "padding": "same", "activation": "sigmoid", "filters": 1},
}
TRANSPOSED_TIME: Cases = {
    "valid": {"kernel_size": 3},
    "same": {"kernel_size": 3, "padding": "same", "frames": None},
    "strides": {"kernel_size": 3, "strides": 2, "frames": None},
    "strides same": {"kernel_size": 4, "strides": 2, "padding": "same"},
    "stride beyond kernel": {"kernel_size": 2, "strides": 3, "frames": None},
    "stride beyond kernel same": {"kernel_size": 1, "strides": 2, "padding": "same"},
    "output_padding": {"kernel_size": 3, "strides": 2, "output_padding": 1},
    "output_padding same": {
        **{"kernel_size": 3, "strides": 3, "output_padding": 0, "padding": "same"},
        "activation": "relu",
    },
    "dilation": {"kernel_size": 3, "dilation_rate": 2, "use_bias": False},
}


def channels_first_over_time() -> Iterator[Row]:
    """Time is the channel axis, and the result has no time."""
    for kind, size, arguments in (
        ("Conv1D", (9,), {"filters": 4, "kernel_size": 3}),
        ("Conv2D", (7, 8), {"filters": 4, "kernel_size": 3, "padding": "same"}),
        ("Conv3D", (4, 5, 6), {"filters": 4, "kernel_size": 2}),
        ("DepthwiseConv2D", (7, 8), {"kernel_size": 3}),
        ("SeparableConv2D", (7, 8), {"filters": 3, "kernel_size": 3}),
        ("Conv2DTranspose", (7, 8), {"filters": 4, "kernel_size": 3, "strides": 2}),
    ):
        id = f"{kind} over time channels_first"
        yield over_time(id, (7, *size), kind, data_format="channels_first", **arguments)


ROWS: list[Row] = [
    *in_both_formats("Conv1D", (11,), CONV1D, filters=6),
    *in_both_formats("Conv2D", (9, 11), CONV2D, filters=6),
    *in_both_formats("Conv3D", (5, 7, 6), CONV3D, filters=3),
    *in_both_formats("DepthwiseConv1D", (11,), DEPTHWISE1D),
    *in_both_formats("DepthwiseConv2D", (9, 11), DEPTHWISE2D),
    *in_both_formats("SeparableConv1D", (11,), SEPARABLE1D, filters=5),
    *in_both_formats("SeparableConv2D", (9, 11), SEPARABLE2D, filters=5),
    *in_both_formats("Conv1DTranspose", (7,), TRANSPOSE1D, filters=4),
    *in_both_formats("Conv2DTranspose", (5, 6), TRANSPOSE2D, filters=4),
    *in_both_formats("Conv3DTranspose", (3, 4, 5), TRANSPOSE3D, filters=2),
    *along_time("Conv1D", (), {**TIME, **CAUSAL}, filters=6),
    *along_time("Conv2D", (8,), TIME, filters=6),
    *along_time("Conv3D", (5, 6), {**TIME, **MIXED}, filters=6),
    *along_time("DepthwiseConv1D", (), DEPTHWISE1D),
    *along_time("DepthwiseConv2D", (8,), DEPTHWISE2D),
    *along_time("SeparableConv1D", (), SEPARABLE1D, filters=5),
    *along_time("SeparableConv2D", (8,), SEPARABLE2D, filters=5),
    *along_time("Conv1DTranspose", (), TRANSPOSED_TIME, filters=4),
    *along_time("Conv2DTranspose", (5,), TRANSPOSED_TIME, filters=4),
    *along_time("Conv3DTranspose", (3, 4), TRANSPOSED_TIME, filters=4),
    *channels_first_over_time(),
    behind_a_cell("Conv2D", filters=3, kernel_size=3, padding="same", activation="relu"),
    behind_a_cell("DepthwiseConv2D", kernel_size=3),
    behind_a_cell("SeparableConv2D", filters=3, kernel_size=3),
    behind_a_cell("Conv2DTranspose", filters=3, kernel_size=3, strides=2),
    single("Conv1D on a single", (9, 3), "Conv1D", filters=4, kernel_size=3, padding="causal"),
    single("Conv2D on a single", (9, 8, 3), "Conv2D", filters=4, kernel_size=3, strides=2),
    single("SeparableConv1D on a single", (9, 3), "SeparableConv1D", filters=4, kernel_size=3),
    single("Conv2DTranspose on a single", (4, 5, 3), "Conv2DTranspose", filters=2, kernel_size=3),
]
