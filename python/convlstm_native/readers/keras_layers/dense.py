"""Keras' Dense, activation layers, and layers that do nothing at inference."""

from __future__ import annotations

import numpy as np

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import ACTIVATION_LAYERS, Arguments, activation_layer
from convlstm_native.readers.keras_layers.base import (
    Builder,
    CallSite,
    Parse,
    frame_axis,
    identity,
    one,
    take,
)


def _dense(args: Arguments) -> Builder:
    units = args.count("units")
    activation = args.function("activation")
    use_bias = args.flag("use_bias", True)
    args.off("lora_rank", "quantization_config")
    args.ignore("lora_alpha", "input_dim")
    what = args.what

    def layer(site: CallSite) -> spec.Layer:
        if not site.value.shape:
            raise UnsupportedModelError("input: expected at least one axis, found none")
        shapes: dict[str, tuple[int, ...]] = {"kernel": (site.value.shape[-1], units)}
        if use_bias:
            shapes["bias"] = (units,)
        weights = take(site, what, **shapes)
        bias = weights.get("bias", np.zeros(units, np.float32))
        return spec.Dense(weights["kernel"], bias, activation)

    return one(layer)


def _activation(args: Arguments) -> Builder:
    if args.layer.class_name == "Activation":
        function = args.function("activation")
        return one(lambda site: spec.Activation(function))
    function = activation_layer(args)
    axis = args.axis() if args.layer.class_name == "Softmax" else None

    def layer(site: CallSite) -> spec.Layer:
        if axis is not None and frame_axis(axis, site) != len(site.value.shape) - 1:
            raise UnsupportedModelError(f"axis: expected the last one, found {axis}")
        return spec.Activation(function)

    return one(layer)


def _identity(args: Arguments) -> Builder:
    args.ignore("data_format")  # of SpatialDropout
    return identity


IDENTITIES = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "ActivityRegularization",
)
LAYERS: dict[str, Parse] = {
    "Dense": _dense,
    "Activation": _activation,
    **dict.fromkeys(ACTIVATION_LAYERS, _activation),
    **dict.fromkeys(IDENTITIES, _identity),
}
