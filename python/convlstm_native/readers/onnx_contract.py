"""What the ONNX writer and reader agree on: names, versions, metadata, arguments as attributes.

A file is plain ONNX. Each ConvLSTM2D is a call to a model-local function of the domain
``convlstm_native``: its body is standard ONNX for any runtime, its call carries every argument as a
typed attribute for us. The attributes are the meaning of the call; the body says the same thing in
other words.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from convlstm_native.errors import ModelFormatError, UnsupportedModelError
from convlstm_native.spec import ACTIVATIONS, ConvLSTM2D, Function, Preprocessing

DOMAIN = "convlstm_native"
DOMAIN_VERSION = 1
FORMAT_VERSION = "1"

# Old enough for ONNX Runtime 1.12; operators that came later are composed of older ones.
OPSET = 17
IR_VERSION = 8
# Since opset 13 axes are inputs and Softmax has its present meaning; older ones are not read.
OLDEST_OPSET = 13

BATCH, TIME = "N", "T"

CONV_LSTM_2D = "ConvLSTM2D"
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

_FIELDS = {
    "filters": int,
    "kernel_size": tuple,
    "strides": tuple,
    "padding": str,
    "data_format": str,
    "dilation_rate": tuple,
    "activation": Function,
    "recurrent_activation": Function,
    "return_sequences": bool,
    "return_state": bool,
    "go_backwards": bool,
    "stateful": bool,
}


def function_name(kind: str, number: int) -> str:
    """Name of the ``number``-th function of a kind, counted from 1.

    There is one for each configuration, since the body of a function cannot branch on a string.
    """
    return kind if number == 1 else f"{kind}_{number}"


def function_kind(name: str) -> str | None:
    """The layer that a function of our domain stands for, or None for a name we never write."""
    match = re.fullmatch(rf"({CONV_LSTM_2D}|{ACTIVATION})(_[1-9][0-9]*)?", name)
    return match.group(1) if match else None


def widen(value: float) -> float:
    """The number meant by a float32 attribute: 1/6, or the shortest decimal that rounds to it."""
    narrow = np.float32(value)
    return 1 / 6 if narrow == np.float32(1 / 6) else float(str(narrow))


def encode_function(prefix: str, function: Function) -> dict[str, Any]:
    """Attributes of an activation. Parameters are a tensor of float64, so that none is rounded."""
    parameters = np.array(function.parameters, np.float64)
    return {prefix: function.name, f"{prefix}_parameters": onnx.numpy_helper.from_array(parameters)}


def encode_conv_lstm(layer: ConvLSTM2D) -> dict[str, Any]:
    """Every argument of the layer as an attribute of its call; weights are inputs of the call."""
    attributes: dict[str, Any] = {}
    for name, kind in _FIELDS.items():
        value = getattr(layer, name)
        if kind is Function:
            attributes |= encode_function(name, value)
        else:
            attributes[name] = int(value) if kind is bool else value
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


def decode_conv_lstm(attributes: dict[str, Any]) -> dict[str, Any]:
    """Arguments for :class:`ConvLSTM2D` from the attributes of a call.

    Raises :class:`UnsupportedModelError` for a missing, mistyped or unknown attribute.
    """
    rest = dict(attributes)
    arguments: dict[str, Any] = {}
    for name, kind in _FIELDS.items():
        if kind is Function:
            arguments[name] = decode_function(name, rest)
        elif kind is tuple:
            arguments[name] = tuple(_take(rest, name, list))
            if len(arguments[name]) != 2 or not all(
                isinstance(n, int) and n > 0 for n in arguments[name]
            ):
                raise UnsupportedModelError(
                    f"attribute {name}: expected two positive integers, found {arguments[name]}"
                )
        elif kind is bool:
            flag = _take(rest, name, int)
            if flag not in (0, 1):
                raise UnsupportedModelError(f"attribute {name}: expected 0 or 1, found {flag}")
            arguments[name] = bool(flag)
        else:
            arguments[name] = _take(rest, name, kind)
    if arguments["filters"] < 1:
        raise UnsupportedModelError(
            f"attribute filters: expected >= 1, found {arguments['filters']}"
        )
    refuse_unknown(rest)
    return arguments


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
