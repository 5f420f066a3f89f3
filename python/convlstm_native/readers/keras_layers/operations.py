"""Operations of Keras 3 on tensors, such as ``x + y`` and ``1 - x``, which files keep as layers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments, as_numbers
from convlstm_native.readers.keras_graph import LayerConfig, shorten
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Parse, Tensor, one
from convlstm_native.readers.keras_layers.merging import LAYERS as MERGING
from convlstm_native.readers.keras_layers.normalization import scaled

# Operations of a tensor and numbers, or of two tensors.
TAKE_NUMBERS = ("Add", "Subtract", "Multiply", "TrueDivide", "Maximum", "Minimum")


def is_operation(layer: LayerConfig) -> bool:
    """Whether a file's layer is an operation, whose class may have the name of a layer."""
    return (layer.module or "").startswith(("keras.src.ops.", "keras.ops"))


def _of_two(name: str) -> Parse:
    """An operation on two tensors, or on a tensor and numbers."""

    def parse(args: Arguments) -> Builder:
        tensors = None if name == "TrueDivide" else MERGING[name](args)

        def build(site: CallSite) -> tuple[Tensor, ...]:
            constants = _constants(site)
            if len(site.inputs) == 1 and len(constants) == 1:
                ((place, numbers),) = constants.items()
                return (_with_numbers(name, site, place, numbers),)
            if tensors is None or constants or len(site.inputs) != 2:
                raise UnsupportedModelError(
                    f"inputs: expected a tensor and numbers{'' if tensors is None else ', or two'}"
                    f", found {len(site.inputs)} and {len(constants)}"
                )
            ranks = {len(x.value.shape) + x.value.sequence for x in site.inputs}
            if len(ranks) > 1:
                raise UnsupportedModelError(
                    "inputs: expected tensors of one rank (the batch of the other would meet another "
                    f"axis), found {[x.value for x in site.inputs]}"
                )
            return tensors(site)

        return build

    return parse


def _constants(site: CallSite) -> dict[int, NDArray[np.float64]]:
    """The numbers among the positional arguments, by their place."""
    found = {}
    for key, value in site.options.items():
        numbers = as_numbers(value)
        if not key.startswith("argument ") or numbers is None:
            raise UnsupportedModelError(
                f"call arguments: expected tensors and numbers, found {key}={shorten(value)}"
            )
        found[int(key.removeprefix("argument "))] = numbers
    return found


def _with_numbers(name: str, site: CallSite, place: int, numbers: NDArray[np.float64]) -> Tensor:
    """``x`` and numbers as x * scale + shift."""
    (x,) = site.inputs
    if not x.value.shape or numbers.shape not in ((), (1,), x.value.shape[-1:]):
        raise UnsupportedModelError(
            f"argument {place}: expected a number or one for each place on the last axis of {x.value}, "
            f"found shape {numbers.shape}"
        )
    one_, zero = np.ones(()), np.zeros(())
    forms = {
        ("Add", 0): (one_, numbers),
        ("Add", 1): (one_, numbers),
        ("Subtract", 0): (-one_, numbers),
        ("Subtract", 1): (one_, -numbers),
        ("Multiply", 0): (numbers, zero),
        ("Multiply", 1): (numbers, zero),
    }
    if (name, place) == ("TrueDivide", 1) and numbers.all():
        forms[name, place] = (1 / numbers, zero)
    if (name, place) not in forms:
        raise UnsupportedModelError(
            f"argument {place}: expected a tensor, found {shorten(numbers.tolist())}"
        )
    return scaled(site, x, (), *forms[name, place])


def _negative(args: Arguments) -> Builder:
    del args
    return lambda site: (scaled(site, site.inputs[0], (), -np.ones(()), np.zeros(())),)


def _function(name: str) -> Parse:
    def parse(args: Arguments) -> Builder:
        del args
        return one(lambda site: spec.Activation(spec.Function(name)))

    return parse


OPERATIONS: dict[str, Parse] = {
    **{name: _of_two(name) for name in TAKE_NUMBERS},
    "Concatenate": MERGING["Concatenate"],
    "Negative": _negative,
    "Relu": _function("relu"),
    "Sigmoid": _function("sigmoid"),
    "Tanh": _function("tanh"),
}
