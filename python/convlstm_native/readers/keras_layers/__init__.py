"""One reader a Keras layer, by class name."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_graph import expect, parse_layer
from convlstm_native.readers.keras_layers import (
    convolution,
    dense,
    masks,
    merging,
    normalization,
    operations,
    pooling,
    recurrent,
    recurrent_wrappers,
    resizing,
    shaping,
)
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Parse, Tensor, identity

FAMILIES: tuple[ModuleType, ...] = (
    recurrent,
    recurrent_wrappers,
    convolution,
    dense,
    merging,
    normalization,
    pooling,
    resizing,
    shaping,
)


def _time_distributed(args: Arguments) -> Builder:
    """The reader of models has unwrapped all others: what is left stands within another one."""
    args.ignore("layer")
    args.reject("layer", "one TimeDistributed around it", "one within another")
    return identity


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
    **{name: parse for family in FAMILIES for name, parse in family.LAYERS.items()},
    "SpectralNormalization": _spectral_normalization,
    "TimeDistributed": _time_distributed,
}


def _declared(what: str) -> frozenset[str]:
    return frozenset().union(*(getattr(family, what, ()) for family in FAMILIES))


# What the families declare about time. Layers not named here are frame-wise: axis 1 of what they make
# is axis 1 of what they read.
# Layers whose first input is a sequence, whatever its rank.
READS_TIME = _declared("READS_TIME")
# Layers that make of a sequence something without its time axis, or the other way round.
MOVE_TIME = _declared("MOVE_TIME")
# Layers whose inputs behind the first are states, and whose first output is a sequence if asked for.
RECURRENT = _declared("RECURRENT")
# Operations that make a mask.
MASK_OPERATIONS = frozenset(masks.LAYERS)
# Layers that take a list of tensors.
MERGING = _declared("MERGING")
# Layers whose calls hold a default of "training" that predict() overrides.
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
    operation = operations.is_operation(layer)
    known = {**operations.OPERATIONS, **masks.LAYERS} if operation else LAYERS
    if layer.class_name not in known:
        raise UnsupportedModelError(
            f"{args.what}: expected one of {', '.join(known)}, "
            f"found another {'operation' if operation else 'layer'}"
        )
    args.read_precision()
    builder = known[layer.class_name](args)
    args.finish()
    return builder
