"""Keras layers that move the numbers of a frame."""

from __future__ import annotations

import math
from collections.abc import Callable

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Parse, Tensor, identity


def _flatten(args: Arguments) -> Builder:
    channels_first = args.data_format() == "channels_first"

    def build(site: CallSite) -> tuple[Tensor, ...]:
        x = site.as_single(site.inputs[0]) if site.lead == 2 else site.inputs[0]
        if channels_first and len(x.value.shape) > 1:
            # The first axis behind the batch moves behind all others.
            (x,) = site.add(spec.Permute((*range(1, len(x.value.shape)), 0)), (x,))
        return site.add(spec.Flatten(), (x,))

    return build


def _reshape(args: Arguments) -> Builder:
    target = args.raw("target_shape", ())
    if not isinstance(target, list) or not all(n is None or type(n) is int for n in target):
        args.reject("target_shape", "a list of integers", target)
        return identity
    shape = tuple(-1 if n is None else n for n in target)

    def build(site: CallSite) -> tuple[Tensor, ...]:
        (x,) = site.inputs
        if site.lead == 2:
            frame = _frame_target(shape, x.value)
            if frame is not None:
                return (reshaped(site, x, frame),)
            x = site.as_single(x)
        return (reshaped(site, x, _resolved(shape, math.prod(x.value.shape))),)

    return build


def _frame_target(target: tuple[int, ...], x: spec.Value) -> tuple[int, ...] | None:
    """The shape of the frames where a target shape leaves time alone; None where it mixes frames."""
    if not target or target[0] not in (-1, x.length):
        return None
    count = math.prod(x.shape)
    if target[0] == -1:
        return target[1:] if -1 not in target[1:] and math.prod(target[1:]) == count else None
    return _resolved(target[1:], count)


def _resolved(target: tuple[int, ...], count: int) -> tuple[int, ...]:
    """``target`` with the length that -1 stands for, which the spec's layer checks."""
    known = math.prod(n for n in target if n != -1)
    if target.count(-1) > 1 or (-1 in target and (known == 0 or count % known)):
        raise UnsupportedModelError(
            f"target_shape: expected a shape of {count} numbers, found {target}"
        )
    return tuple(count // known if n == -1 else n for n in target)


def reshaped(site: CallSite, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``x`` with frames of another shape."""
    return x if x.value.shape == shape else site.add(spec.Reshape(shape), (x,))[0]


def permuted(site: CallSite, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """``x`` with the axes of its frames in another order."""
    in_place = axes == tuple(range(len(axes)))
    return x if in_place else site.add(spec.Permute(axes), (x,))[0]


def along_one(
    site: CallSite, x: Tensor, axes: tuple[int, ...], layer_of: Callable[[int], spec.Layer]
) -> Tensor:
    """A layer that looks along the last axis, looking along ``axes`` as along one.

    ``layer_of`` makes it for a frame of so many axes. Nothing need move: the engine looks along
    whatever axis is called the last.
    """
    shape = x.value.shape
    others = tuple(axis for axis in range(len(shape)) if axis not in axes)
    order = (*others, *axes)
    y = permuted(site, x, order)
    if len(axes) != 1:
        y = reshaped(site, y, (*(shape[i] for i in others), math.prod(shape[i] for i in axes)))
    (y,) = site.add(layer_of(len(y.value.shape)), (y,))
    y = reshaped(site, y, tuple(shape[axis] for axis in order))
    return permuted(site, y, tuple(order.index(axis) for axis in range(len(order))))


def _permute(args: Arguments) -> Builder:
    dims = args.raw("dims")
    if not isinstance(dims, list) or sorted(dims) != list(range(1, len(dims) + 1)):
        args.reject("dims", "the axes 1, 2... in some order", dims)
        return identity

    def build(site: CallSite) -> tuple[Tensor, ...]:
        (x,) = site.inputs
        rank = len(x.value.shape) + site.lead - 1
        if len(dims) != rank:
            raise UnsupportedModelError(f"dims: expected {rank} axes, found {dims}")
        if site.lead == 2 and dims[0] == 1:
            return (permuted(site, x, tuple(axis - 2 for axis in dims[1:])),)
        if site.lead == 2:
            x = site.as_single(x)
        return (permuted(site, x, tuple(axis - 1 for axis in dims)),)

    return build


def _repeat_vector(args: Arguments) -> Builder:
    times = args.count("n")

    def build(site: CallSite) -> tuple[Tensor, ...]:
        (x,) = site.inputs
        if site.lead == 2 or len(x.value.shape) != 1:
            raise UnsupportedModelError(f"input: expected a vector, found {x.value}")
        row = reshaped(site, x, (1, *x.value.shape))
        (rows,) = site.add(spec.Concatenate(0), (row,) * times) if times > 1 else (row,)
        return (rows if x.value.sequence else site.as_sequence(rows),)

    return build


def _identity(args: Arguments) -> Builder:
    del args
    return identity


LAYERS: dict[str, Parse] = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat_vector,
    "Identity": _identity,
}
# Layers whose result may have another first axis than their input.
MOVE_TIME = frozenset({"Flatten", "Reshape", "Permute", "RepeatVector"})
