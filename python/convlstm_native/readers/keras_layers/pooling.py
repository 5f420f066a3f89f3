"""Keras layers that look at windows of a frame."""

from __future__ import annotations

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Parse, one


def _max_pooling(rank: int) -> Parse:
    """MaxPooling over ``rank`` axes: all but batch and what ``data_format`` calls the channels.

    On a sequence of rank-``rank`` frames time is one of those axes: with channels_first it plays
    the channel and the window covers the whole frame, with channels_last it is the first axis of
    the window.
    """

    def parse(args: Arguments) -> Builder:
        window = args.counts("pool_size", rank, 2)
        steps = args.counts("strides", rank, list(window))
        padding = args.choice("padding", ("valid", "same"), "valid")
        channels_first = args.data_format() == "channels_first"

        def layer(site: CallSite) -> spec.Layer:
            over_time = site.lead == 2
            if len(site.value.shape) + over_time != rank + 1:
                raise UnsupportedModelError(
                    f"input: expected {rank + 2} axes with batch, "
                    f"found {len(site.value.shape) + site.lead}"
                )
            pool, strides = ((1, *v) if channels_first else (*v, 1) for v in (window, steps))
            if over_time and (pool[0], strides[0]) != (1, 1):
                raise UnsupportedModelError(
                    "pool_size, strides: expected 1 over time (no pooling over time yet), "
                    f"found {pool[0]} and {strides[0]}"
                )
            return spec.MaxPooling(pool[over_time:], strides[over_time:], padding)

        return one(layer)

    return parse


LAYERS: dict[str, Parse] = {"MaxPooling2D": _max_pooling(2), "MaxPooling3D": _max_pooling(3)}
READS_TIME = frozenset({"MaxPooling3D"})
