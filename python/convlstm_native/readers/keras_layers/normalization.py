"""Keras layers that scale a frame."""

from __future__ import annotations

import numpy as np

from convlstm_native import spec
from convlstm_native.errors import ModelFormatError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_layers.base import (
    Builder,
    CallSite,
    Parse,
    frame_axis,
    one,
    take,
)


def _batch_normalization(args: Arguments) -> Builder:
    axis = args.axis()
    epsilon = args.number("epsilon", 1e-3)
    scaled, centered = args.flag("scale", True), args.flag("center", True)
    args.off("renorm", "virtual_batch_size", "adjustment")
    args.ignore("renorm_clipping", "renorm_momentum")
    what = args.what

    def layer(site: CallSite) -> spec.Layer:
        index = frame_axis(axis, site)
        names = ["gamma"] * scaled + ["beta"] * centered + ["moving_mean", "moving_variance"]
        shape = (site.value.shape[index],)
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
        with np.errstate(over="ignore"):
            return spec.BatchNormalization(
                index, scale.astype(np.float32), shift.astype(np.float32)
            )

    return one(layer)


LAYERS: dict[str, Parse] = {"BatchNormalization": _batch_normalization}
