"""Where a mask of Keras goes: layers that use it, that hand it on, that let it fall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import (
    Arguments,
)
from convlstm_native.readers.keras_graph import (
    Call,
)
from convlstm_native.readers.keras_layers.base import (
    Builder,
    CallSite,
    Parse,
    Tensor,
)

# Layers of Keras that hand a mask on untouched.
CARRIERS = frozenset(
    {
        *("Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dense"),
        *("Dropout", "ELU", "GaussianDropout", "GaussianNoise", "Identity", "LayerNormalization"),
        *("LeakyReLU", "PReLU", "ReLU", "Rescaling", "SpatialDropout1D", "SpatialDropout2D"),
        "SpatialDropout3D",
    }
)
# Layers without a word for masks: their outputs have none.
DROPPERS = frozenset(
    {
        *("AveragePooling1D", "Conv1D", "Cropping1D", "Flatten", "GlobalMaxPooling1D"),
        *("MaxPooling1D", "Permute", "Reshape", "SeparableConv1D", "UpSampling1D"),
        "ZeroPadding1D",
    }
)


@dataclass(frozen=True)
class Flags(Tensor):
    """Booleans of Keras: which numbers differ from another, or, when ``frames``, which frames count.

    Both are the mask of a Masking already: files of functional models of Keras 3 hold a mask as the
    operations that make it, ``any(not_equal(x, value), axis=-1)``.
    """

    frames: bool = False


def _not_equal(args: Arguments) -> Builder:
    del args

    def build(site: CallSite) -> tuple[Tensor, ...]:
        value = site.options.get("argument 1")
        x = site.as_sequence(site.inputs[0])
        if not isinstance(value, (int, float)) or len(x.value.shape) != 1:
            raise UnsupportedModelError(
                f"expected a sequence of vectors and a number, as for a mask, found {x.value}, {value}"
            )
        _, mask = site.add(spec.Masking(float(str(np.float32(value)))), (x,))
        return (Flags(mask.name, mask.value),)

    return build


def _any(args: Arguments) -> Builder:
    if args.raw("axis") not in (-1, 2, [-1], [2]):
        args.reject("axis", "the last one", args.raw("axis"))
    args.off("keepdims")

    def build(site: CallSite) -> tuple[Tensor, ...]:
        (x,) = site.inputs
        if not isinstance(x, Flags) or x.frames:
            raise UnsupportedModelError("expected what a NotEqual gave, found another input")
        return (replace(x, frames=True),)

    return build


LAYERS: dict[str, Parse] = {"NotEqual": _not_equal, "Any": _any}


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


def carry(call: Call, inputs: Sequence[Tensor], made: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The results of a call of a layer that knows nothing of masks, with the masks that Keras gives them.

    Raises :class:`UnsupportedModelError` for a layer that would use the mask.
    """
    if not any(tensor.mask for tensor in inputs) or call.layer.class_name in (*LAYERS, "Masking"):
        return made
    kind = call.layer.class_name
    if kind in DROPPERS and not call.per_frame:
        return tuple(replace(tensor, mask=None) for tensor in made)
    if kind in CARRIERS or (call.per_frame and kind != "Softmax"):
        return (replace(made[0], mask=inputs[0].mask), *made[1:])
    carriers, droppers = (", ".join(sorted(names)) for names in (CARRIERS, DROPPERS))
    raise UnsupportedModelError(
        "input: expected one without a mask, found that of a Masking layer; masks are known to recurrent "
        f"layers, handed on by TimeDistributed, {carriers}, and dropped by {droppers}"
    )
