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
    Tensor,
    as_before,
    identity,
    one,
    take,
    with_frame_axes,
)
from convlstm_native.readers.keras_layers.shaping import along_one


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
    if args.layer.class_name != "Softmax":
        return one(lambda site: spec.Activation(function))
    axes = args.axes()

    def build(site: CallSite) -> tuple[Tensor, ...]:
        x, along = with_frame_axes(axes, site)
        return as_before(site, along_one(site, x, along, lambda _: spec.Activation(function)))

    return build


def _prelu(args: Arguments) -> Builder:
    shared = args.raw("shared_axes", [])
    shared = shared if isinstance(shared, list) else [shared]
    if not all(type(axis) is int and axis >= 1 for axis in shared):
        args.reject("shared_axes", "axes from 1 on", shared)
    what = args.what

    def build(site: CallSite) -> tuple[Tensor, ...]:
        x, own = site.inputs[0], 1 in shared
        if site.lead == 2 and not own:
            # A slope of its own for every frame.
            x = site.as_single(x)
        lead = 2 if site.lead == 2 and own else 1
        frame = x.value.shape
        slope = tuple(1 if i + lead in shared else n for i, n in enumerate(frame))
        shape = (1,) * (lead - 1) + slope
        alpha = take(site, what, alpha=shape)["alpha"]
        return as_before(site, site.add(spec.PReLU(alpha.reshape(slope)), (x,))[0])

    return build


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
    "PReLU": _prelu,
    **dict.fromkeys(ACTIVATION_LAYERS, _activation),
    **dict.fromkeys(IDENTITIES, _identity),
}
