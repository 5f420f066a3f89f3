"""Layers that scale a frame."""

from __future__ import annotations

from matrix import Row, layer

ROWS: list[Row] = [
    layer(f"BatchNormalization {axis}", (5, 4, 6, 3), "BatchNormalization", axis=axis)
    for axis in (-1, 2, 3)
]
