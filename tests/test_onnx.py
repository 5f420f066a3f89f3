"""The ONNX contract: what is written runs anywhere, is read back unchanged, and damage is refused."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import reference
from onnx import TensorProto, helper, numpy_helper

from convlstm_native.errors import ConvLSTMError, ModelFormatError, UnsupportedModelError
from convlstm_native.onnx_writer import to_onnx
from convlstm_native.readers.onnx_contract import DOMAIN
from convlstm_native.readers.onnx_files import parse_onnx, read_onnx
from convlstm_native.spec import (
    ACTIVATIONS,
    OVER_LAST_AXIS,
    Activation,
    BatchNormalization,
    ConvLSTM2D,
    Dense,
    Flatten,
    Function,
    Input,
    Layer,
    MaxPooling,
    NetworkSpec,
    Node,
    Output,
    Preprocessing,
    Slice,
    Value,
)

onnxruntime = pytest.importorskip("onnxruntime")

# float32 against float64 over at most six layers whose sums have fewer than 1000 terms of size 1.
TOLERANCE = 2e-5
HARD_SIGMOID_2 = Function("hard_sigmoid", (0.2, 0.5))


def random(*shape: int, seed: int = 0, scale: float = 0.4) -> np.ndarray[Any, np.dtype[np.float32]]:
    numbers = np.random.default_rng([seed, *shape]).standard_normal(shape) * scale
    return numbers.astype(np.float32)


def conv_lstm(channels: int = 3, filters: int = 4, seed: int = 0, **arguments: Any) -> ConvLSTM2D:
    kernel_size = arguments.setdefault("kernel_size", (3, 3))
    return ConvLSTM2D(
        filters,
        kernel=random(4 * filters, channels, *kernel_size, seed=seed),
        recurrent_kernel=random(4 * filters, filters, *kernel_size, seed=seed + 1),
        bias=random(4 * filters, seed=seed + 2),
        **arguments,
    )


def single_layer(layer: Layer, *inputs: Value) -> NetworkSpec:
    """A network of one layer whose every output is shown."""
    names = tuple(f"in{i}" for i in range(len(inputs)))
    outputs = tuple(f"out{i}" for i in range(len(layer.infer(inputs))))
    return NetworkSpec(
        "one",
        tuple(Input(n, v.shape, v.sequence) for n, v in zip(names, inputs, strict=True)),
        (Node("layer", layer, names, outputs),),
        tuple(Output(name, name) for name in outputs),
    )


def genre_net(size: int = 24, dense: int = 8) -> NetworkSpec:
    """The genre net at small size, with three of its six branches."""
    first = {"padding": "same", "data_format": "channels_first", "return_sequences": True}
    half = math.ceil(size / 2)
    third = math.ceil(half / 3)
    nodes = [
        Node(
            "conv_lstm2d",
            conv_lstm(3, 5, recurrent_activation=HARD_SIGMOID_2, **first),
            ("trailer_input",),
            ("a",),
        ),
        Node("bn", BatchNormalization(2, random(size), random(size, seed=1)), ("a",), ("b",)),
        Node("pool", MaxPooling((1, 2, 2), (1, 2, 2), "same"), ("b",), ("c",)),
        Node("conv_lstm2d_1", conv_lstm(5, 4, seed=5, **first), ("c",), ("d",)),
        Node("bn_1", BatchNormalization(2, random(half), random(half, seed=1)), ("d",), ("e",)),
        Node("pool_1", MaxPooling((1, 3, 3), (1, 3, 3), "same"), ("e",), ("f",)),
    ]
    outputs = []
    for i, name in enumerate(("comedy", "terror", "other")):
        flat = 2 * math.ceil(third / 2) ** 2
        layers = [
            conv_lstm(4, 2, seed=10 * i, **first),
            MaxPooling((1, 2, 2), (1, 2, 2), "same"),
            Flatten(),
            Dense(random(flat, dense, seed=i), random(dense, seed=i)),
            Dense(random(dense, 1, seed=i), random(1, seed=i), Function("sigmoid")),
        ]
        values = ["f", *(f"{name}_{k}" for k in range(len(layers)))]
        nodes += [
            Node(f"{name}/{k}", layer, (values[k],), (values[k + 1],))
            for k, layer in enumerate(layers)
        ]
        outputs.append(Output(f"cat_{name}", values[-1], name))
    frames = Preprocessing((size, size), color="bgr", scale=1 / 255, mean=(0.1, 0.2, 0.3), fps=24.0)
    return NetworkSpec(
        "Model ",
        (Input("trailer_input", (3, size, size), preprocessing=frames),),
        tuple(nodes),
        tuple(outputs),
        source="Keras 2.13.1",
        notes=("a note", "another: é"),
    )


def assert_same(found: object, expected: object) -> None:
    """Equality of specs in which arrays are compared by their bits."""
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
    elif dataclasses.is_dataclass(expected):
        for item in dataclasses.fields(expected):
            assert_same(getattr(found, item.name), getattr(expected, item.name))
    elif isinstance(expected, tuple):
        assert isinstance(found, tuple)
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            assert_same(*pair)
    else:
        assert found == expected


def check(spec: NetworkSpec, samples: int = 1, frames: int = 5) -> onnx.ModelProto:
    """Write, check, run in ONNX Runtime against the reference, read back."""
    model = to_onnx(spec)
    onnx.checker.check_model(model, full_check=True)
    lead = {True: (samples, frames), False: (samples,)}
    data = {
        i.name: random(*lead[i.sequence], *i.shape, seed=k, scale=1)
        for k, i in enumerate(spec.inputs)
    }
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    assert [o.name for o in session.get_outputs()] == [o.name for o in spec.outputs]
    found = dict(
        zip([o.name for o in spec.outputs], session.run(None, data), strict=True)
    )
    for name, expected in reference.run(spec, data).items():
        assert found[name].shape == expected.shape, name
        bound = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=bound, err_msg=name)
    assert_same(read_onnx(parse_onnx(model.SerializeToString(), "memory")), spec)
    return model


# --- writing and reading back -----------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 5])
@pytest.mark.parametrize("samples", [1, 2])
def test_genre_net(samples: int, frames: int) -> None:
    model = check(genre_net(), samples, frames)
    # The two equal branches share a function: what differs between them is weights, not arguments.
    assert [f.name for f in model.functions] == ["ConvLSTM2D", "ConvLSTM2D_2", "ConvLSTM2D_3"]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"padding": "same"},
        {"padding": "same", "return_sequences": True},
        {"padding": "same", "strides": (2, 3), "return_sequences": True},
        {"strides": (2, 1)},
        {"dilation_rate": (2, 2), "return_sequences": True},
        {"dilation_rate": (1, 3), "padding": "same"},
        {"kernel_size": (1, 1), "return_sequences": True},
        {"kernel_size": (2, 4), "padding": "same", "return_sequences": True},
        {"kernel_size": (5, 2), "return_sequences": True},
        {"go_backwards": True, "return_sequences": True, "padding": "same"},
        {"go_backwards": True, "return_state": True},
        {"return_state": True, "return_sequences": True},
        {"return_state": True, "initial_state": True},
        {"initial_state": True, "padding": "same", "return_sequences": True, "return_state": True},
        {"stateful": True},
        {"activation": Function("relu"), "recurrent_activation": HARD_SIGMOID_2},
        {"recurrent_activation": Function("hard_sigmoid", (0.123456789012345, 0.5))},
    ],
    ids=str,
)
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_conv_lstm_2d(arguments: dict[str, Any], data_format: str) -> None:
    layer = conv_lstm(data_format=data_format, **arguments)
    x = Value((3, 9, 8) if data_format == "channels_first" else (9, 8, 3), sequence=True)
    state = dataclasses.replace(layer, initial_state=False, return_sequences=False).infer([x])[0]
    inputs = [x, state, state] if layer.initial_state else [x]
    for samples, frames in ((1, 1), (2, 5)):
        check(single_layer(layer, *inputs), samples, frames)


ODD_PARAMETERS = [
    Function("relu", (0.1, math.inf, 0.0)),
    Function("relu", (0.0, 6.0, 0.0)),
    Function("relu", (0.3, 1.5, 0.25)),
    Function("hard_sigmoid", (0.2, 0.5)),
    Function("hard_sigmoid", (0.12345678901234, 0.5)),
    Function("elu", (0.7,)),
    Function("hard_silu", (0.2, 0.4)),
    Function("threshold", (0.5, -2.0)),
    Function("squareplus", (0.1,)),
]


@pytest.mark.parametrize(
    "function", [*map(Function, ACTIVATIONS), *ODD_PARAMETERS], ids=lambda f: f"{f.name}{f.parameters}"
)
def test_activations(function: Function) -> None:
    check(single_layer(Activation(function), Value((4, 40), sequence=True)))
    check(single_layer(Dense(random(7, 5), random(5), function), Value((2, 7), sequence=False)))
    if function.name not in OVER_LAST_AXIS:
        layer = conv_lstm(activation=function, recurrent_activation=function, padding="same")
        layer = dataclasses.replace(layer, kernel=layer.kernel / 8)
        check(single_layer(layer, Value((5, 4, 3), sequence=True)), frames=2)


@pytest.mark.parametrize("sequence", [True, False])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (MaxPooling((1, 2, 2), (1, 2, 2), "same"), (3, 5, 7)),
        (MaxPooling((2, 3, 2), (2, 1, 3), "valid"), (4, 5, 7)),
        (MaxPooling((1, 2, 3), (3, 4, 5), "same"), (4, 5, 7)),
        (MaxPooling((2, 2, 1), (2, 2, 1), "valid"), (4, 6, 2)),
        (MaxPooling((3, 2), (1, 2), "same"), (4, 5)),
        (MaxPooling((3,), (2,), "same"), (9,)),
        (BatchNormalization(0, random(4), random(4)), (4, 5, 6)),
        (BatchNormalization(1, random(5), random(5)), (4, 5, 6)),
        (BatchNormalization(2, random(6), random(6)), (4, 5, 6)),
        (BatchNormalization(0, random(1), random(1)), (1, 1, 1)),
        (BatchNormalization(1, random(1), random(1)), (4, 1, 6)),
        (Flatten(), (3, 4, 5)),
        (Flatten(), (7,)),
        (Dense(random(5, 3), random(3)), (4, 5)),
        (Dense(random(5, 1), random(1)), (5,)),
        (Slice(0, 1, 3), (4, 5, 6)),
        (Slice(2, 0, 6), (4, 5, 6)),
    ],
    ids=repr,
)
def test_frame_wise_layers(layer: Layer, shape: tuple[int, ...], sequence: bool) -> None:
    check(single_layer(layer, Value(shape, sequence)), samples=2, frames=3)


def test_chains_of_like_layers_are_not_merged() -> None:
    norm = BatchNormalization(0, random(5), random(5, seed=1))
    dense = Dense(random(5, 5), random(5))
    layers: list[Layer] = [norm, norm, dense, Activation(Function("tanh")), dense, norm, dense]
    values = [f"v{i}" for i in range(len(layers) + 1)]
    nodes = [
        Node(f"n{i}", layer, (values[i],), (values[i + 1],)) for i, layer in enumerate(layers)
    ]
    check(NetworkSpec("chain", (Input("v0", (5,)),), tuple(nodes), (Output("v7", "v7"),)))


def test_output_names_that_are_no_value_names() -> None:
    double = BatchNormalization(0, random(5), random(5))
    spec = NetworkSpec(
        "names",
        (Input("x", (5,)), Input("state", (2,), sequence=False)),
        (Node("x/scaled", double, ("x",), ("y",)), Node("y", Flatten(), ("y",), ("y/scaled",))),
        (Output("first", "y"), Output("second", "y"), Output("same", "state"), Output("y", "y")),
    )
    check(spec)


def test_an_output_may_have_the_name_of_another_value() -> None:
    scale = BatchNormalization(0, random(5), random(5))
    nodes = (Node("a", scale, ("x",), ("y",)), Node("b", scale, ("y",), ("z",)))
    spec = NetworkSpec("crossed", (Input("x", (5,)),), nodes, (Output("z", "y"), Output("y", "z")))
    data = random(1, 2, 5)
    session = onnxruntime.InferenceSession(
        to_onnx(spec).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for name, expected in reference.run(spec, {"x": data}).items():
        np.testing.assert_allclose(session.run([name], {"x": data})[0], expected, atol=TOLERANCE)
