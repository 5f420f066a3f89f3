"""Dense and activation layers."""

from __future__ import annotations

from typing import Any

from matrix import Row, layer, row

FRAMES = (5, 4, 6)
MAPS = (5, 4, 6, 3)
FUNCTIONS = (
    *("elu", "exponential", "gelu", "hard_sigmoid", "linear", "relu", "selu", "sigmoid"),
    *("softmax", "softplus", "softsign", "swish", "tanh"),
)
OF_KERAS_3 = (
    *("celu", "hard_shrink", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu", "log_sigmoid"),
    *("log_softmax", "mish", "relu6", "silu", "soft_shrink", "sparse_plus", "sparse_sigmoid"),
    *("squareplus", "tanh_shrink"),
)


def per_frame(id: str, kind: str, **arguments: Any) -> Row:
    """A row of a layer within TimeDistributed."""
    return row(
        f"TimeDistributed {kind} {id}",
        MAPS,
        lambda keras, x: keras.layers.TimeDistributed(getattr(keras.layers, kind)(**arguments))(x),
    )


def behind_a_cell(id: str, kind: str, cell_format: str, **arguments: Any) -> Row:
    """A row of a layer on the frames of a ConvLSTM2D, which lie as the engine likes them."""

    def build(keras: Any, x: Any) -> Any:
        x = keras.layers.ConvLSTM2D(
            4, 3, padding="same", data_format=cell_format, return_sequences=True
        )(x)
        return getattr(keras.layers, kind)(**arguments)(x)

    return row(
        f"{kind} {id} behind a cell {cell_format}", MAPS, build, tolerance="keras normalized"
    )


ROWS: list[Row] = [
    # Over time.
    *(layer(f"Softmax {axis}", MAPS, "Softmax", axis=axis) for axis in (1, -4, [1, 2], [1, 4])),
    *(layer(f"PReLU {shared}", MAPS, "PReLU", shared_axes=shared) for shared in (None, [2, 3])),
    *(
        layer(f"Dense {activation}", FRAMES, "Dense", units=7, activation=activation)
        for activation in ("linear", "relu", "tanh", "softmax")
    ),
    layer("Dense without bias", FRAMES, "Dense", units=3, use_bias=False),
    layer("Dense of maps", MAPS, "Dense", units=2),
    layer("Dense of vectors", (None, 7), "Dense", units=2, activation="sigmoid"),
    row(
        "TimeDistributed Dense",
        FRAMES,
        lambda keras, x: keras.layers.TimeDistributed(keras.layers.Dense(3))(x),
    ),
    *(layer(f"Activation {name}", MAPS, "Activation", activation=name) for name in FUNCTIONS),
    *(
        layer(f"Activation {name}", MAPS, "Activation", activation=name, keras2=False)
        for name in OF_KERAS_3
    ),
    *(
        layer(f"ReLU {arguments}", MAPS, "ReLU", **arguments)
        for arguments in (
            {},
            {"max_value": 1.0},
            {"negative_slope": 0.25},
            {"threshold": 0.5},
            {"max_value": 1.5, "negative_slope": 0.1, "threshold": 0.25},
        )
    ),
    layer("LeakyReLU", MAPS, "LeakyReLU"),
    row("LeakyReLU 0.1", MAPS, lambda keras, x: keras.layers.LeakyReLU(0.1)(x)),
    layer("ELU", MAPS, "ELU"),
    layer("ELU 0.5", MAPS, "ELU", alpha=0.5),
    *(
        layer(f"Softmax {axis}", MAPS, "Softmax", axis=axis)
        for axis in (-1, -2, -3, 2, 3, 4, [2, 3], [3, 4], [-1, -3], [2, 3, 4])
    ),
    *(per_frame(f"{axis}", "Softmax", axis=axis) for axis in (-1, 1, 2, [1, 2])),
    *(
        behind_a_cell(f"{axis}", "Softmax", cell_format, axis=axis)
        for cell_format in ("channels_first", "channels_last")
        for axis in (-1, 2, 3, [2, 3], [2, 4])
    ),
    *(
        layer(f"PReLU {shared}", MAPS, "PReLU", shared_axes=shared)
        for shared in ([1], 1, [1, 2], [1, 2, 3], [1, 4], [1, 2, 3, 4])
    ),
    *(per_frame(f"{shared}", "PReLU", shared_axes=shared) for shared in (None, [1], [1, 2], 3)),
    *(
        behind_a_cell(f"{shared}", "PReLU", cell_format, shared_axes=shared)
        for cell_format in ("channels_first", "channels_last")
        for shared in ([1, 2, 3], [1, 3, 4], [1])
    ),
    *(
        layer(kind, MAPS, kind, **arguments)
        for kind, arguments in {
            "Dropout": {"rate": 0.5},
            "GaussianNoise": {"stddev": 0.1},
            "GaussianDropout": {"rate": 0.5},
            "AlphaDropout": {"rate": 0.5},
            "ActivityRegularization": {"l1": 0.1, "l2": 0.2},
        }.items()
    ),
    per_frame("0.5", "SpatialDropout2D", rate=0.5),
    layer("SpatialDropout1D", (5, 7), "SpatialDropout1D", rate=0.5),
    layer("SpatialDropout3D", MAPS, "SpatialDropout3D", rate=0.5),
    layer("Dropout with noise_shape", MAPS, "Dropout", rate=0.5, noise_shape=(2, 1, 1, 6, 3)),
]
