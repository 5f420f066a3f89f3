"""Keras layers that move the numbers of a frame."""

from __future__ import annotations

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Parse, one


def _flatten(args: Arguments) -> Builder:
    channels_first = args.data_format() == "channels_first"

    def layer(site: CallSite) -> spec.Layer:
        if site.lead == 2:
            raise UnsupportedModelError(
                "expected TimeDistributed around it or a single before it, found a sequence: "
                "flattening time is not supported"
            )
        if channels_first and len(site.value.shape) > 1:
            raise UnsupportedModelError(
                "data_format: expected 'channels_last' (row-major order), found 'channels_first', "
                "which moves the channels behind"
            )
        return spec.Flatten()

    return one(layer)


LAYERS: dict[str, Parse] = {"Flatten": _flatten}
MOVE_TIME = frozenset(LAYERS)
