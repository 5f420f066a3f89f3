"""What is written to ONNX runs anywhere and is read back unchanged."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import onnx
import pytest
import reference
import strategies
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.onnx_writer import to_onnx
from convlstm_native.readers.onnx_files import parse_onnx, read_onnx
from convlstm_native.spec import (
    ACTIVATIONS,
    OVER_LAST_AXIS,
    Activation,
    BatchNormalization,
    Dense,
    Flatten,
    Function,
    Input,
    Layer,
    MaxPooling,
    NetworkSpec,
    Node,
    Output,
    Slice,
    Value,
)
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_scan import Scan
from onnx_files import TOLERANCE, genre_net, random, run_in_onnx_runtime, single_layer
from same_spec import assert_same_spec

HARD_SIGMOID_2 = Function("hard_sigmoid", (0.2, 0.5))


def check(spec: NetworkSpec, samples: int = 1, frames: int = 5) -> onnx.ModelProto:
    """Write, check, run in ONNX Runtime against the reference, read back."""
    model = to_onnx(spec)
    onnx.checker.check_model(model, full_check=True)
    lead = {True: (samples, frames), False: (samples,)}
    data = {
        i.name: random(*lead[i.sequence], *i.shape, seed=k, scale=1)
        for k, i in enumerate(spec.inputs)
    }
    found = run_in_onnx_runtime(model, data)
    assert list(found) == [output.name for output in spec.outputs]
    for name, expected in reference.run(spec, data).items():
        assert found[name].shape == expected.shape, name
        assert np.isfinite(expected).all(), name
        bound = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=bound, err_msg=name)
    assert_same_spec(read_onnx(parse_onnx(model.SerializeToString(), "memory")), spec)
    return model


@pytest.mark.parametrize("frames", [1, 5])
@pytest.mark.parametrize("samples", [1, 2])
def test_genre_net(samples: int, frames: int) -> None:
    model = check(genre_net(), samples, frames)
    # The equal branches share a function: what differs between them is weights, not arguments.
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
    layer = strategies.conv_lstm(
        np.random.default_rng(0), 3, 4, data_format=data_format, **arguments
    )
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
    "function",
    [*map(Function, ACTIVATIONS), *ODD_PARAMETERS],
    ids=lambda f: f"{f.name}{f.parameters}",
)
def test_activations(function: Function) -> None:
    check(single_layer(Activation(function), Value((4, 40), sequence=True)))
    check(single_layer(Dense(random(7, 5), random(5), function), Value((2, 7), sequence=False)))
    if function.name not in OVER_LAST_AXIS:
        layer = strategies.conv_lstm(
            np.random.default_rng(0),
            3,
            4,
            activation=function,
            recurrent_activation=function,
            padding="same",
        )
        # Small weights: activations without a bound above would amplify every rounding.
        kernels = {"kernel": layer.kernel / 8, "recurrent_kernel": layer.recurrent_kernel / 32}
        layer = dataclasses.replace(layer, **kernels)
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
    nodes = [Node(f"n{i}", layer, (values[i],), (values[i + 1],)) for i, layer in enumerate(layers)]
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
    data = {"x": random(1, 2, 5)}
    found = run_in_onnx_runtime(to_onnx(spec), data)
    for name, expected in reference.run(spec, data).items():
        np.testing.assert_allclose(found[name], expected, atol=TOLERANCE)


@pytest.mark.skipif(
    "need_context" not in vars(Scan),
    reason="the evaluator of this onnx hides the names around a Scan body from it",
)
def test_the_onnx_reference_evaluator_runs_the_file() -> None:
    spec = genre_net(8)
    data = {"trailer_input": random(2, 3, 3, 8, 8, scale=1)}
    evaluator = ReferenceEvaluator(to_onnx(spec))
    found = evaluator.run([output.name for output in spec.outputs], data)
    for array, expected in zip(found, reference.run(spec, data).values(), strict=True):
        np.testing.assert_allclose(array, expected, rtol=0, atol=TOLERANCE)


def test_layers_joined_by_rewrites_are_not_written() -> None:
    spec = genre_net()
    pool = MaxPooling((1, 2, 2), (1, 2, 2), "same")
    joined = dataclasses.replace(spec.nodes[0].layer, pool=pool)
    node = dataclasses.replace(spec.nodes[0], layer=joined)
    network = NetworkSpec(
        "joined",
        (Input("trailer_input", (3, 24, 24)),),
        (node,),
        (Output("cell", "conv_lstm_1"),),
    )
    with pytest.raises(UnsupportedModelError, match=r"'conv_lstm_1'.*rewrite") as caught:
        to_onnx(network)
    assert len(caught.value.problems) == 1
