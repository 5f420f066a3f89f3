"""Activation functions by name, with their parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass

from convlstm_native.errors import UnsupportedModelError

# Every activation the runtime knows, with the default values of its parameters as Keras 3 has them.
# `relu` is (negative_slope, max_value, threshold); `hard_sigmoid` is (slope, offset): Keras 1 and 2 mean
# (0.2, 0.5), Keras 3 means (1/6, 0.5), and the reader decides by the version that the file records.
ACTIVATIONS: dict[str, tuple[float, ...]] = {
    "linear": (),
    "relu": (0.0, math.inf, 0.0),
    "hard_sigmoid": (1 / 6, 0.5),
    "sigmoid": (),
    "tanh": (),
    "elu": (1.0,),
    "selu": (),
    "celu": (1.0,),
    "exponential": (),
    "gelu": (),
    "gelu_tanh": (),
    "silu": (),
    "hard_silu": (1 / 6, 0.5),
    "softplus": (),
    "softsign": (),
    "log_sigmoid": (),
    "mish": (),
    "hard_tanh": (),
    "hard_shrink": (0.5,),
    "soft_shrink": (0.5,),
    "tanh_shrink": (),
    "squareplus": (4.0,),
    "sparse_plus": (),
    "sparse_sigmoid": (),
    "threshold": (0.0, 0.0),
    # Not elementwise: over the last axis. Allowed in Dense and Activation, not inside a cell.
    "softmax": (),
    "log_softmax": (),
}
OVER_LAST_AXIS = frozenset({"softmax", "log_softmax"})


@dataclass(frozen=True)
class Function:
    """An activation function with its parameters, e.g. ``Function("hard_sigmoid", (0.2, 0.5))``.

    Parameters left out are those of ``ACTIVATIONS``. An unknown name or a wrong number of parameters
    raises :class:`UnsupportedModelError`.
    """

    name: str
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        default = ACTIVATIONS.get(self.name)
        if default is None:
            known = ", ".join(sorted(ACTIVATIONS))
            raise UnsupportedModelError(f"activation {self.name!r}: expected one of {known}")
        if not self.parameters:
            object.__setattr__(self, "parameters", default)
        elif len(self.parameters) != len(default):
            raise UnsupportedModelError(
                f"activation {self.name!r}: expected {len(default)} parameter(s), found {self.parameters}"
            )


LINEAR = Function("linear")
SIGMOID = Function("sigmoid")
TANH = Function("tanh")
