"""Layers that make one number of many places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matrix import Row, distributed, over_time, single

FORMATS = ("channels_first", "channels_last")
# Frames whose axes all differ, so that none is taken for another.
FRAMES = {1: (9, 6), 2: (7, 9, 6), 3: (5, 7, 6, 4)}


def runs_in_keras2(rank: int, data_format: str) -> bool:
    """TensorFlow pools images with channels first on GPUs alone."""
    return rank != 2 or data_format == "channels_last"


def _poolings() -> Iterator[Row]:
    """Windows that fit and that do not, steps that skip and that overlap."""
    windows: dict[int, list[dict[str, Any]]] = {
        1: [
            {"pool_size": 2},
            {"pool_size": 3},
            {"pool_size": 3, "strides": 1},
            {"pool_size": 2, "strides": 3},
        ],
        2: [{"pool_size": 2}, {"pool_size": (3, 2)}, {"pool_size": 3, "strides": (1, 2)}],
        3: [{"pool_size": 2}, {"pool_size": (2, 3, 1)}, {"pool_size": 3, "strides": (1, 2, 3)}],
    }
    for kind in ("Max", "Average"):
        for rank, arguments in windows.items():
            for window in arguments:
                for padding in ("valid", "same"):
                    for data_format in FORMATS:
                        name = f"{kind}Pooling{rank}D"
                        what = f"{name} {window} {padding} {data_format}"
                        yield distributed(
                            what,
                            (5, *FRAMES[rank]),
                            name,
                            keras2=runs_in_keras2(rank, data_format),
                            padding=padding,
                            data_format=data_format,
                            **window,
                        )


def _singles() -> Iterator[Row]:
    for kind in ("Max", "Average"):
        for rank in (1, 2):
            for data_format in FORMATS:
                name = f"{kind}Pooling{rank}D"
                yield single(
                    f"{name} on a single {data_format}",
                    FRAMES[rank],
                    name,
                    keras2=runs_in_keras2(rank, data_format),
                    pool_size=2,
                    padding="same",
                    data_format=data_format,
                )
        yield single(
            f"{kind}Pooling2D window as large as the map",
            (6, 5, 3),
            f"{kind}Pooling2D",
            pool_size=(6, 5),
        )
        yield single(
            f"{kind}Pooling2D window larger than the map",
            (2, 5, 3),
            f"{kind}Pooling2D",
            pool_size=(3, 7),
            strides=2,
            padding="same",
        )
        yield single(
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
                        yield single(f"{what} on a single", FRAMES[rank], name, **arguments)


def _over_time() -> Iterator[Row]:
    """Windows whose first axis is time, over a known number of frames and over any."""
    maps = {1: (6,), 2: (6, 3), 3: (6, 5, 3)}
    windows: list[tuple[int, int, str]] = [
        (2, 2, "valid"),
        (3, 1, "valid"),
        (2, 3, "valid"),
        (3, 1, "same"),
        (1, 2, "same"),
        (2, 2, "same"),
        (3, 2, "same"),
        (2, 3, "same"),
    ]
    for kind in ("Max", "Average"):
        for rank, frame in maps.items():
            name = f"{kind}Pooling{rank}D"
            for length in (5, None):
                for pool, stride, padding in windows:
                    depends = padding == "same" and (kind == "Average" or stride > 1) and pool > 1
                    if length is None and depends:
                        continue  # refused
                    if rank < 3 and (pool, stride) not in ((2, 2), (3, 1)):
                        continue
                    yield over_time(
                        f"{name} over {length} frames {pool} {stride} {padding}",
                        (length, *frame),
                        name,
                        pool_size=(pool, 2, 3)[:rank],
                        strides=(stride, 1, 2)[:rank],
                        padding=padding,
                    )
            yield over_time(
                f"{name} with time as channels",
                (5, *frame),
                name,
                keras2=runs_in_keras2(rank, "channels_first"),
                pool_size=2,
                strides=1,
                data_format="channels_first",
            )
        for rank, frame in maps.items():
            for length in (5, None):
                for keepdims in (False, True):
                    for data_format in FORMATS:
                        if length is None and data_format == "channels_first" and not keepdims:
                            continue  # refused
                        name = f"Global{kind}Pooling{rank}D"
                        yield over_time(
                            f"{name} over {length} frames {data_format} keepdims={keepdims}",
                            (length, *frame),
                            name,
                            data_format=data_format,
                            keepdims=keepdims,
                        )


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


ROWS: list[Row] = [
    *_poolings(),
    *_singles(),
    *_global_poolings(),
    *_over_time(),
    *_adaptive_poolings(),
]
