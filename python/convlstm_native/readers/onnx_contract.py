"""What the ONNX writer and reader agree on: names, versions, metadata, arguments as attributes.

A file is plain ONNX. A layer that is not one or two standard operators is a call to a model-local
function of the domain ``convlstm_native``, named after the layer: its body is standard ONNX for any
runtime, its call carries every argument as a typed attribute for us. The attributes are the meaning of
the call; the body says the same thing in other words. Inputs of a call are the first input of the
layer, its weights in the order of the dataclass, its other inputs.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from convlstm_native.errors import ModelFormatError, UnsupportedModelError
from convlstm_native.spec import ACTIVATIONS, LAYERS, Array, Function, Layer, Preprocessing

DOMAIN = "convlstm_native"
DOMAIN_VERSION = 1
FORMAT_VERSION = "1"

# Old enough for ONNX Runtime 1.12; operators that came later are composed of older ones.
OPSET = 17
IR_VERSION = 8
# Since opset 13 axes are inputs and Softmax has its present meaning; older ones are not read.
OLDEST_OPSET = 13

BATCH, TIME = "N", "T"
# How ONNX marks an axis that is time.
TIME_DENOTATION = "DATA_TIME"

ACTIVATION = "Activation"
# The activation of a Dense layer is a node of its own; its name says whose it is.
ACTIVATION_SUFFIX = "/activation"

# Activations that are one standard operator, with the attributes that hold their parameters.
SINGLE_OPERATORS: dict[str, tuple[str, tuple[str, ...]]] = {
    "hard_sigmoid": ("HardSigmoid", ("alpha", "beta")),
    "sigmoid": ("Sigmoid", ()),
    "tanh": ("Tanh", ()),
    "elu": ("Elu", ("alpha",)),
    "selu": ("Selu", ()),
    "celu": ("Celu", ("alpha",)),
    "exponential": ("Exp", ()),
    "softplus": ("Softplus", ()),
    "softsign": ("Softsign", ()),
    "softmax": ("Softmax", ()),
    "log_softmax": ("LogSoftmax", ()),
}


def function_name(kind: str, number: int) -> str:
    """Name of the ``number``-th function of a kind, counted from 1.

    There is one for each configuration, since the body of a function cannot branch on a string.
    """
    return kind if number == 1 else f"{kind}_{number}"


def function_kind(name: str) -> str | None:
    """What a function of our domain stands for, a layer by its name; None for one never written."""
    match = re.fullmatch(r"([A-Za-z0-9]+)(_[1-9][0-9]*)?", name)
    kind = match.group(1) if match else None
    return kind if kind in (*LAYERS, ACTIVATION) else None


def widen(value: float) -> float:
    """The number meant by a float32 attribute: 1/6, or the shortest decimal that rounds to it."""
    narrow = np.float32(value)
    return 1 / 6 if narrow == np.float32(1 / 6) else float(str(narrow))


def encode_function(prefix: str, function: Function) -> dict[str, Any]:
    """Attributes of an activation. Parameters are a tensor of float64, so that none is rounded."""
    parameters = np.array(function.parameters, np.float64)
    return {prefix: function.name, f"{prefix}_parameters": onnx.numpy_helper.from_array(parameters)}


def weight_names(kind: type[Layer]) -> dict[str, bool]:
    """The weights of a layer, the inputs of its call behind the first: whether one must be there."""
    return {name: hint == Array for name, hint in _fields(kind).items() if hint in _WEIGHTS}


def encode_layer(layer: Layer) -> dict[str, Any]:
    """Every argument of a layer as an attribute of its call; weights are inputs of the call."""
    attributes: dict[str, Any] = {}
    for name, hint in _fields(type(layer)).items():
        value = getattr(layer, name)
        if name in layer.ADDED_LATER and value == getattr(type(layer), name):
            continue
        if hint is Function:
            attributes |= encode_function(name, value)
        elif hint not in _WEIGHTS and value != ():
            attributes[name] = int(value) if hint is bool else value
    return attributes


def decode_function(prefix: str, attributes: dict[str, Any]) -> Function:
    """Take the attributes of an activation out of ``attributes``.

    Raises :class:`UnsupportedModelError` for a missing or mistyped attribute or unknown function.
    """
    name = _take(attributes, prefix, str)
    parameters = _take(attributes, f"{prefix}_parameters", np.ndarray)
    if parameters.dtype != np.float64 or parameters.ndim != 1 or np.isnan(parameters).any():
        raise UnsupportedModelError(
            f"attribute {prefix}_parameters: expected float64 without NaN, found {parameters!r}"
        )
    function = Function(name, tuple(parameters.tolist()))
    if len(function.parameters) != len(parameters):
        raise UnsupportedModelError(
            f"attribute {prefix}_parameters: expected {len(function.parameters)}, found none"
        )
    return function


def decode_layer(kind: type[Layer], attributes: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a layer from the attributes of its call.

    Raises :class:`UnsupportedModelError` for a missing, mistyped or unknown attribute.
    """
    rest = dict(attributes)
    arguments: dict[str, Any] = {}
    for name, hint in _fields(kind).items():
        if name in kind.ADDED_LATER and name not in rest:
            continue
        if hint is Function:
            arguments[name] = decode_function(name, rest)
        elif hint not in _WEIGHTS:
            arguments[name] = _decode(name, hint, rest)
    refuse_unknown(rest)
    return arguments


