"""Layers that scale a frame."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from matrix import Row, layer, row

MAPS = (5, 4, 6, 3)
WIDE = (5, 2, 3, 4, 6)


def per_frame(id: str, shape: tuple[int | None, ...], kind: str, **arguments: Any) -> Row:
    """A row of a layer within TimeDistributed."""
    keras2 = arguments.pop("keras2", True)
    return row(
        f"TimeDistributed {kind} {id}",
        shape,
        lambda keras, x: keras.layers.TimeDistributed(getattr(keras.layers, kind)(**arguments))(x),
        keras2=keras2,
    )


def behind_a_cell(id: str, kind: str, cell_format: str, **arguments: Any) -> Row:
    """A row of a layer on the frames of a ConvLSTM2D, which lie as the engine likes them."""

    def build(keras: Any, x: Any) -> Any:
        x = keras.layers.ConvLSTM2D(
            4, 3, padding="same", data_format=cell_format, return_sequences=True
        )(x)
        return keras.layers.TimeDistributed(getattr(keras.layers, kind)(**arguments))(x)

    return row(
        f"{kind} {id} behind a cell {cell_format}", MAPS, build, tolerance="keras normalized"
    )


def by_variance(axis: Any) -> Callable[..., Any]:
    """LayerNormalization with an argument that Keras warns of."""

    def build(keras: Any, x: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return keras.layers.LayerNormalization(axis=axis, rms_scaling=True)(x)

    return build


FORMATS = ("channels_first", "channels_last")
ROWS: list[Row] = [
    # Over time.
    *(
        layer(f"BatchNormalization {axis}", MAPS, "BatchNormalization", axis=axis)
        for axis in (1, -4)
    ),
    *(
        layer(f"LayerNormalization {axis}", MAPS, "LayerNormalization", axis=axis)
        for axis in (1, [1, 2], [1, 4], [1, 2, 3, 4])
    ),
    *(
        layer(
            f"GroupNormalization {groups} {axis}",
            (5, 4, 6, 8),
            "GroupNormalization",
            groups=groups,
            axis=axis,
        )
        for groups, axis in [(2, -1), (-1, -1), (5, 1), (2, 2)]
    ),
    layer("UnitNormalization 1", MAPS, "UnitNormalization", axis=1),
    layer("Normalization 1", MAPS, "Normalization", axis=1),
    layer("Normalization (1, 4)", MAPS, "Normalization", axis=(1, 4)),
    *(
        layer(f"BatchNormalization {axis}", MAPS, "BatchNormalization", axis=axis)
        for axis in (-1, 2, 3)
    ),
    *(
        layer(
            f"BatchNormalization scale={scale} center={center}",
            MAPS,
            "BatchNormalization",
            scale=scale,
            center=center,
            epsilon=1e-2,
        )
        for scale in (True, False)
        for center in (True, False)
    ),
    *(per_frame(f"{axis}", MAPS, "BatchNormalization", axis=axis) for axis in (-1, 1, 2)),
    layer("BatchNormalization of vectors", (None, 7), "BatchNormalization"),
    *(
        layer(f"LayerNormalization {axis}", MAPS, "LayerNormalization", axis=axis)
        for axis in (-1, -2, -3, 2, 3, [2, 3], [3, 4], [-1, -3], [2, 3, 4])
    ),
    *(
        layer(
            f"LayerNormalization scale={scale} center={center}",
            MAPS,
            "LayerNormalization",
            axis=[2, 3, 4],
            scale=scale,
            center=center,
            epsilon=1e-2,
        )
        for scale in (True, False)
        for center in (True, False)
    ),
    *(
        per_frame(f"{axis}", MAPS, "LayerNormalization", axis=axis)
        for axis in (-1, 1, 2, [1, 2], [1, 3], [1, 2, 3])
    ),
    *(
        per_frame(f"of volumes {axis}", WIDE, "LayerNormalization", axis=axis)
        for axis in (-1, [1, 3], [2, 4], [1, 2, 3, 4])
    ),
    *(
        behind_a_cell(f"{axis}", "LayerNormalization", cell_format, axis=axis)
        for cell_format in FORMATS
        for axis in (-1, 1, 2, [1, 2], [1, 3], [2, 3], [1, 2, 3])
    ),
    layer("LayerNormalization of vectors", (None, 7), "LayerNormalization"),
    # Keras takes x / deviation and mean / deviation apart, and one from the other: much larger terms.
    replace(
        layer("LayerNormalization of one number", (5, 4, 1), "LayerNormalization"),
        tolerance="keras normalized",
    ),
    *(
        row(f"LayerNormalization rms_scaling {axis}", MAPS, by_variance(axis), keras2=False)
        for axis in (-1, [2, 3])
    ),
    *(
        row(
            f"RMSNormalization {axis}",
            MAPS,
            lambda keras, x, axis=axis: keras.layers.RMSNormalization(axis=axis, epsilon=1e-4)(x),
            keras2=False,
        )
        for axis in (-1, [4], [3, 4], [2, 3, 4])
    ),
    *(
        layer(f"UnitNormalization {axis}", MAPS, "UnitNormalization", axis=axis)
        for axis in (-1, 2, [2, 3], [3, 4], [2, 4])
    ),
    *(
        per_frame(
            f"groups={groups} axis={axis}",
            (5, 4, 6, 8),
            "GroupNormalization",
            groups=groups,
            axis=axis,
        )
        for groups, axis in [(1, -1), (2, -1), (8, -1), (-1, -1), (2, 1), (3, 2), (3, -2), (4, 3)]
    ),
    *(
        per_frame(
            f"scale={scale} center={center}",
            MAPS,
            "GroupNormalization",
            groups=3,
            scale=scale,
            center=center,
            epsilon=1e-2,
        )
        for scale in (True, False)
        for center in (True, False)
    ),
    *(
        behind_a_cell(
            f"groups={groups}",
            "GroupNormalization",
            cell_format,
            groups=groups,
            axis=-1 if cell_format == "channels_last" else 1,
        )
        for cell_format in FORMATS
        for groups in (1, 2, -1)
    ),
    *(
        layer(f"Normalization {axis}", MAPS, "Normalization", axis=axis)
        for axis in (-1, 2, None, (2, 3), (3, 4), (2, 4), (-2, -1))
    ),
    layer("Normalization inverted", MAPS, "Normalization", invert=True),
    layer("Normalization given", MAPS, "Normalization", mean=0.5, variance=2.0),
    layer(
        "Normalization given for each",
        MAPS,
        "Normalization",
        mean=[0.5, 0.1, -2],
        variance=[2, 0.5, 0],
    ),
    layer(
        "Normalization given, inverted", MAPS, "Normalization", mean=0.5, variance=2.0, invert=True
    ),
    layer("Normalization given for all", MAPS, "Normalization", axis=None, mean=3.0, variance=4.0),
    layer("Rescaling", MAPS, "Rescaling", scale=1 / 255),
    layer("Rescaling with an offset", MAPS, "Rescaling", scale=1 / 127.5, offset=-1),
    layer(
        "Rescaling by channel", MAPS, "Rescaling", scale=[0.5, 2.0, 3.0], offset=[0.1, 0.2, -0.3]
    ),
    layer("Rescaling of vectors", (None, 7), "Rescaling", scale=2.0, offset=0.5),
    per_frame("2", MAPS, "Rescaling", scale=2.0, offset=[1.0, 2.0, 3.0]),
    row(
        "SpectralNormalization of Dense",
        MAPS,
        lambda keras, x: keras.layers.SpectralNormalization(keras.layers.Dense(4))(x),
    ),
]
