"""Keras layers that scale a frame."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from convlstm_native import spec
from convlstm_native.errors import ModelFormatError, UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_layers.base import (
    Builder,
    CallSite,
    Parse,
    Tensor,
    as_before,
    take,
    with_frame_axes,
)
from convlstm_native.readers.keras_layers.shaping import along_one, reshaped


def _batch_normalization(args: Arguments) -> Builder:
    axis = args.axis()
    epsilon = args.number("epsilon", 1e-3)
    scaled, centered = args.flag("scale", True), args.flag("center", True)
    args.off("renorm", "virtual_batch_size", "adjustment")
    args.ignore("renorm_clipping", "renorm_momentum")
    what = args.what

    def build(site: CallSite) -> tuple[Tensor, ...]:
        x, (index,) = with_frame_axes((axis,), site)
        names = ["gamma"] * scaled + ["beta"] * centered + ["moving_mean", "moving_variance"]
        shape = (x.value.shape[index],)
        weights = {
            k: v.astype(np.float64)
            for k, v in take(site, what, **dict.fromkeys(names, shape)).items()
        }
        variance = weights["moving_variance"] + epsilon
        if not (variance > 0).all():
            raise ModelFormatError(
                f"{what}: moving_variance: expected >= 0, found {variance.min() - epsilon}"
            )
        scale = weights.get("gamma", np.ones(shape)) / np.sqrt(variance)
        shift = weights.get("beta", np.zeros(shape)) - weights["moving_mean"] * scale
        return as_before(site, site.add(_affine(index, scale, shift), (x,))[0])

    return build


def _affine(
    axis: int, scale: NDArray[np.float64], shift: NDArray[np.float64]
) -> spec.BatchNormalization:
    """x * scale + shift along an axis of the frame."""
    with np.errstate(over="ignore"):
        return spec.BatchNormalization(axis, scale.astype(np.float32), shift.astype(np.float32))


def _layer_normalization(args: Arguments) -> Builder:
    axes = args.axes()
    epsilon = args.number("epsilon", 1e-3)
    # Of Keras 3: divides by the deviation without taking the mean off.
    by_variance = args.flag("rms_scaling", False)
    scaled = args.flag("scale", True) or by_variance
    centered = args.flag("center", True) and not by_variance
    names = ["gamma"] * scaled + ["beta"] * centered
    return _normalized(args.what, axes, names, "variance" if by_variance else "layer", epsilon)


def _rms_normalization(args: Arguments) -> Builder:
    """Keras lets the weights meet the last axes of the frame, whichever are normalized."""
    axes = args.axes()
    build = _normalized(args.what, axes, ["scale"], "rms", args.number("epsilon", 1e-6))

    def checked(site: CallSite) -> tuple[Tensor, ...]:
        x, along = with_frame_axes(axes, site)
        rank = len(x.value.shape)
        if sorted(along) != list(range(rank - len(along), rank)):
            raise UnsupportedModelError(f"axis: expected the last axes, found {list(axes)}")
        return build(site)

    return checked


def _unit_normalization(args: Arguments) -> Builder:
    # The least sum of squares; Keras 3 bounds the norm itself by 1e-12.
    least = 1e-24 if args.keras_major >= 3 else 1e-12
    return _normalized(args.what, args.axes(), [], "unit", least)


def _normalized(
    what: str, axes: tuple[int, ...], names: list[str], kind: str, epsilon: float
) -> Builder:
    """A LayerNormalization whose weights are scale, shift or both, under Keras' ``names``."""

    def build(site: CallSite) -> tuple[Tensor, ...]:
        x, along = with_frame_axes(axes, site)
        # Keras lays weights along the axes in ascending order, whatever order they were listed in.
        stored = tuple(x.value.shape[axis] for axis in along)
        shape = tuple(x.value.shape[axis] for axis in sorted(along))
        weights = {
            "shift" if name == "beta" else "scale": array.reshape(shape)
            for name, array in take(site, what, **dict.fromkeys(names, stored)).items()
        }
        layer = spec.LayerNormalization(tuple(sorted(along)), kind, epsilon, **weights)
        return as_before(site, site.add(layer, (x,))[0])

    return build


