"""Layers that move the numbers of a frame."""

from __future__ import annotations

from typing import Any

from matrix import Row, layer, row

MAPS = (5, 4, 6, 3)  # five frames of maps
WIDE = (5, 4, 3, 2, 2)  # five frames of volumes


def per_frame(id: str, shape: tuple[int | None, ...], kind: str, **arguments: Any) -> Row:
    """A row of a layer within TimeDistributed."""
    return row(
        f"TimeDistributed {id}",
        shape,
        lambda keras, x: keras.layers.TimeDistributed(getattr(keras.layers, kind)(**arguments))(x),
    )


def last_state(id: str, kind: str, cell_format: str, **arguments: Any) -> Row:
    """A row of a layer on the map that a ConvLSTM2D leaves, which lies as the engine likes it."""

    def build(keras: Any, x: Any) -> Any:
        x = keras.layers.ConvLSTM2D(4, 3, padding="same", data_format=cell_format)(x)
        return getattr(keras.layers, kind)(**arguments)(x)

    return row(f"{id} behind a cell {cell_format}", MAPS, build, tolerance="keras conv_lstm")


def reshaped_to_frames(keras: Any, x: Any) -> Any:
    """Every second frame beside the one before: what comes out is a sequence again."""
    x = keras.layers.Reshape((10, 4, 3, 3))(x)
    return keras.layers.TimeDistributed(keras.layers.Flatten())(x)


def flattened_to_frames(keras: Any, x: Any) -> Any:
    x = keras.layers.Reshape((3, 24, 5))(keras.layers.Flatten()(x))
    return keras.layers.TimeDistributed(keras.layers.Dense(4))(x)


def repeated_state(keras: Any, x: Any) -> Any:
    """An encoder and a decoder as they are taught."""
    x = keras.layers.Flatten()(keras.layers.ConvLSTM2D(2, 3)(x))
    x = keras.layers.RepeatVector(4)(x)
    x = keras.layers.Reshape((4, 2, 4, 2))(x)
    return keras.layers.ConvLSTM2D(3, 2, padding="same", return_sequences=True)(x)


ROWS: list[Row] = [
    per_frame("Flatten", MAPS, "Flatten"),
    per_frame("Flatten of a vector", (5, 7), "Flatten"),
    per_frame("Flatten channels_first", MAPS, "Flatten", data_format="channels_first"),
    per_frame("Flatten of a volume", WIDE, "Flatten", data_format="channels_first"),
    per_frame("Flatten of any number of frames", (None, 4, 6, 3), "Flatten"),
    *(
        last_state(f"Flatten {order}", "Flatten", cell_format, data_format=order)
        for cell_format in ("channels_first", "channels_last")
        for order in ("channels_first", "channels_last")
    ),
    # Frame-wise: time is the first target axis and stays.
    *(
        layer(f"Reshape to {target}", MAPS, "Reshape", target_shape=target)
        for target in [
            (5, 24, 3),
            (5, 4, 18),
            (5, 72),
            (5, -1),
            (-1, 72),
            (-1, 2, 12, 3),
            (5, 2, -1, 3),
            (5, 4, 6, 3, 1),
            (5, 1, 4, 6, 3),
            (5, 4, 6, 3),
            (5, 3, 6, 4),
        ]
    ),
    layer("Reshape of any number of frames", (None, 4, 6, 3), "Reshape", target_shape=(-1, 24, 3)),
    layer("Reshape to maps", (None, 24), "Reshape", target_shape=(-1, 4, 6, 1)),
    *(
        per_frame(f"Reshape to {target}", MAPS, "Reshape", target_shape=target)
        for target in [(72,), (-1,), (8, 9), (-1, 3), (3, -1, 4), (2, 2, 6, 3), (6, 4, 3)]
    ),
    *(
        last_state(f"Reshape to {target}", "Reshape", data_format, target_shape=target)
        for data_format in ("channels_first", "channels_last")
        for target in [(-1,), (-1, 4), (3, -1), (2, 2, -1), (1, -1, 1)]
        if data_format == "channels_last" or target != (-1, 4)
    ),
    *(
        layer(f"Permute {dims}", MAPS, "Permute", dims=dims)
        for dims in [(1, 2, 3, 4), (1, 3, 2, 4), (1, 4, 2, 3), (1, 4, 3, 2), (1, 2, 4, 3)]
    ),
    layer("Permute of a vector", (5, 7), "Permute", dims=(1, 2)),
    layer("Permute of a volume", WIDE, "Permute", dims=(1, 5, 2, 4, 3)),
    layer("Permute of any number of frames", (None, 4, 6, 3), "Permute", dims=(1, 3, 4, 2)),
    *(
        per_frame(f"Permute {dims}", MAPS, "Permute", dims=dims)
        for dims in [(1, 2, 3), (3, 1, 2), (2, 3, 1), (3, 2, 1)]
    ),
    *(
        last_state(f"Permute {dims}", "Permute", data_format, dims=dims)
        for data_format in ("channels_first", "channels_last")
        for dims in [(3, 1, 2), (2, 1, 3)]
    ),
    # Time is mixed with the axes of the frames.
    layer("Flatten", MAPS, "Flatten"),
    layer("Flatten channels_first", MAPS, "Flatten", data_format="channels_first"),
    *(
        layer(f"Reshape to {target}", MAPS, "Reshape", target_shape=target)
        for target in [(-1, 3), (360,), (15, 4, 2, 3), (-1, 2, 6, 3), (4, 5, 18), (1, 5, 4, 6, 3)]
    ),
    *(
        layer(f"Permute {dims}", MAPS, "Permute", dims=dims)
        for dims in [(2, 1, 3, 4), (4, 1, 2, 3), (4, 3, 2, 1)]
    ),
    row("Reshape to frames", MAPS, reshaped_to_frames),
    row("Flatten, then frames", MAPS, flattened_to_frames),
    row("RepeatVector of a state", MAPS, repeated_state, tolerance="keras normalized"),
    per_frame("RepeatVector", (5, 7), "RepeatVector", n=3),
    per_frame("RepeatVector once", (5, 7), "RepeatVector", n=1),
    row("Identity", MAPS, lambda keras, x: keras.layers.Identity()(x), keras2=False),
]
