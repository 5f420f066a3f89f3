"""Where a mask of Keras goes: layers that use it, that hand it on, that let it fall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_graph import Call
from convlstm_native.readers.keras_layers.base import Tensor

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


def carry(call: Call, inputs: Sequence[Tensor], made: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The results of a call of a layer that knows nothing of masks, with the masks that Keras gives them.

    Raises :class:`UnsupportedModelError` for a layer that would use the mask.
    """
    if not any(tensor.mask for tensor in inputs):
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