def _group_normalization(args: Arguments) -> Builder:
    """Every group of channels, over all axes but batch, then a scale and shift a channel."""
    groups = args.raw("groups", 32)
    if type(groups) is not int or (groups < 1 and groups != -1):
        args.reject("groups", "a positive integer or -1", groups)
    axis = args.axis()
    epsilon = args.number("epsilon", 1e-3)
    names = ["gamma"] * args.flag("scale", True) + ["beta"] * args.flag("center", True)
    what = args.what

    def build(site: CallSite) -> tuple[Tensor, ...]:
        x, (index,) = with_frame_axes((axis,), site)
        if site.lead == 2 and x.value.sequence:
            # Time is one of the axes that are normalized.
            x, index = site.as_single(x), index + 1
        shape = x.value.shape
        channels = shape[index]
        count = channels if groups == -1 else groups
        if channels % count:
            raise UnsupportedModelError(
                f"groups: expected a divisor of {channels} channels, found {groups}"
            )
        split = (*shape[:index], count, channels // count, *shape[index + 1 :])
        others = tuple(i for i in range(len(split)) if i != index)
        y = reshaped(site, x, split)
        y = site.add(spec.LayerNormalization(others, "layer", epsilon), (y,))[0]
        y = reshaped(site, y, shape)
        weights = take(site, what, **dict.fromkeys(names, (channels,)))
        if weights:
            scale = weights.get("gamma", np.ones(channels)).astype(np.float64)
            shift = weights.get("beta", np.zeros(channels)).astype(np.float64)
            (y,) = site.add(_affine(index, scale, shift), (y,))
        return as_before(site, y)

    return build


def _normalization(args: Arguments) -> Builder:
    """(x - mean) / deviation with numbers that adapt() found or that were given; or back."""
    kept = args.raw("axis")
    listed = [] if kept is None else kept if isinstance(kept, list) else [kept]
    if not all(type(axis) is int for axis in listed):
        args.reject("axis", "axes or null", kept)
    known = None
    if args.raw("mean") is not None:
        known = args.numbers("mean"), args.numbers("variance")
    args.off(*(["variance"] if known is None else []))
    invert = args.flag("invert", False)
    what = args.what

    def build(site: CallSite) -> tuple[Tensor, ...]:
        x, found = with_frame_axes(listed, site)
        axes = tuple(sorted(found))
        shape = tuple(x.value.shape[axis] for axis in axes)
        if known is None:
            weights = take(site, what, mean=shape, variance=shape, count=())
            mean, variance = (weights[name].astype(np.float64) for name in ("mean", "variance"))
        else:
            mean, variance = (_broadcast(what, array, shape) for array in known)
        # Keras' epsilon() bounds the deviation.
        deviation = np.maximum(np.sqrt(variance), 1e-7)
        scale, shift = (deviation, mean) if invert else (1 / deviation, -mean / deviation)
        return as_before(site, scaled(site, x, axes, scale, shift))

    return build


def _broadcast(
    what: str, array: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise UnsupportedModelError(
            f"mean, variance: expected shape {shape}, found {array.shape}"
        ) from None


def scaled(
    site: CallSite,
    x: Tensor,
    axes: tuple[int, ...],
    scale: NDArray[np.float64],
    shift: NDArray[np.float64],
) -> Tensor:
    """x * scale + shift, numbers of their own for each place on ``axes``, or one for all."""
    if not axes:
        axes = (len(x.value.shape) - 1,)
    length = math.prod(x.value.shape[axis] for axis in axes)
    scale, shift = (np.broadcast_to(array.reshape(-1), length) for array in (scale, shift))
    if len(axes) == 1:
        return site.add(_affine(axes[0], scale, shift), (x,))[0]
    return along_one(site, x, axes, lambda rank: _affine(rank - 1, scale, shift))


def _rescaling(args: Arguments) -> Builder:
    scale, offset = args.numbers("scale"), args.numbers("offset", 0.0)

    def build(site: CallSite) -> tuple[Tensor, ...]:
        (x,) = site.inputs
        if not x.value.shape:
            raise UnsupportedModelError("input: expected at least one axis, found none")
        for name, array in (("scale", scale), ("offset", offset)):
            if array.shape not in ((), (1,), x.value.shape[-1:]):
                raise UnsupportedModelError(
                    f"{name}: expected one number or {x.value.shape[-1]}, found {array.shape}"
                )
        return (scaled(site, x, (), scale, offset),)

    return build


LAYERS: dict[str, Parse] = {
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "GroupNormalization": _group_normalization,
    "RMSNormalization": _rms_normalization,
    "UnitNormalization": _unit_normalization,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
}
