"""Layers that make one number of many places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matrix import Row, distributed, layer

FORMATS = ("channels_first", "channels_last")
# Frames whose axes all differ, so that none is taken for another.
FRAMES = {1: (9, 6), 2: (7, 9, 6), 3: (5, 7, 6, 4)}


def _poolings() -> Iterator[Row]:
    """Windows that fit and that do not, steps that skip and that overlap."""
    windows: dict[int, list[dict[str, Any]]] = {
        1: [{}, {"pool_size": 3}, {"pool_size": 3, "strides": 1}, {"pool_size": 2, "strides": 3}],
        2: [{}, {"pool_size": (3, 2)}, {"pool_size": 3, "strides": (1, 2)}],
        3: [{}, {"pool_size": (2, 3, 1)}, {"pool_size": 3, "strides": (1, 2, 3)}],
    }
    for kind in ("Max", "Average"):
        for rank, arguments in windows.items():
            for window in arguments:
                for padding in ("valid", "same"):
                    for data_format in FORMATS:
                        name = f"{kind}Pooling{rank}D"
                        what = f"{name} {window or 'default'} {padding} {data_format}"
                        yield distributed(
                            what,
                            (5, *FRAMES[rank]),
                            name,
                            padding=padding,
                            data_format=data_format,
                            **window,
                        )


def _singles() -> Iterator[Row]:
    for kind in ("Max", "Average"):
        for rank in (1, 2):
            for data_format in FORMATS:
                name = f"{kind}Pooling{rank}D"
                yield layer(
                    f"{name} on a single {data_format}",
                    FRAMES[rank],
                    name,
                    padding="same",
                    data_format=data_format,
                )
        yield layer(
            f"{kind}Pooling2D window as large as the map",
            (6, 5, 3),
            f"{kind}Pooling2D",
            pool_size=(6, 5),
        )
        yield layer(
            f"{kind}Pooling2D window larger than the map",
            (2, 5, 3),
            f"{kind}Pooling2D",
            pool_size=(3, 7),
            strides=2,
            padding="same",
        )
        yield layer(
            f"{kind}Pooling2D one row",
            (1, 40, 2),
            f"{kind}Pooling2D",
            pool_size=(1, 3),
            strides=(1, 2),
            padding="same",
        )


def _global_poolings() -> Iterator[Row]:
    for kind in ("Max", "Average"):
        for rank in (1, 2, 3):
            for data_format in FORMATS:
                for keepdims in (False, True):
                    name = f"Global{kind}Pooling{rank}D"
                    arguments = {"data_format": data_format, "keepdims": keepdims}
                    what = f"{name} {data_format} keepdims={keepdims}"
                    yield distributed(what, (5, *FRAMES[rank]), name, **arguments)
                    if rank < 3:
                        yield layer(f"{what} on a single", FRAMES[rank], name, **arguments)


def _adaptive_poolings() -> Iterator[Row]:
    for kind in ("Max", "Average"):
        for rank, frame in {1: (6,), 2: (6, 9), 3: (4, 6, 9)}.items():
            for data_format in FORMATS:
                size = (2, 3, 3)[:rank]
                shape = (5, *frame) if data_format == "channels_first" else (*frame, 5)
                name = f"Adaptive{kind}Pooling{rank}D"
                yield distributed(
                    f"{name} {data_format}",
                    (4, *shape),
                    name,
                    keras2=False,
                    output_size=size,
                    data_format=data_format,
                )


ROWS: list[Row] = [*_poolings(), *_singles(), *_global_poolings(), *_adaptive_poolings()]
