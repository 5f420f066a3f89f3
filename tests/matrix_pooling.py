"""Layers that look at windows of a frame without weights."""

from __future__ import annotations

from matrix import Row, row

ROWS: list[Row] = [
    row(
        f"MaxPooling2D {size} {padding} {data_format}",
        (5, 7, 9, 8),
        lambda keras, x, a=(size, padding, data_format): keras.layers.TimeDistributed(
            keras.layers.MaxPooling2D(a[0], padding=a[1], data_format=a[2])
        )(x),
    )
    for size in (2, (3, 2))
    for padding in ("same", "valid")
    for data_format in ("channels_first", "channels_last")
]
