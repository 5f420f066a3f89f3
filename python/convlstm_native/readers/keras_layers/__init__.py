"""One reader a Keras layer, by class name."""

from __future__ import annotations

from dataclasses import replace

from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_graph import expect, parse_layer
from convlstm_native.readers.keras_layers import (
    dense,
    merging,
    normalization,
    operations,
    pooling,
    recurrent,
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


def _spectral_normalization(args: Arguments) -> Builder:
    """At inference the layer inside, whose kernel training has left normalized."""
    where = args.what
    inner_config = parse_layer(expect(args.layer.arguments, "layer", dict, where), where)
    args.seen.add("layer")
    args.ignore("power_iterations")
    inner = parse(Arguments(replace(inner_config, name=args.layer.name), args.keras_major))

    def build(site: CallSite) -> tuple[Tensor, ...]:
        weights = site.weights
        if len(weights) > 1 and weights[-1].ndim == 2 and len(weights[-1]) == 1:
            weights = weights[:-1]  # in HDF5 the vector of the power iteration stands behind them
        return inner(replace(site, weights=weights))

    return build


LAYERS: dict[str, Parse] = {
    **recurrent.LAYERS,
    **dense.LAYERS,
    **merging.LAYERS,
    **normalization.LAYERS,
    **pooling.LAYERS,
    **shaping.LAYERS,
    "SpectralNormalization": _spectral_normalization,
    "TimeDistributed": _time_distributed,
}
RECURRENT = tuple(recurrent.LAYERS)
# Layers that take a list of tensors.
MERGING = tuple(merging.LAYERS)
MOVE_TIME = shaping.MOVE_TIME


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
    operation = operations.is_operation(layer)
    known = operations.OPERATIONS if operation else LAYERS
    if layer.class_name not in known:
        raise UnsupportedModelError(
            f"{args.what}: expected one of {', '.join(known)}, "
            f"found another {'operation' if operation else 'layer'}"
        )
    args.read_precision()
    builder = known[layer.class_name](args)
    args.finish()
    return builder
