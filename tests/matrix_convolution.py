"""Convolutions over the axes of a frame and over time."""

from __future__ import annotations

from typing import Any

from matrix import Row, row

FORMATS = ("channels_last", "channels_first")


def frame_wise(
    id: str, frame: tuple[int, ...], kind: str, length: int | None = 3, **arguments: Any
) -> Row:
    """A row of one layer in TimeDistributed."""
    return row(
        f"TimeDistributed {kind} {id}",
        (length, *frame),
        lambda keras, x: keras.layers.TimeDistributed(getattr(keras.layers, kind)(**arguments))(x),
    )


# Each a different argument, on maps of odd sizes; 6 channels in both formats.
CONV2D: dict[str, dict[str, Any]] = {
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
ROWS: list[Row] = [
    frame_wise(
        f"{name} {form}",
        (9, 11, 6) if form == "channels_last" else (6, 9, 11),
        "Conv2D",
        filters=6,
        data_format=form,
        **arguments,
    )
    for name, arguments in CONV2D.items()
    for form in FORMATS
]
