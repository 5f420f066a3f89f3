"""Layers that make one tensor of several."""

from __future__ import annotations

from typing import Any

import numpy as np
from matrix import Row

MAPS = (5, 4, 6, 3)
FUNCTIONS = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")


def merged(id: str, shapes: tuple[tuple[int | None, ...], ...], kind: str, **arguments: Any) -> Row:
    """A row of one merging layer on inputs of these shapes."""
    return Row(id, shapes, lambda keras, *xs: getattr(keras.layers, kind)(**arguments)(list(xs)))


def behind_cells(id: str, kind: str, data_format: str, **arguments: Any) -> Row:
    """A row of a merging layer on the maps of two ConvLSTM2D, frame by frame."""

    def build(keras: Any, x: Any) -> Any:
        branches = [
            keras.layers.ConvLSTM2D(
                2, size, padding="same", data_format=data_format, return_sequences=True
            )(x)
            for size in (1, 3)
        ]
        return getattr(keras.layers, kind)(**arguments)(branches)

    return Row(f"{id} behind cells {data_format}", (MAPS,), build, tolerance="keras conv_lstm")


def combined(id: str, build: Any, *shapes: tuple[int | None, ...], keras2: bool = False) -> Row:
    """A row of what ``build`` makes of tensors, by operations."""
    return Row(id, shapes or (MAPS, MAPS), build, keras2=keras2)


ROWS: list[Row] = [
    # Time is mixed, or of one length only.
    *(merged(f"Concatenate {axis}", (MAPS, MAPS), "Concatenate", axis=axis) for axis in (1, -4)),
    merged("Concatenate of two lengths", (MAPS, (2, 4, 6, 3)), "Concatenate", axis=1),
    merged("Add to one frame", (MAPS, (1, 4, 6, 3)), "Add"),
    merged("Multiply one frame", ((1, 4, 6, 3), MAPS), "Multiply"),
    Row(
        "Add of a repeated vector",
        ((5, 7), (7,)),
        lambda keras, x, y: keras.layers.Add()(
            [
                keras.layers.TimeDistributed(keras.layers.Dense(7))(x),
                keras.layers.RepeatVector(5)(y),
            ]
        ),
    ),
    *(
        merged(f"Dot {axes} of {a} and {b}", (a, b), "Dot", axes=axes)
        for a, b, axes in [
            ((5,), (5,), 1),
            ((5,), (5,), -1),
            ((5, 3), (5, 3), 2),
            ((5, 3), (5, 3), 1),
            ((5, 3), (4, 5), (1, 2)),
            ((5, 3), (4, 3), -1),
            ((5, 4, 3), (5, 2), (1, 1)),
            ((5, 4), (5, 2, 3), (1, -3)),
        ]
    ),
    *(
        merged(f"Dot {axes} normalized", ((5, 3), (5, 3)), "Dot", axes=axes, normalize=True)
        for axes in (1, 2)
    ),
    merged("Dot over frames", (MAPS, (5, 4, 6, 2)), "Dot", axes=1),
    merged("Dot over rows", (MAPS, (5, 4, 6, 2)), "Dot", axes=(2, 2)),
    # What Keras 3 keeps of arithmetic on tensors.
    combined("x + y", lambda keras, x, y: x + y),
    combined("x - y", lambda keras, x, y: x - y),
    combined("x * y", lambda keras, x, y: x * y),
    combined("maximum", lambda keras, x, y: keras.ops.maximum(x, y)),
    combined("minimum", lambda keras, x, y: keras.ops.minimum(x, y)),
    combined("concatenate", lambda keras, x, y: keras.ops.concatenate([x, y], axis=-1)),
    combined("x + 2", lambda keras, x: x + 2.0, MAPS),
    combined("x - 2", lambda keras, x: x - 2.0, MAPS),
    combined("1 - x", lambda keras, x: 1.0 - x, MAPS),
    combined("3 x", lambda keras, x: 3.0 * x, MAPS),
    combined("x / 255", lambda keras, x: x / 255.0, MAPS),
    combined("-x", lambda keras, x: -x, MAPS),
    combined("relu", lambda keras, x: keras.ops.relu(x), MAPS),
    combined("activation called", lambda keras, x: keras.activations.relu(x, max_value=1.0), MAPS),
    combined("sigmoid", lambda keras, x: keras.ops.sigmoid(x), MAPS),
    combined("tanh", lambda keras, x: keras.ops.tanh(x), MAPS),
    combined("x by channel", lambda keras, x: x * np.array([1, 2, 3], "float32"), MAPS),
    *(merged(kind, (MAPS, MAPS), kind) for kind in FUNCTIONS),
    *(merged(f"{kind} of three", (MAPS,) * 3, kind) for kind in FUNCTIONS if kind != "Subtract"),
    *(merged(f"{kind} broadcast", (MAPS, (5, 1, 6, 1)), kind) for kind in FUNCTIONS),
    *(
        merged(f"{kind} of {a} and {b}", (a, b), kind)
        for kind in ("Add", "Subtract", "Multiply")
        for a, b in [
            (MAPS, (5, 4, 6, 1)),
            (MAPS, (5, 1, 1, 3)),
            ((5, 1, 1, 3), MAPS),
            ((5, 4, 1, 3), (5, 1, 6, 1)),
            ((5, 7), (5, 7)),
            ((5, 7), (5, 1)),
            (MAPS, (4, 6, 3)),
            (MAPS, (6, 3)),
            ((3,), MAPS),
            ((None, 4, 6, 3), (None, 4, 6, 3)),
        ]
    ),
    *(
        behind_cells(kind, kind, data_format)
        for kind in FUNCTIONS
        for data_format in ("channels_first", "channels_last")
    ),
    *(
        merged(f"Concatenate {axis}", (MAPS, MAPS), "Concatenate", axis=axis)
        for axis in (-1, -2, -3, 2, 3, 4)
    ),
    merged("Concatenate of three", (MAPS, (5, 4, 6, 1), (5, 4, 6, 7)), "Concatenate"),
    merged("Concatenate of rows", (MAPS, (5, 2, 6, 3)), "Concatenate", axis=2),
    merged("Concatenate of columns", (MAPS, (5, 4, 1, 3)), "Concatenate", axis=3),
    merged("Concatenate of vectors", ((5, 7), (5, 2)), "Concatenate"),
    merged("Concatenate of any number", ((None, 7), (None, 2)), "Concatenate"),
    *(
        behind_cells(f"Concatenate {axis}", "Concatenate", data_format, axis=axis)
        for axis in (-1, 2, 3)
        for data_format in ("channels_first", "channels_last")
    ),
]
