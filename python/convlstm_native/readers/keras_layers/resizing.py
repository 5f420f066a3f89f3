"""Keras layers that make a frame larger or smaller."""

from __future__ import annotations

from collections.abc import Callable

from convlstm_native import spec
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_layers.base import (
    Builder,
    CallSite,
    Parse,
    Tensor,
    identity,
    over_axes,
)

Pair = tuple[int, int]


# --- places around ----------------------------------------------------------------------------


def _padding(rank: int) -> Parse:
    """Zeros before and after each axis."""

    def parse(args: Arguments) -> Builder:
        pairs = _pairs(args, "padding", rank, 1)
        data_format = args.data_format()
        return lambda site: (_padded(site, site.inputs[0], data_format, pairs),)

    return parse


def _cropping(rank: int) -> Parse:
    """Places cut off at both ends of each axis."""

    def parse(args: Arguments) -> Builder:
        pairs = _pairs(args, "cropping", rank, 0 if rank == 2 else 1)
        data_format = args.data_format()
        cut = [(-before, -after) for before, after in pairs]
        return lambda site: (_padded(site, site.inputs[0], data_format, cut),)

    return parse


def _pairs(args: Arguments, name: str, rank: int, default: int) -> list[Pair]:
    """Places before and after each of ``rank`` axes, from a number, one an axis, or two an axis."""
    value = args.raw(name, default)
    axes = value if isinstance(value, list) and rank > 1 else [value] * rank
    pairs = [axis if isinstance(axis, list) else [axis, axis] for axis in axes]
    good = len(pairs) == rank and all(
        len(pair) == 2 and all(type(n) is int and n >= 0 for n in pair) for pair in pairs
    )
    if not good:
        args.reject(name, f"places before and after {rank} axes", value)
        return [(0, 0)] * rank
    return [(before, after) for before, after in pairs]


def _padded(
    site: CallSite, x: Tensor, data_format: str, pairs: list[Pair], value: float = 0.0
) -> Tensor:
    """``x`` with ``pairs`` of places around rows, columns...; below zero they are cut off."""
    over_time, over_frame = over_axes(site, data_format, pairs, (0, 0))
    if any(pair != (0, 0) for pair in over_frame):
        before, after = zip(*over_frame, strict=True)
        (x,) = site.add(spec.Pad(before, after, value), (x,))
    if over_time is not None and over_time != (0, 0):
        first, last = over_time
        # Windows of one frame each, and the axis that they add taken away.
        alone = site.add(spec.Window(1, before=first, after=last, fill=value), (x,))
        (x,) = site.add(spec.Reduce((0,), "max"), alone)
    return x


# --- interpolation ----------------------------------------------------------------------------


def _up_sampling(rank: int) -> Parse:
    """Each place several times; in two axes by an interpolation."""

    def parse(args: Arguments) -> Builder:
        times = args.counts("size", rank, 2)
        interpolation = "nearest"
        if rank == 2:
            interpolation = args.choice("interpolation", spec.INTERPOLATIONS, "nearest")
        data_format = args.data_format() if rank > 1 else "channels_last"

        def build(site: CallSite) -> tuple[Tensor, ...]:
            over_time, over_frame = over_axes(site, data_format, list(times), 1)
            if interpolation == "nearest":
                x = site.inputs[0]
                axes = [axis for axis, n in enumerate(over_frame) if n > 1]
                if axes:
                    size = tuple(x.value.shape[axis] * over_frame[axis] for axis in axes)
                    (x,) = site.add(spec.Resize(tuple(axes), size, interpolation), (x,))
                if over_time is not None and over_time > 1:
                    (x,) = site.add(spec.Repeat(over_time), (x,))
                return (x,)

            def sizes(rows: int, cols: int) -> Pair:
                return rows * times[0], cols * times[1]

            return (_resized(site, data_format, sizes, interpolation),)

        return build

    return parse


def _resized(
    site: CallSite,
    data_format: str,
    sizes: Callable[[int, int], Pair],
    interpolation: str,
    antialias: bool = False,
    fit: Callable[[int, int, int, int], tuple[list[Pair], float]] | None = None,
) -> Tensor:
    """The input with rows and columns of other lengths.

    ``sizes`` gives them from those it has; ``fit`` gives the places to put around or cut off first.
    """
    over_time, over_frame = over_axes(site, data_format, [True, True], False)
    x = site.inputs[0]
    if over_time:
        x = site.as_single(x)
        over_frame = (over_time, *over_frame)
    axes = tuple(axis for axis, resized in enumerate(over_frame) if resized)
    rows, cols = (x.value.shape[axis] for axis in axes)
    size = sizes(rows, cols)
    if fit is not None:
        pairs, value = fit(rows, cols, *size)
        if any(pair != (0, 0) for pair in pairs):
            ends = [[0] * len(over_frame), [0] * len(over_frame)]
            for axis, pair in zip(axes, pairs, strict=True):
                ends[0][axis], ends[1][axis] = pair
            (x,) = site.add(spec.Pad(tuple(ends[0]), tuple(ends[1]), value), (x,))
    if tuple(x.value.shape[axis] for axis in axes) != size:
        (x,) = site.add(spec.Resize(axes, size, interpolation, antialias), (x,))
    return site.as_sequence(x) if over_time else x


