"""Layers that make a frame larger or smaller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from matrix import Row, distributed, over_time, single

FORMATS = ("channels_first", "channels_last")
FRAMES = {1: (9, 6), 2: (7, 9, 6), 3: (5, 7, 6, 8)}
# Keras 2 takes Resizing, CenterCrop and RandomCrop for images with channels last alone.


def _borders() -> Iterator[Row]:
    """Zeros put around, places cut off, in every form that Keras takes them."""
    widths: dict[int, list[Any]] = {
        1: [None, 2, (2, 1), (0, 3)],
        2: [None, 1, (2, 1), ((0, 1), (2, 0)), ((2, 1), (0, 0))],
        3: [None, 1, (2, 1, 0), ((0, 1), (2, 0), (1, 2))],
    }
    for kind, argument in {"ZeroPadding": "padding", "Cropping": "cropping"}.items():
        for rank, values in widths.items():
            for width in values:
                given = {} if width is None else {argument: width}
                name = f"{kind}{rank}D"
                for data_format in FORMATS if rank > 1 else (None,):
                    formats = {} if data_format is None else {"data_format": data_format}
                    yield distributed(
                        f"{name} {width} {data_format or ''}",
                        (5, *FRAMES[rank]),
                        name,
                        **given,
                        **formats,
                    )
            if rank < 3:
                yield single(f"{kind}{rank}D on a single", FRAMES[rank], f"{kind}{rank}D")
    yield single(
        "ZeroPadding1D channels_first",
        (4, 6),
        "ZeroPadding1D",
        keras2=False,
        padding=(2, 1),
        data_format="channels_first",
    )


def _up_samplings() -> Iterator[Row]:
    for size in (2, 3):
        yield distributed(f"UpSampling1D {size}", (5, *FRAMES[1]), "UpSampling1D", size=size)
    yield single("UpSampling1D on a single", FRAMES[1], "UpSampling1D")
    for data_format in FORMATS:
        for size in (2, (1, 3), (5, 1), (4, 3)):
            yield distributed(
                f"UpSampling2D {size} {data_format}",
                (5, *FRAMES[2]),
                "UpSampling2D",
                size=size,
                data_format=data_format,
            )
        for size in (2, (1, 3, 2)):
            yield distributed(
                f"UpSampling3D {size} {data_format}",
                (5, *FRAMES[3]),
                "UpSampling3D",
                size=size,
                data_format=data_format,
            )
        for interpolation in ("bilinear", "bicubic", "lanczos3", "lanczos5"):
            for size in (2, (3, 4)):
                yield distributed(
                    f"UpSampling2D {size} {interpolation} {data_format}",
                    (5, *FRAMES[2]),
                    "UpSampling2D",
                    # TensorFlow, which is what Keras 2 runs on, rounds the places of bicubic.
                    keras2=interpolation != "bicubic" or size == 2,
                    size=size,
                    interpolation=interpolation,
                    data_format=data_format,
                )


def _resizings() -> Iterator[Row]:
    sizes = {"larger": (11, 13), "smaller": (3, 5), "mixed": (12, 4), "same": (7, 9), "one": (1, 1)}
    for what, (height, width) in sizes.items():
        for interpolation in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
            yield single(
                f"Resizing {what} {interpolation}",
                (7, 9, 3),
                "Resizing",
                keras2=interpolation != "bicubic",
                height=height,
                width=width,
                interpolation=interpolation,
            )
            if interpolation != "nearest":
                yield single(
                    f"Resizing {what} {interpolation} antialias",
                    (7, 9, 3),
                    "Resizing",
                    keras2=False,
                    height=height,
                    width=width,
                    interpolation=interpolation,
                    antialias=True,
                )
    for what, (height, width) in {"wider": (4, 12), "higher": (10, 3), "square": (6, 6)}.items():
        size = {"height": height, "width": width}
        yield single(
            f"Resizing {what} crop_to_aspect_ratio",
            (7, 9, 3),
            "Resizing",
            crop_to_aspect_ratio=True,
            **size,
        )
        for data_format in FORMATS:
            shape = (7, 9, 3) if data_format == "channels_last" else (3, 7, 9)
            padded = single(
                f"Resizing {what} pad_to_aspect_ratio {data_format}",
                shape,
                "Resizing",
                keras2=False,
                pad_to_aspect_ratio=True,
                fill_value=0.5,
                data_format=data_format,
                **size,
            )
            yield replace(padded, tolerance="keras resize")
            yield distributed(
                f"Resizing {what} {data_format}",
                (5, *shape),
                "Resizing",
                keras2=False,
                data_format=data_format,
                **size,
            )


def _crops() -> Iterator[Row]:
    for height, width in ((4, 6), (7, 9), (5, 4), (9, 4), (12, 11)):
        size = {"height": height, "width": width}
        yield single(f"CenterCrop {height} {width}", (7, 9, 3), "CenterCrop", **size)
        yield distributed(
            f"CenterCrop {height} {width} channels_first",
            (5, 3, 7, 9),
            "CenterCrop",
            keras2=False,
            data_format="channels_first",
            **size,
        )
    yield single("RandomCrop", (7, 9, 3), "RandomCrop", height=4, width=6)
    yield single("RandomCrop to the size it has", (7, 9, 3), "RandomCrop", height=7, width=9)


def _over_time() -> Iterator[Row]:
    """Layers whose first axis is time, over a known number of frames and over any."""
    maps = {1: (6,), 2: (6, 3), 3: (6, 7, 3)}
    for length in (5, None):
        for rank, frame in maps.items():
            shape = (length, *frame)
            for size in (2, (3, 1, 2)[:rank]):
                yield over_time(
                    f"UpSampling{rank}D {size} over {length} frames",
                    shape,
                    f"UpSampling{rank}D",
                    size=size[0] if rank == 1 and isinstance(size, tuple) else size,
                )
            for ends in ((2, 1), (0, 3), (1, 0)):
                pairs: Any = ends if rank == 1 else (ends, (1, 0), (0, 2))[:rank]
                for kind, argument in {"ZeroPadding": "padding", "Cropping": "cropping"}.items():
                    yield over_time(
                        f"{kind}{rank}D {ends} over {length} frames",
                        shape,
                        f"{kind}{rank}D",
                        **{argument: pairs},
                    )
            if rank > 1:
                for kind, argument in {"ZeroPadding": "padding", "Cropping": "cropping"}.items():
                    yield over_time(
                        f"{kind}{rank}D with time as channels, {length} frames",
                        shape,
                        f"{kind}{rank}D",
                        data_format="channels_first",
                        **{argument: 1},
                    )
    for interpolation in ("nearest", "bilinear"):
        yield over_time(
            f"Resizing of time {interpolation}",
            (5, 6, 3),
            "Resizing",
            height=8,
            width=4,
            interpolation=interpolation,
        )
        yield over_time(
            f"UpSampling2D of time {interpolation}",
            (5, 6, 3),
            "UpSampling2D",
            interpolation=interpolation,
        )
    yield over_time(
        "Resizing with time as channels",
        (5, 6, 3),
        "Resizing",
        keras2=False,
        height=8,
        width=4,
        data_format="channels_first",
    )


def _augmentations() -> Iterator[Row]:
    """Layers that work in training alone."""
    for name, arguments in {
        "RandomBrightness": {"factor": 0.2, "value_range": (0, 1)},
        "RandomContrast": {"factor": 0.3},
        "RandomFlip": {"mode": "horizontal"},
        "RandomRotation": {"factor": 0.1, "fill_mode": "nearest"},
        "RandomTranslation": {"height_factor": 0.1, "width_factor": (-0.2, 0.3)},
        "RandomZoom": {"height_factor": 0.2},
    }.items():
        yield single(name, (7, 9, 3), name, **arguments)
        yield distributed(f"{name} in TimeDistributed", (5, 7, 9, 3), name, **arguments)
    for name, arguments in {
        "AugMix": {},
        "CutMix": {},
        "MixUp": {},
        "RandAugment": {},
        "RandomColorDegeneration": {"factor": 0.3},
        "RandomColorJitter": {},
        "RandomElasticTransform": {},
        "RandomErasing": {},
        "RandomGaussianBlur": {},
        "RandomGrayscale": {},
        "RandomHue": {"factor": 0.1},
        "RandomInvert": {},
        "RandomPerspective": {},
        "RandomPosterization": {"factor": 4},
        "RandomSaturation": {"factor": 0.1},
        "RandomSharpness": {"factor": 0.2},
        "RandomShear": {"x_factor": 0.1},
        "Solarization": {},
    }.items():
        yield single(name, (7, 9, 3), name, keras2=False, **arguments)


ROWS: list[Row] = [
    *_borders(),
    *_up_samplings(),
    *_resizings(),
    *_crops(),
    *_over_time(),
    *_augmentations(),
]
