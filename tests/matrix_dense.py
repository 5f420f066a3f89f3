"""Dense and activation layers."""

from __future__ import annotations

from matrix import Row, layer, row

FRAMES = (5, 4, 6)

ROWS: list[Row] = [
    *(
        layer(f"Dense {activation}", FRAMES, "Dense", units=7, activation=activation)
        for activation in ("linear", "relu", "tanh", "softmax")
    ),
    layer("Dense without bias", FRAMES, "Dense", units=3, use_bias=False),
    row(
        "TimeDistributed Dense",
        FRAMES,
        lambda keras, x: keras.layers.TimeDistributed(keras.layers.Dense(3))(x),
    ),
]
