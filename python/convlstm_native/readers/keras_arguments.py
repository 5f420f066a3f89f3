"""The arguments of one Keras layer. What no one asked for is a problem, never ignored."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_graph import LayerConfig, shorten
from convlstm_native.spec import ACTIVATIONS, Function

# Arguments that only training, initialization or the choice of an equivalent implementation look
# at.
TRAINING_ONLY = frozenset(
    {
        *("name", "trainable", "input_dtype", "input_shape", "batch_input_shape", "batch_shape"),
        *("build_input_shape", "unroll", "implementation", "fused", "synchronized", "momentum"),
        *("unit_forget_bias", "dropout", "recurrent_dropout", "seed", "rate", "noise_shape"),
        *("stddev", "l1", "l2"),
    }
)
TRAINING_ONLY_SUFFIXES = ("_initializer", "_regularizer", "_constraint")
PRECISIONS = frozenset(
    {"float16", "float32", "float64", "bfloat16", "mixed_float16", "mixed_bfloat16"}
)

# Names of Keras activations that differ from the spec's, with their parameters.
RENAMED = {
    "swish": Function("silu"),
    "hard_swish": Function("hard_silu"),
    "relu6": Function("relu", (0.0, 6.0, 0.0)),
    "leaky_relu": Function("relu", (0.2, math.inf, 0.0)),
}


@dataclass
class Arguments:
    """Reads a layer's arguments by name, checks them, and gathers what is wrong with them.

    ``keras_major`` is the generation of Keras that wrote the file (2 stands for 1 and 2): defaults
    and the constants of some activations depend on it.
    """

    layer: LayerConfig
    keras_major: int
    problems: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=lambda: {"dtype"})
    precision: str = "float32"

    @property
    def what(self) -> str:
        """How messages call the layer."""
        return f"{self.layer.class_name} {self.layer.name!r}"

    def raw(self, name: str, default: Any = None) -> Any:
        """The value as the file holds it; ``default`` when it is missing or null."""
        self.seen.add(name)
        value = self.layer.arguments.get(name)
        return default if value is None else value

    def reject(self, name: str, expected: object, found: object) -> None:
        """Note one argument that cannot be used."""
        self.problems.append(f"{self.what}: {name}: expected {expected}, found {shorten(found)}")

    def flag(self, name: str, default: bool) -> bool:
        """A boolean."""
        value = self.raw(name, default)
        if not isinstance(value, (bool, int)):
            self.reject(name, "true or false", value)
        return bool(value)

    def ignore(self, *names: str) -> None:
        """Arguments of this layer that do not matter at inference."""
        self.seen.update(names)

    def off(self, *names: str) -> None:
        """Switches that must be off because the runtime lacks what they turn on."""
        for name in names:
            if value := self.raw(name):
                self.reject(name, "it unset (not supported)", value)

    def number(self, name: str, default: float | None) -> float:
        """A finite number; ``default`` None means that the argument must be there."""
        value = self.raw(name, default)
        if not _is_number(value):
            self.reject(name, "a finite number", value)
            return 0.0
        return float(value)

    def count(self, name: str) -> int:
        """A positive integer that must be there."""
        return self.counts(name, 1, None)[0]

    def counts(self, name: str, rank: int, default: Any) -> tuple[int, ...]:
        """``rank`` positive integers; one alone stands for all."""
        value = self.raw(name, default)
        values = value if isinstance(value, list) else [value] * rank
        if len(values) == rank and all(type(v) is int and v >= 1 for v in values):
            return tuple(values)
        self.reject(name, f"{rank} positive integer(s)", value)
        return (1,) * rank

    def axis(self) -> int:
        """The argument ``axis``: one integer, or a list that holds one."""
        value = self.raw("axis", -1)
        values = value if isinstance(value, list) else [value]
        if len(values) == 1 and type(values[0]) is int:
            return int(values[0])
        self.reject("axis", "one axis", value)
        return -1

    def axes(self) -> tuple[int, ...]:
        """The argument ``axis``: one integer or several that differ."""
        value = self.raw("axis", -1)
        values = value if isinstance(value, list) else [value]
        if values and all(type(v) is int for v in values) and len(set(values)) == len(values):
            return tuple(values)
        self.reject("axis", "one axis or several", value)
        return (-1,)

    def numbers(self, name: str, default: float | None = None) -> NDArray[np.float64]:
        """A number or an array of them, as nested lists or as Keras writes a NumPy array."""
        value = self.raw(name, default)
        array = as_numbers(value)
        if array is None:
            self.reject(name, "finite numbers", value)
        return np.zeros(()) if array is None else array

    def choice(self, name: str, options: tuple[str, ...], default: str) -> str:
        """One of ``options``, which Keras compares in lower case."""
        value = self.raw(name, default)
        if isinstance(value, str) and value.lower() in options:
            return value.lower()
        self.reject(name, " or ".join(map(repr, options)), value)
        return default

    def data_format(self) -> str:
        """The argument ``data_format``."""
        return self.choice("data_format", ("channels_last", "channels_first"), "channels_last")

    def function(self, name: str, default: str = "linear") -> Function:
        """An activation: a name, a serialized function, or a serialized activation layer."""
        value = self.raw(name, default)
        try:
            return self._function(value)
        except UnsupportedModelError as error:
            self.problems += [f"{self.what}: {name}: {problem}" for problem in error.problems]
            return Function("linear")

    def _function(self, value: object) -> Function:
        if isinstance(value, dict):
            class_name, config = value.get("class_name"), value.get("config")
            layer = LayerConfig(
                "",
                str(class_name),
                config if isinstance(config, dict) else {},
                value.get("module"),
                value.get("registered_name"),
            )
            if layer.custom or class_name == "__lambda__":
                raise UnsupportedModelError(
                    f"custom code {shorten(config or class_name)} is never run"
                )
            if class_name == "Activation":
                return self._function(layer.arguments.get("activation"))
            value = config if class_name == "function" else class_name
        else:
            layer = LayerConfig("", str(value), {})
        if not isinstance(value, str):
            raise UnsupportedModelError(
                f"expected the name of an activation, found {shorten(value)}"
            )
        if value in ACTIVATION_LAYERS:
            arguments = Arguments(layer, self.keras_major)
            function = activation_layer(arguments)
            arguments.finish()
            return function
        return named_function(value, self.keras_major)

    def read_precision(self) -> None:
        """Note the precision policy; a quantized or unknown one is a problem."""
        value = self.layer.arguments.get("dtype")
        config = value.get("config") if isinstance(value, dict) else {"name": value or "float32"}
        name = config.get("name") if isinstance(config, dict) else None
        if isinstance(name, str) and name in PRECISIONS:
            self.precision = name
        else:
            self.reject("dtype", f"one of {', '.join(sorted(PRECISIONS))}", value)

    def finish(self) -> None:
        """Raise :class:`UnsupportedModelError` with all problems; arguments never read are some."""
        for name in self._unread():
            self.reject(
                name, "no such argument (it may change the result)", self.layer.arguments[name]
            )
        if self.problems:
            raise UnsupportedModelError("\n".join(self.problems), tuple(self.problems))

    def _unread(self) -> Iterable[str]:
        for name, value in self.layer.arguments.items():
            known = (
                name in self.seen or name in TRAINING_ONLY or name.endswith(TRAINING_ONLY_SUFFIXES)
            )
            if not known and value is not None:
                yield name


def as_numbers(value: object) -> NDArray[np.float64] | None:
    """A number, nested lists of them, or an array as Keras writes it; None for anything else."""
    if isinstance(value, dict) and value.get("class_name") == "__numpy__":
        config = value.get("config")
        value = config.get("value") if isinstance(config, dict) else None
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError):
        return None
    return array if array.size and np.isfinite(array).all() else None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e38


def named_function(name: str, keras_major: int) -> Function:
    """The activation that Keras calls ``name``.

    ``hard_sigmoid`` is ``clip(0.2 x + 0.5, 0, 1)`` in Keras 1 and 2 and ``clip(x / 6 + 0.5, 0, 1)``
    in Keras 3.
    """
    if name == "hard_sigmoid" and keras_major < 3:
        return Function(name, (0.2, 0.5))
    if name in RENAMED:
        return RENAMED[name]
    if name not in ACTIVATIONS or name in ("gelu_tanh", "threshold"):
        known = sorted({*ACTIVATIONS, *RENAMED} - {"gelu_tanh", "threshold"})
        raise UnsupportedModelError(f"expected one of {', '.join(known)}, found {name!r}")
    return Function(name)


# Keras' activation layers that the spec holds as a function.
ACTIVATION_LAYERS = ("ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "Softmax")


def activation_layer(arguments: Arguments) -> Function:
    """The function of one of :data:`ACTIVATION_LAYERS`.

    Keras 3 calls the slope of LeakyReLU ``negative_slope``, Keras 2 ``alpha``; the default is 0.3
    in both.
    """
    class_name = arguments.layer.class_name
    if class_name == "ReLU":
        top = arguments.raw("max_value", math.inf)
        limit = math.inf if top == math.inf else arguments.number("max_value", None)
        slope = arguments.number("negative_slope", 0.0)
        return Function("relu", (slope, limit, arguments.number("threshold", 0.0)))
    if class_name == "LeakyReLU":
        slope = arguments.number("alpha", arguments.number("negative_slope", 0.3))
        return Function("relu", (slope, math.inf, 0.0))
    if class_name == "ELU":
        return Function("elu", (arguments.number("alpha", 1.0),))
    if class_name == "ThresholdedReLU":  # of Keras 1 and 2
        return Function("relu", (0.0, math.inf, arguments.number("theta", 1.0)))
    if arguments.axes() != (-1,) and not arguments.layer.name:
        arguments.reject("axis", -1, arguments.raw("axis"))
    return Function("softmax")
