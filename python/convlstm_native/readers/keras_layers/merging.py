"""Keras layers that make one tensor of several.

Keras sees batch, time and the axes of a frame alike. Here sequences meet frame by frame, and a single
meets every frame, so that tensors are first brought to one of the two.
"""

from __future__ import annotations

from collections.abc import Sequence

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Parse, Tensor
from convlstm_native.readers.keras_layers.shaping import reshaped


def _merge(function: str) -> Parse:
    def parse(args: Arguments) -> Builder:
        del args
        return lambda site: site.add(spec.Merge(function), _broadcast(site))

    return parse


def _rank(x: Tensor) -> int:
    """Axes of a Keras tensor behind the batch."""
    return len(x.value.shape) + x.value.sequence


def _in_frames(site: CallSite) -> bool:
    """Whether the call sees frames alone, within TimeDistributed."""
    return site.lead == 1 and site.value.sequence


def _broadcast(site: CallSite) -> tuple[Tensor, ...]:
    """The inputs as they meet in Keras, which puts the axes that one lacks behind its batch."""
    sequences = [x for x in site.inputs if x.value.sequence]
    if not sequences or _in_frames(site):
        return site.inputs
    top = max(map(_rank, site.inputs))
    if any(_rank(x) < top for x in sequences):
        # Time of one tensor meets an axis of the frames of another.
        return tuple(site.as_single(x) for x in site.inputs)
    lengths = [_length(x) for x in site.inputs if _rank(x) == top]
    steps = max(lengths, key=lambda length: 0 if length is None else length)
    return tuple(_in_step(site, x, steps) if _rank(x) == top else x for x in site.inputs)


def _length(x: Tensor) -> int | None:
    return x.value.length if x.value.sequence else x.value.shape[0]


def _in_step(site: CallSite, x: Tensor, steps: int | None) -> Tensor:
    """``x`` as a sequence of ``steps`` frames; what is there once meets all frames, as a single."""
    if _length(x) == 1 and steps != 1:
        single = site.as_single(x)
        return reshaped(site, single, single.value.shape[1:])
    return _as_sequence(site, x, site.inputs)


def _as_sequence(site: CallSite, x: Tensor, beside: Sequence[Tensor]) -> Tensor:
    """``x`` as a sequence beside others, which must be known to run in step."""
    lengths = {_length(other) for other in beside if other.value.sequence}
    if not x.value.sequence and lengths != {_length(x)}:
        raise UnsupportedModelError(
            f"inputs: expected sequences of {_length(x)} frames beside {x.value}, "
            f"found {sorted(map(str, lengths))}"
        )
    return site.as_sequence(x)


def _concatenate(args: Arguments) -> Builder:
    axis = args.axis()

    def build(site: CallSite) -> tuple[Tensor, ...]:
        rank = len(site.value.shape) + site.lead
        index = axis + rank if axis < 0 else axis
        if not 1 <= index < rank:
            raise UnsupportedModelError(f"axis: expected 1 to {rank - 1}, found {axis}")
        if len({_rank(x) for x in site.inputs}) > 1:
            raise UnsupportedModelError(
                f"inputs: expected tensors of one rank, found {[x.value for x in site.inputs]}"
            )
        sequences = any(x.value.sequence for x in site.inputs) and not _in_frames(site)
        if not sequences:
            return site.add(spec.Concatenate(index - 1), site.inputs)
        if index > 1:
            parts = [_as_sequence(site, x, site.inputs) for x in site.inputs]
            return site.add(spec.Concatenate(index - 2), parts)
        parts = [site.as_single(x) for x in site.inputs]
        return (site.as_sequence(site.add(spec.Concatenate(0), parts)[0]),)

    return build


def _dot(args: Arguments) -> Builder:
    axes = args.raw("axes")
    pair = axes if isinstance(axes, list) else [axes, axes]
    if len(pair) != 2 or not all(type(axis) is int and axis != 0 for axis in pair):
        args.reject("axes", "one axis or two, none of them the batch", axes)
    normalize = args.flag("normalize", False)
    # The least sum of squares; Keras 3 bounds the norm itself by 1e-7.
    least = 1e-14 if args.keras_major >= 3 else 1e-12

    def build(site: CallSite) -> tuple[Tensor, ...]:
        if len(site.inputs) != 2:
            raise UnsupportedModelError(f"inputs: expected 2, found {len(site.inputs)}")
        in_frames = _in_frames(site)
        parts = [x if in_frames else site.as_single(x) for x in site.inputs]
        found = []
        for i, (x, axis) in enumerate(zip(parts, pair, strict=True)):
            rank = len(x.value.shape) + 1
            index = axis + rank if axis < 0 else axis
            if not 1 <= index < rank:
                raise UnsupportedModelError(f"axes: expected 1 to {rank - 1}, found {axis}")
            found.append(index - 1)
            if normalize:
                unit = spec.LayerNormalization((index - 1,), "unit", least)
                (parts[i],) = site.add(unit, (x,))
        return site.add(spec.Dot((found[0], found[1])), parts)

    return build


LAYERS: dict[str, Parse] = {
    "Add": _merge("add"),
    "Subtract": _merge("subtract"),
    "Multiply": _merge("multiply"),
    "Average": _merge("average"),
    "Maximum": _merge("maximum"),
    "Minimum": _merge("minimum"),
    "Concatenate": _concatenate,
    "Dot": _dot,
}
MERGING = frozenset(LAYERS)