def _resizing(args: Arguments) -> Builder:
    """Keras' ``Resizing``: another size, without distortion where it is told so."""
    size = (args.count("height"), args.count("width"))
    interpolation = args.choice("interpolation", spec.INTERPOLATIONS, "bilinear")
    antialias = args.flag("antialias", False)
    crops = args.flag("crop_to_aspect_ratio", False)
    pads = args.flag("pad_to_aspect_ratio", False)
    args.choice("fill_mode", ("constant",), "constant")
    fill = args.number("fill_value", 0.0)
    data_format = args.data_format()
    if crops and pads:
        args.reject("pad_to_aspect_ratio", "false beside crop_to_aspect_ratio", pads)

    def fit(*lengths: int) -> tuple[list[Pair], float]:
        return (_cut_to_ratio(*lengths), 0.0) if crops else (_pad_to_ratio(*lengths), fill)

    def build(site: CallSite) -> tuple[Tensor, ...]:
        fitted = fit if crops or pads else None
        x = _resized(site, data_format, lambda *_: size, interpolation, antialias, fitted)
        return (x,)

    return build


def _cut_to_ratio(rows: int, cols: int, height: int, width: int) -> list[Pair]:
    """What is cut off for the largest part, in the middle, that is as wide to its height."""
    kept_rows = max(min(rows, cols * height // width), 1)
    kept_cols = max(min(cols, rows * width // height), 1)
    return [_middle(rows, kept_rows), _middle(cols, kept_cols)]


def _middle(length: int, kept: int) -> Pair:
    before = (length - kept) // 2
    return -before, -(length - kept - before)


def _pad_to_ratio(rows: int, cols: int, height: int, width: int) -> list[Pair]:
    """What is put around, as much on both sides, to be about as wide to its height."""
    more_rows = (max(rows, cols * height // width) - rows) // 2
    more_cols = (max(cols, rows * width // height) - cols) // 2
    return [(more_rows, more_rows), (more_cols, more_cols)]


def _center_crop(args: Arguments) -> Builder:
    """The middle of the frame; a frame that is too small is resized without distortion."""
    size = (args.count("height"), args.count("width"))
    data_format = args.data_format()

    def fit(rows: int, cols: int, height: int, width: int) -> tuple[list[Pair], float]:
        if rows >= height and cols >= width:
            return [_middle(rows, height), _middle(cols, width)], 0.0
        return _cut_to_ratio(rows, cols, height, width), 0.0

    def build(site: CallSite) -> tuple[Tensor, ...]:
        return (_resized(site, data_format, lambda *_: size, "bilinear", fit=fit),)

    return build


# --- layers that change frames in training alone ----------------------------------------------


def _random_crop(args: Arguments) -> Builder:
    """At inference the frame as it is in Keras 3; in Keras 2 resized without distortion."""
    size = (args.count("height"), args.count("width"))
    data_format = args.data_format()
    args.ignore("seed")
    if args.keras_major >= 3:
        return identity

    def build(site: CallSite) -> tuple[Tensor, ...]:
        def fit(*lengths: int) -> tuple[list[Pair], float]:
            return _cut_to_ratio(*lengths), 0.0

        return (_resized(site, data_format, lambda *_: size, "bilinear", fit=fit),)

    return build


def _augmentation(*arguments: str) -> Parse:
    """A layer that hands its input on outside training, with the arguments it may have."""

    def parse(args: Arguments) -> Builder:
        args.ignore("seed", "data_format", *arguments)
        return identity

    return parse


# Layers that augment, with the arguments of each that matter in training alone.
_FILLED = ("fill_mode", "fill_value", "interpolation")
_COLORS = ("factor", "value_range")
_AUGMENTATIONS: dict[str, tuple[str, ...]] = {
    "AugMix": (*_COLORS, "all_ops", "alpha", "chain_depth", "interpolation", "num_chains"),
    "CutMix": ("factor",),
    "MixUp": ("alpha",),
    "RandAugment": (*_COLORS, "interpolation", "num_ops"),
    "RandomBrightness": _COLORS,
    "RandomColorDegeneration": _COLORS,
    "RandomColorJitter": (
        *("value_range", "brightness_factor", "contrast_factor"),
        *("saturation_factor", "hue_factor"),
    ),
    "RandomContrast": _COLORS,
    "RandomElasticTransform": (*_COLORS, *_FILLED, "scale"),
    "RandomErasing": (*_COLORS, "fill_value", "scale"),
    "RandomFlip": ("mode",),
    "RandomGaussianBlur": (*_COLORS, "kernel_size", "sigma"),
    "RandomGrayscale": ("factor",),
    "RandomHeight": ("factor", "interpolation"),
    "RandomHue": _COLORS,
    "RandomInvert": _COLORS,
    "RandomPerspective": ("factor", "fill_value", "interpolation", "scale"),
    "RandomPosterization": _COLORS,
    "RandomRotation": ("factor", *_FILLED),
    "RandomSaturation": _COLORS,
    "RandomSharpness": _COLORS,
    "RandomShear": ("x_factor", "y_factor", *_FILLED),
    "RandomTranslation": ("height_factor", "width_factor", *_FILLED),
    "RandomWidth": ("factor", "interpolation"),
    "RandomZoom": ("height_factor", "width_factor", *_FILLED),
    "Solarization": ("addition_factor", "threshold_factor", "value_range"),
}
_IMAGES: dict[str, Parse] = {
    "CenterCrop": _center_crop,
    "RandomCrop": _random_crop,
    "Resizing": _resizing,
    **{name: _augmentation(*arguments) for name, arguments in _AUGMENTATIONS.items()},
}
# Layers whose calls Keras 3 writes down with training=True, whatever it is.
PREPROCESSING = frozenset(_IMAGES)

LAYERS: dict[str, Parse] = {
    **_IMAGES,
    **{
        f"{name}{rank}D": layer
        for rank in (1, 2, 3)
        for name, layer in {
            "ZeroPadding": _padding(rank),
            "Cropping": _cropping(rank),
            "UpSampling": _up_sampling(rank),
        }.items()
    },
}
# Five axes are a clip. Three may as well be one map, unless a layer behind goes through time.
READS_TIME = frozenset(name for name in LAYERS if name.endswith("3D"))
