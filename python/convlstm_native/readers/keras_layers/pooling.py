"""Keras layers that make one number of many places."""

from __future__ import annotations

import math
from collections.abc import Sequence

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Parse, Tensor, over_axes
from convlstm_native.spec import same_padding


def _pooling(rank: int, kind: type[spec.Pooling]) -> Parse:
    """Pooling over ``rank`` axes: all but batch and what ``data_format`` calls the channels.

    On a sequence of rank-``rank`` frames time is one of those axes: with channels_first it plays
    the channel and the window covers the whole frame, with channels_last it is the first axis of
    the window.
    """

    def parse(args: Arguments) -> Builder:
        window = args.counts("pool_size", rank, 2)
        strides = args.counts("strides", rank, list(window))
        padding = args.choice("padding", ("valid", "same"), "valid")
        data_format = args.data_format()

        def build(site: CallSite) -> tuple[Tensor, ...]:
            over_time, over_frame = over_axes(
                site, data_format, list(zip(window, strides, strict=True)), (1, 1)
            )
            pool, stride = (tuple(axis) for axis in zip(*over_frame, strict=True))
            if over_time is None:
                return site.add(kind(pool, stride, padding), site.inputs)
            x = site.inputs[0]
            if (*pool, *stride) != (1,) * (2 * len(pool)):
                (x,) = site.add(kind(pool, stride, padding), (x,))
            return (_over_time(site, x, kind, over_time, padding),)

        return build

    return parse


def _over_time(
    site: CallSite, x: Tensor, kind: type[spec.Pooling], window: tuple[int, int], padding: str
) -> Tensor:
    """Pooling of each place over the frames of a sequence; ``window`` is its length and its stride."""
    pool, stride = window
    if (pool, stride) == (1, 1):
        return x
    before, after = 0, 0
    if padding == "same" and pool > 1:
        if stride == 1:
            before, after = same_padding(pool, pool, 1)  # for any number of frames
        elif x.value.length is None:
            raise UnsupportedModelError(
                "padding: expected a known number of frames, on which the padding of strides "
                f"{stride} over time depends, or 'valid', found 'same' and None"
            )
        else:
            before, after = same_padding(x.value.length, pool, stride)
    if kind is spec.AveragePooling and (before, after) != (0, 0):
        # Windows at the ends hold fewer frames.
        x = site.as_single(x)
        rest = (1,) * (len(x.value.shape) - 1)
        (x,) = site.add(kind((pool, *rest), (stride, *rest), padding), (x,))
        return site.as_sequence(x)
    function, fill = ("max", -math.inf) if kind is spec.MaxPooling else ("mean", 0.0)
    frames = spec.Window(pool, stride, before=before, after=after, fill=fill)
    return site.add(spec.Reduce((0,), function), site.add(frames, (x,)))[0]


def _global_pooling(rank: int, function: str) -> Parse:
    """The mean or maximum over all ``rank`` axes but batch and channels, time among them."""

    def parse(args: Arguments) -> Builder:
        keepdims = args.flag("keepdims", False)
        data_format = args.data_format()

        def build(site: CallSite) -> tuple[Tensor, ...]:
            x = site.inputs[0]
            over_time, over_frame = over_axes(site, data_format, [True] * rank, False)
            axes = tuple(axis for axis, reduced in enumerate(over_frame) if reduced)
            if site.lead == 2 and not over_time and not keepdims:
                # Only one number a frame is left: time is the one axis of a single.
                x = site.as_single(x)
                axes = tuple(axis + 1 for axis in axes)
            if axes:
                (x,) = site.add(spec.Reduce(axes, function, keepdims), (x,))
            if over_time:
                (x,) = site.add(spec.ReduceTime(function), (x,))
                if keepdims:
                    (x,) = site.add(spec.Reshape((1, *x.value.shape)), (x,))
            return (x,)

        return build

    return parse


def _adaptive_pooling(rank: int, kind: type[spec.Pooling]) -> Parse:
    """Windows that part each axis into ``output_size`` equal pieces."""

    def parse(args: Arguments) -> Builder:
        sizes = args.counts("output_size", rank, None)
        data_format = args.data_format()

        def build(site: CallSite) -> tuple[Tensor, ...]:
            over_time, over_frame = over_axes(site, data_format, list(sizes), None)
            lengths: Sequence[int | None] = site.value.shape
            pool = tuple(map(_piece, lengths, over_frame))
            (x,) = site.add(kind(pool, pool, "valid"), site.inputs)
            if over_time is not None:
                pieces = _piece(x.value.length, over_time)
                x = _over_time(site, x, kind, (pieces, pieces), "valid")
            return (x,)

        return build

    return parse


def _piece(length: int | None, pieces: int | None) -> int:
    """The length of each of ``pieces`` equal parts of an axis; None stands for one of each place."""
    if pieces is None:
        return 1
    if length is None:
        raise UnsupportedModelError(
            "output_size: expected a known number of frames, which it parts, found None"
        )
    if length % pieces:
        raise UnsupportedModelError(
            f"output_size: expected a divisor of the axis, found {pieces} of {length}"
        )
    return length // pieces


LAYERS: dict[str, Parse] = {
    f"{name}Pooling{rank}D": layer
    for rank in (1, 2, 3)
    for name, layer in {
        "Max": _pooling(rank, spec.MaxPooling),
        "Average": _pooling(rank, spec.AveragePooling),
        "GlobalMax": _global_pooling(rank, "max"),
        "GlobalAverage": _global_pooling(rank, "mean"),
        "AdaptiveMax": _adaptive_pooling(rank, spec.MaxPooling),
        "AdaptiveAverage": _adaptive_pooling(rank, spec.AveragePooling),
    }.items()
}
# Five axes are a clip. Three may as well be one map, unless a layer behind goes through time.
READS_TIME = frozenset(name for name in LAYERS if name.endswith("3D"))
MOVE_TIME = frozenset(name for name in LAYERS if name.startswith("Global"))
