"""Layers that remember."""

from __future__ import annotations

from matrix import Row, layer

ROWS: list[Row] = [
    layer(
        f"ConvLSTM2D {padding} {data_format} sequences={sequences}",
        (5, 4, 6, 3),
        "ConvLSTM2D",
        filters=2,
        kernel_size=(3, 2),
        padding=padding,
        data_format=data_format,
        return_sequences=sequences,
    )
    for padding in ("same", "valid")
    for data_format in ("channels_first", "channels_last")
    for sequences in (True, False)
]
