"""One reader a Keras layer, by class name."""

from __future__ import annotations

from dataclasses import replace

from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_graph import expect, parse_layer
from convlstm_native.readers.keras_layers import (
    dense,
    masks,
    merging,
    normalization,
    pooling,
    recurrent,
    recurrent_wrappers,
    resizing,
    shaping,
)
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Parse, Tensor, identity


def _time_distributed(args: Arguments) -> Builder:
    where = args.what
    inner_config = parse_layer(
        {"config": {}, **expect(args.layer.arguments, "layer", dict, where)}, where
    )
    args.seen.add("layer")
    inner_args = Arguments(replace(inner_config, name=args.layer.name), args.keras_major)
    if inner_config.class_name in ("TimeDistributed", *RECURRENT):
        args.reject("layer", "a layer that works on one frame", inner_config.class_name)
        return identity
    inner = parse(inner_args)

    def build(site: CallSite) -> tuple[Tensor, ...]:
        if not site.value.sequence and len(site.value.shape) < 2:
            raise UnsupportedModelError(f"input: expected a sequence, found {site.value}")
        return inner(replace(site, lead=1, inputs=tuple(map(site.as_sequence, site.inputs))))

    return build


LAYERS: dict[str, Parse] = {
    **recurrent.LAYERS,
    **recurrent_wrappers.LAYERS,
    **dense.LAYERS,
    **masks.LAYERS,
    **merging.LAYERS,
    **normalization.LAYERS,
    **pooling.LAYERS,
    **resizing.LAYERS,
    **shaping.LAYERS,
    "TimeDistributed": _time_distributed,
}
RECURRENT = (*recurrent.LAYERS, *recurrent_wrappers.LAYERS)
# Operations that make a mask.
MASK_OPERATIONS = tuple(masks.LAYERS)
# Layers that take a list of tensors.
MERGING = tuple(merging.LAYERS)
MOVE_TIME = shaping.MOVE_TIME
PREPROCESSING = resizing.PREPROCESSING


def parse(args: Arguments) -> Builder:
    """What builds the layer that ``args`` describe.

    Raises :class:`UnsupportedModelError` with all problems when the layer or an argument is not
    supported.
    """
    layer = args.layer
    if layer.class_name == "Lambda" or layer.custom:
        raise UnsupportedModelError(
            f"{args.what}: expected a layer of Keras, found custom Python code, which is never run"
        )
    if layer.class_name not in LAYERS:
        raise UnsupportedModelError(
            f"{args.what}: expected one of {', '.join(LAYERS)}, found another layer"
        )
    args.read_precision()
    builder = LAYERS[layer.class_name](args)
    args.finish()
    return builder
