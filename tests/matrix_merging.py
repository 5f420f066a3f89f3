"""Layers that make one tensor of several."""

from __future__ import annotations

from typing import Any

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


ROWS: list[Row] = [
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
