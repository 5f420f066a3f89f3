"""Layers that move the numbers of a frame."""

from __future__ import annotations

from matrix import Row, row

ROWS: list[Row] = [
    row(
        "TimeDistributed Flatten",
        (5, 4, 6, 3),
        lambda keras, x: keras.layers.TimeDistributed(keras.layers.Flatten())(x),
    ),
]
