"""Where a mask of Keras goes: layers that use it, that hand it on, and all others, which drop it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_graph import Call
from convlstm_native.readers.keras_layers.base import (
    Builder,
    CallSite,
    Parse,
    Tensor,
)
from convlstm_native.readers.keras_layers.operations import is_operation

# Layers of Keras that hand a mask on untouched.
CARRIERS = frozenset(
    {
        *("Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dense"),
        *("Dropout", "ELU", "GaussianDropout", "GaussianNoise", "GroupNormalization", "Identity"),
        *("LayerNormalization", "LeakyReLU", "Normalization", "PReLU", "ReLU", "Rescaling"),
        *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "UnitNormalization"),
    }
)
# Layers whose results depend on a mask.
READERS = frozenset({"GlobalAveragePooling1D", "Softmax"})
# Layers whose result counts where any of their inputs does: those without a mask always do.
JOINING = frozenset({"Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"})


@dataclass(frozen=True)
class Flags(Tensor):
    """Booleans of Keras: which numbers differ from another, or, when ``frames``, which frames count.

    Both are the mask of a Masking already: files of functional models of Keras 3 hold a mask as the
    operations that make it, ``any(not_equal(x, value), axis)``. ``rank`` counts the axes of a frame.
    """

    rank: int = 1
    frames: bool = False


def _not_equal(args: Arguments) -> Builder:
    del args

    def build(site: CallSite) -> tuple[Tensor, ...]:
        value = site.options.get("argument 1")
        x = site.as_sequence(site.inputs[0])
        if not isinstance(value, (int, float)) or not x.value.shape:
            raise UnsupportedModelError(
                f"expected a sequence of arrays and a number, as for a mask, found {x.value}, {value}"
            )
        _, mask = site.add(spec.Masking(float(str(np.float32(value)))), (x,))
        return (Flags(mask.name, mask.value, rank=len(x.value.shape)),)

    return build


def _any(args: Arguments) -> Builder:
    given = args.raw("axis")
    args.off("keepdims")

    def build(site: CallSite) -> tuple[Tensor, ...]:
        (x,) = site.inputs
        if not isinstance(x, Flags) or x.frames:
            raise UnsupportedModelError("expected what a NotEqual gave, found another input")
        axes = given if isinstance(given, list) else [given]
        whole = list(range(2, x.rank + 2))
        if sorted(n % (x.rank + 2) for n in axes if isinstance(n, int)) != whole:
            raise UnsupportedModelError(
                f"axis: expected all axes of a frame, {whole}, found {given}"
            )
        return (replace(x, frames=True),)

    return build


def _logical_or(args: Arguments) -> Builder:
    del args

    def build(site: CallSite) -> tuple[Tensor, ...]:
        if len(site.inputs) != 2 or not all(isinstance(x, Flags) and x.frames for x in site.inputs):
            raise UnsupportedModelError("expected two masks of frames, found other inputs")
        (mask,) = site.add(spec.Merge("maximum"), site.inputs)
        return (Flags(mask.name, mask.value, frames=True),)

    return build


LAYERS: dict[str, Parse] = {"NotEqual": _not_equal, "Any": _any, "LogicalOr": _logical_or}


def with_mask(inputs: Sequence[Tensor], mask: Tensor | None, kind: str) -> tuple[Tensor, ...]:
    """The inputs of a call with the mask that it was given, if any.

    Raises :class:`UnsupportedModelError` where booleans are used for anything else.
    """
    if mask is not None and not (isinstance(mask, Flags) and mask.frames):
        raise UnsupportedModelError("mask: expected that of a Masking, found another tensor")
    if kind not in LAYERS and any(isinstance(tensor, Flags) for tensor in inputs):
        raise UnsupportedModelError("input: expected numbers, found booleans")
    if mask is None:
        return tuple(inputs)
    return (replace(inputs[0], mask=mask), *inputs[1:])


def carry(
    call: Call, site: CallSite, inputs: Sequence[Tensor], made: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """The results of a call of a layer without a state, with the masks that Keras gives them.

    Raises :class:`UnsupportedModelError` for a layer that would use the mask.
    """
    kind = call.layer.class_name
    masks = [tensor.mask for tensor in inputs]
    if not any(masks) or kind in (*LAYERS, "Masking"):
        return made
    mask: Tensor | None = None
    if kind in READERS:
        raise UnsupportedModelError(
            "input: expected one without a mask, found that of a Masking layer, which changes what "
            f"{kind} computes"
        )
    if kind in JOINING and not is_operation(call.layer):
        mask = _any_of(site, inputs, made)
    elif kind in CARRIERS or call.per_frame:
        mask = masks[0]
    return (replace(made[0], mask=mask), *made[1:])


def _any_of(site: CallSite, inputs: Sequence[Tensor], made: tuple[Tensor, ...]) -> Tensor | None:
    masks = {tensor.mask.name: tensor.mask for tensor in inputs if tensor.mask}
    if len({tensor.value.length for tensor in (*inputs, *made)}) > 1 or not made[0].value.sequence:
        raise UnsupportedModelError(
            "axis: expected one of a frame, found that of time beside masked inputs"
        )
    if any(tensor.mask is None for tensor in inputs):
        return None
    if len(masks) == 1:
        return next(iter(masks.values()))
    return site.add(spec.Merge("maximum"), tuple(masks.values()))[0]