def _decode(name: str, hint: Any, attributes: dict[str, Any]) -> Any:
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        # An empty list has no type, so that no attribute can hold it.
        empty = kinds[-1] is ... and name not in attributes
        values = () if empty else tuple(_take(attributes, name, list))
        length = len(values) if kinds[-1] is ... else len(kinds)
        if len(values) != length or not all(type(value) is kinds[0] for value in values):
            raise UnsupportedModelError(f"attribute {name}: expected {hint}, found {values}")
        return values
    if hint is bool:
        flag = _take(attributes, name, int)
        if flag not in (0, 1):
            raise UnsupportedModelError(f"attribute {name}: expected 0 or 1, found {flag}")
        return bool(flag)
    if hint is float:
        return widen(_take(attributes, name, float))
    return _take(attributes, name, hint)


def _fields(kind: type[Layer]) -> dict[str, Any]:
    """The fields that a file records, by name, with their types."""
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return {name: hints[name] for name in names if name not in kind.NOT_IN_FILES}


# A weight that a layer may lack is an input that its call leaves out.
_WEIGHTS = (Array, Array | None)


def refuse_unknown(attributes: Mapping[str, Any]) -> None:
    """Raise :class:`UnsupportedModelError` when any attribute is left: it may change the result."""
    if attributes:
        raise UnsupportedModelError(f"unknown attribute(s) {', '.join(sorted(attributes))}")


def _take(attributes: dict[str, Any], name: str, kind: type) -> Any:
    if name not in attributes:
        raise UnsupportedModelError(f"attribute {name}: expected, but missing")
    value = attributes.pop(name)
    if not isinstance(value, kind):
        raise UnsupportedModelError(f"attribute {name}: expected {kind.__name__}, found {value!r}")
    return value


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What a file says beside its graph, kept in ``metadata_props`` under keys of our domain."""

    name: str
    source: str = ""
    notes: tuple[str, ...] = ()
    preprocessing: dict[str, Preprocessing] = dataclasses.field(default_factory=dict)
    categories: dict[str, str] = dataclasses.field(default_factory=dict)

    def to_props(self) -> dict[str, str]:
        """The key-value pairs of ``metadata_props``."""
        steps = {name: dataclasses.asdict(step) for name, step in self.preprocessing.items()}
        return {
            f"{DOMAIN}.format_version": FORMAT_VERSION,
            f"{DOMAIN}.name": self.name,
            f"{DOMAIN}.source": self.source,
            f"{DOMAIN}.notes": json.dumps(self.notes),
            f"{DOMAIN}.preprocessing": json.dumps(steps),
            f"{DOMAIN}.categories": json.dumps(self.categories),
        }

    @classmethod
    def from_model(cls, proto: onnx.ModelProto) -> Metadata:
        """Read ``metadata_props``; a file of other origin has a name and a producer at most.

        Raises :class:`UnsupportedModelError` for another format version,
        :class:`ModelFormatError` for metadata that cannot be read.
        """
        start = f"{DOMAIN}."
        props = {
            p.key[len(start) :]: p.value for p in proto.metadata_props if p.key.startswith(start)
        }
        if not props:
            producer = f"{proto.producer_name} {proto.producer_version}".strip()
            return cls(proto.graph.name, source=producer)
        version = props.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise UnsupportedModelError(
                f"metadata {start}format_version: expected {FORMAT_VERSION!r}, found {version!r}"
            )
        try:
            steps = json.loads(props.pop("preprocessing"))
            metadata = cls(
                name=props.pop("name"),
                source=props.pop("source"),
                notes=tuple(_texts(json.loads(props.pop("notes")))),
                preprocessing={name: _preprocessing(step) for name, step in steps.items()},
                categories=json.loads(props.pop("categories")),
            )
            _texts(list(metadata.categories.values()))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ModelFormatError(
                f"metadata of {DOMAIN}: damaged or incomplete ({type(error).__name__}: {error})"
            ) from None
        if props:
            raise UnsupportedModelError(
                f"metadata of {DOMAIN}: unknown key(s) {', '.join(sorted(props))}"
            )
        return metadata


def _texts(values: list[Any]) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"expected texts, found {values!r}")
    return values


def _preprocessing(step: dict[str, Any]) -> Preprocessing:
    """One input's preprocessing, with the types that the dataclass states."""
    rows, cols = (int(n) for n in step["size"])
    mean = tuple(float(value) for value in step["mean"])
    fps = None if step["fps"] is None else float(step["fps"])
    arguments = step | {
        "size": (rows, cols),
        "mean": mean,
        "fps": fps,
        "scale": float(step["scale"]),
    }
    if step["color"] not in ("rgb", "bgr", "gray") or min(rows, cols) < 1 or not mean:
        raise ValueError(f"preprocessing {step!r}")
    if step["data_format"] not in ("channels_first", "channels_last"):
        raise ValueError(f"preprocessing {step!r}")
    return Preprocessing(**arguments)


def attribute_holds(function: Function) -> bool:
    """Whether float32 attributes give back the parameters exactly."""
    return all(widen(value) == value for value in function.parameters)


def is_default(function: Function) -> bool:
    """Whether the parameters are those of ``ACTIVATIONS``."""
    return function.parameters == ACTIVATIONS[function.name]
