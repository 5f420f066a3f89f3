"""The ONNX contract: what is written runs anywhere, is read back unchanged, and damage is refused."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import reference
from convlstm_native import verification
from convlstm_native.errors import (
    ConvLSTMError,
    InputError,
    ModelFormatError,
    UnsupportedModelError,
)
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
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_scan import Scan

onnxruntime = pytest.importorskip("onnxruntime")

# float32 against float64 over at most six layers whose sums have fewer than 1000 terms of size 1.
TOLERANCE = 2e-5
GOLDEN = Path(__file__).parent / "golden"
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
    found = dict(zip([o.name for o in spec.outputs], session.run(None, data), strict=True))
    for name, expected in reference.run(spec, data).items():
        assert found[name].shape == expected.shape, name
        assert np.isfinite(expected).all(), name
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
    "function",
    [*map(Function, ACTIVATIONS), *ODD_PARAMETERS],
    ids=lambda f: f"{f.name}{f.parameters}",
)
def test_activations(function: Function) -> None:
    check(single_layer(Activation(function), Value((4, 40), sequence=True)))
    check(single_layer(Dense(random(7, 5), random(5), function), Value((2, 7), sequence=False)))
    if function.name not in OVER_LAST_AXIS:
        layer = conv_lstm(activation=function, recurrent_activation=function, padding="same")
        # Small weights: activations without a bound above would amplify every rounding.
        kernels = {"kernel": layer.kernel / 16, "recurrent_kernel": layer.recurrent_kernel / 64}
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
    data = random(1, 2, 5)
    session = onnxruntime.InferenceSession(
        to_onnx(spec).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for name, expected in reference.run(spec, {"x": data}).items():
        np.testing.assert_allclose(session.run([name], {"x": data})[0], expected, atol=TOLERANCE)


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
    deep = Node("deep", MaxPooling((1,) * 4, (1,) * 4, "same"), ("four",), ("y",))
    network = NetworkSpec(
        "joined",
        (Input("trailer_input", (3, 24, 24)), Input("four", (1, 2, 3, 4))),
        (node, deep),
        (Output("a", "a"),),
    )
    with pytest.raises(UnsupportedModelError, match=r"'conv_lstm2d'.*rewrite") as caught:
        to_onnx(network)
    assert len(caught.value.problems) == 2


# --- files of other origin --------------------------------------------------------------------


def foreign(
    nodes: list[onnx.NodeProto],
    x: list[int | str],
    weights: dict[str, np.ndarray[Any, Any]],
    rank: int,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def ints(*numbers: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(numbers, np.int64)


def op(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], name=f"node_{output}", **attributes)


FOREIGN: dict[
    str, tuple[list[onnx.NodeProto], list[int | str], dict[str, Any], int, list[type]]
] = {
    "gemm": (
        [op("Flatten", "x", "f"), op("Gemm", "f w b", "g", transB=1), op("Relu", "g", "y")],
        ["N", 3, 4],
        {"w": random(5, 12), "b": random(5)},
        2,
        [Flatten, Dense, Activation],
    ),
    "fold frames into the batch": (
        [
            op("Reshape", "x folded", "a"),
            op("MaxPool", "a", "b", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1]),
            op("BatchNormalization", "b scale shift mean variance", "c", epsilon=0.001),
            op("Flatten", "c", "d"),
            op("Gemm", "d w", "e"),
            op("Shape", "x", "s"),
            op("Slice", "s zero two", "lead"),
            op("Concat", "lead units", "target", axis=0),
            op("Reshape", "e target", "y"),
        ],
        ["N", "T", 3, 5, 5],
        {
            "folded": ints(-1, 3, 5, 5),
            "scale": random(3),
            "shift": random(3),
            "mean": random(3),
            "variance": random(3) ** 2,
            "w": random(27, 2),
            "zero": ints(0),
            "two": ints(2),
            "units": ints(2),
        },
        3,
        [MaxPooling, BatchNormalization, Flatten, Dense],
    ),
    "shape arithmetic of an exporter": (
        [
            op("Shape", "x", "s"),
            op("Gather", "s zero", "n"),
            helper.make_node("Constant", [], ["axis"], value_ints=[0]),
            op("Unsqueeze", "n axis", "n1"),
            op("Concat", "n1 rest", "target", axis=0),
            op("Reshape", "x target", "flat"),
            op("Sigmoid", "flat", "y"),
        ],
        ["batch", 3, 4],
        {"zero": np.array(0, np.int64), "rest": ints(-1)},
        2,
        [Flatten, Activation],
    ),
    "scale, shift, drop": (
        [
            op("Div", "x d", "a"),
            op("Sub", "a m", "b"),
            op("Dropout", "b", "c"),
            op("Mul", "k c", "e"),
            op("Add", "n e", "f"),
            op("LeakyRelu", "f", "g", alpha=0.2),
            op("Clip", "g low high", "h"),
            op("Identity", "h", "y"),
        ],
        ["N", "T", 2, 3, 4],
        {
            "d": np.array(255, np.float32),
            "m": random(2, 1, 1),
            "k": random(1, 1, 1, 3, 1),
            "n": random(4),
            "low": np.array(0, np.float32),
            "high": np.array(6, np.float32),
        },
        5,
        [BatchNormalization] * 4 + [Activation] * 2,
    ),
    "symmetric padding and a transposed weight": (
        [
            op("MaxPool", "x", "p", kernel_shape=[3], pads=[1, 1]),
            op("Transpose", "w", "t"),
            op("MatMul", "p t", "m"),
            op("Add", "b m", "a"),
            op("Softmax", "a", "y"),
        ],
        ["N", 5, 4],
        {"w": random(3, 4), "b": random(3)},
        3,
        [MaxPooling, Dense, Activation],
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_writers(name: str) -> None:
    nodes, shape, weights, rank, layers = FOREIGN[name]
    model = foreign(nodes, shape, weights, rank)
    spec = read_onnx(model)
    assert [type(node.layer) for node in spec.nodes] == layers
    data = {"x": random(*(2 if isinstance(n, str) else n for n in shape), scale=3)}
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected = session.run(None, data)[0]
    np.testing.assert_allclose(reference.run(spec, data)["y"], expected, rtol=0, atol=TOLERANCE)


# --- what is refused --------------------------------------------------------------------------


def test_every_node_without_a_layer_is_listed() -> None:
    model = foreign(
        [
            op("Erf", "x", "a"),
            op("Relu", "a", "b"),
            op("LSTM", "b w w", "c", hidden_size=4),
            op("MaxPool", "x", "d", kernel_shape=[2], ceil_mode=1),
            op("Softmax", "x", "e", axis=1),
            helper.make_node("Fancy", ["c"], ["y"], name="fancy", domain="elsewhere"),
        ],
        ["N", 3, 4],
        {"w": random(1, 1, 1)},
        rank=3,
    )
    model.opset_import.append(helper.make_opsetid("elsewhere", 1))
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(model)
    starts = [problem.split(":")[0] for problem in caught.value.problems]
    assert starts == [
        "Erf 'node_a'",
        "LSTM 'node_c'",
        "MaxPool 'node_d'",
        "Softmax 'node_e'",
        "elsewhere.Fancy 'fancy'",
    ]
    assert all(problem in str(caught.value) for problem in caught.value.problems)


def test_nodes_after_a_refused_one_are_not_blamed() -> None:
    model = foreign(
        [
            op("MatMul", "x w", "a"),
            op("Add", "a b", "c"),
            op("Mul", "c c", "d"),
            op("Add", "d b", "e"),
            op("Relu", "e", "y"),
        ],
        ["N", 3],
        {"w": random(4, 5), "b": random(5)},
        rank=2,
    )
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(model)
    assert caught.value.problems == ("MatMul 'node_a': last axis: expected 4, found (3,)",)


def call(model: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.domain == DOMAIN)


def attribute(model: onnx.ModelProto, name: str) -> onnx.AttributeProto:
    return next(item for item in call(model).attribute if item.name == name)


def prop(model: onnx.ModelProto, key: str) -> onnx.StringStringEntryProto:
    return next(item for item in model.metadata_props if item.key == f"{DOMAIN}.{key}")


def tensor(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(item for item in model.graph.initializer if item.name == name)


def dimension(model: onnx.ModelProto, axis: int, size: int) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size


UNSUPPORTED: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "unknown attribute": (
        lambda m: call(m).attribute.append(helper.make_attribute("peepholes", 1)),
        r"'conv_lstm2d': unknown attribute\(s\) peepholes",
    ),
    "missing attribute": (lambda m: call(m).attribute.pop(), "attribute .*: expected, but missing"),
    "mistyped attribute": (
        lambda m: attribute(m, "filters").CopyFrom(helper.make_attribute("filters", "five")),
        "attribute filters: expected int, found 'five'",
    ),
    "no flag": (
        lambda m: setattr(attribute(m, "go_backwards"), "i", 2),
        "expected 0 or 1, found 2",
    ),
    "unknown padding": (lambda m: setattr(attribute(m, "padding"), "s", b"causal"), "padding"),
    "unknown activation": (
        lambda m: setattr(attribute(m, "activation"), "s", b"swishy"),
        "activation 'swishy'",
    ),
    "wrong parameters": (
        lambda m: attribute(m, "recurrent_activation_parameters").t.CopyFrom(
            numpy_helper.from_array(np.zeros(0))
        ),
        "recurrent_activation_parameters: expected 2",
    ),
    "unknown function": (
        lambda m: setattr(call(m), "op_type", "ConvLSTM3D"),
        "convlstm_native.ConvLSTM3D 'conv_lstm2d': not a function",
    ),
    "weights of another layer": (
        lambda m: call(m).input.__setitem__(2, "conv_lstm2d_1/recurrent_kernel"),
        "'conv_lstm2d': recurrent_kernel shape: expected",
    ),
    "too few inputs": (lambda m: call(m).input.pop(), "'conv_lstm2d': expected 4 or 6 inputs"),
    "a computed weight": (
        lambda m: call(m).input.__setitem__(1, "trailer_input"),
        "input 1 'trailer_input': expected a constant",
    ),
    "other domain version": (
        lambda m: setattr(m.opset_import[1], "version", 2),
        "domain convlstm_native: expected version 1, found 2",
    ),
    "other format version": (
        lambda m: setattr(prop(m, "format_version"), "value", "2"),
        "format_version: expected '1', found '2'",
    ),
    "unknown metadata": (
        lambda m: m.metadata_props.add(key=f"{DOMAIN}.license", value="x"),
        "unknown key.* license",
    ),
    "old opset": (lambda m: setattr(m.opset_import[0], "version", 9), "opset: expected 13"),
    "future opset": (lambda m: setattr(m.opset_import[0], "version", 999), "found 999"),
    "free rows": (
        lambda m: m.graph.input[0].type.tensor_type.shape.dim[3].Clear(),
        r"input 'trailer_input': expected \(N, T",
    ),
    "fixed number of frames": (lambda m: dimension(m, 1, 8), "expected a sequence"),
    "input of integers": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.INT64),
        r"expected a tensor of type 1 \(float32\), found 7",
    ),
    "huge frames": (lambda m: dimension(m, 3, 2**62), "numbers a frame"),
}

DAMAGED: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "too few numbers": (
        lambda m: setattr(tensor(m, "bn/scale"), "raw_data", b"1234"),
        "'bn/scale': expected numbers of shape",
    ),
    "hostile shape": (lambda m: tensor(m, "bn/scale").dims.append(2**40), "'bn/scale'"),
    "overflowing shape": (lambda m: tensor(m, "bn/scale").dims.extend([2**62] * 3), "'bn/scale'"),
    "negative shape": (lambda m: tensor(m, "bn/scale").dims.__setitem__(0, -1), "'bn/scale'"),
    "missing weight": (lambda m: m.graph.initializer.pop(0), "conv_lstm2d/kernel"),
    "external data": (
        lambda m: (
            setattr(tensor(m, "bn/scale"), "data_location", TensorProto.EXTERNAL),
            tensor(m, "bn/scale").external_data.add(key="location", value="../../etc/passwd"),
        ),
        "tensor.*'bn/scale'.*another file",
    ),
    "external data in a function": (
        lambda m: (
            next(n for n in m.functions[0].node if n.op_type == "Constant")
            .attribute[0]
            .t.external_data.add(key="location", value="x")
        ),
        "another file",
    ),
    "a cycle": (lambda m: m.graph.node[1].input.__setitem__(0, "b"), "topologically|'b'"),
    "no function": (
        lambda m: m.functions.pop(),
        "'comedy/0': expected the file to define this function",
    ),
    "text that is not UTF-8": (
        lambda m: m.ParseFromString(
            m.SerializeToString().replace(b"conv_lstm2d_1", b"conv_lstm2d_\xff")
        ),
        "UTF-8",
    ),
    "broken metadata": (lambda m: setattr(prop(m, "preprocessing"), "value", "{"), "metadata"),
    "metadata of another type": (lambda m: setattr(prop(m, "notes"), "value", "[1]"), "metadata"),
    "metadata out of range": (
        lambda m: setattr(
            prop(m, "preprocessing"),
            "value",
            prop(m, "preprocessing").value.replace("[24, 24]", "[Infinity, 24]"),
        ),
        "metadata",
    ),
    "metadata for no input": (
        lambda m: setattr(m.graph.output[0], "name", "b"),
        "expected names of inputs and outputs, found cat_comedy",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_files(name: str) -> None:
    change, message = UNSUPPORTED[name]
    model = to_onnx(genre_net())
    change(model)
    with pytest.raises(UnsupportedModelError, match=message):
        read_onnx(model)


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(name: str) -> None:
    change, message = DAMAGED[name]
    model = to_onnx(genre_net())
    change(model)
    with pytest.raises(ModelFormatError, match=message):
        read_onnx(model)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x08", b"import numpy as np\n", bytes(100), np.random.default_rng(0).bytes(5000)],
    ids=["empty", "one byte", "text", "zeros", "random"],
)
def test_bytes_that_are_no_model(data: bytes) -> None:
    with pytest.raises(ModelFormatError, match=r"trailer\.onnx: expected an ONNX model"):
        parse_onnx(data, "trailer.onnx")


def sound_or_refused(data: bytes) -> bool:
    """Whether damaged bytes still read as a network; anything but a typed error fails the test."""
    try:
        spec = read_onnx(parse_onnx(data, "damaged"))
    except ConvLSTMError:
        return False
    spec.values()
    return True


def test_cut_files_are_refused() -> None:
    data = to_onnx(genre_net(4, 2)).SerializeToString()
    lengths = np.random.default_rng(1).integers(0, len(data), 150)
    assert not any(sound_or_refused(data[:length]) for length in lengths)


def test_flipped_bits() -> None:
    random_numbers = np.random.default_rng(2)
    small = single_layer(Activation(Function("mish")), Value((4,), sequence=True))
    outcomes = set()
    for spec, count in ((genre_net(4, 2), 200), (small, 400)):
        data = to_onnx(spec).SerializeToString()
        for place, bit in random_numbers.integers(0, (len(data), 8), (count, 2)):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            outcomes.add(sound_or_refused(bytes(flipped)))
    assert outcomes == {True, False}


# --- verification -----------------------------------------------------------------------------


def test_verify_runs_both(tmp_path: Path) -> None:
    pytest.importorskip("convlstm_native._core")
    model = to_onnx(genre_net())
    path = tmp_path / "genre.onnx"
    path.write_bytes(model.SerializeToString())
    for source in (model, path, path.read_bytes(), GOLDEN / "genre-keras-2.13.1.h5"):
        result = verification.verify(source, frames=3)
        assert result.agrees
        assert all(output.largest_value > 0 for output in result.outputs)
    assert [output.name for output in verification.verify(model).outputs] == [
        "cat_comedy",
        "cat_terror",
        "cat_other",
    ]


def test_verify_sees_a_difference() -> None:
    """The body of a function says something else than its call: ONNX Runtime runs the body."""
    pytest.importorskip("convlstm_native._core")
    model = to_onnx(single_layer(Activation(Function("silu")), Value((50,), sequence=True)))
    other = to_onnx(single_layer(Activation(Function("mish")), Value((50,), sequence=True)))
    model.functions[0].ClearField("node")
    model.functions[0].node.extend(other.functions[0].node)
    result = verification.verify(model, frames=2)
    assert not result.agrees
    assert 0.01 < result.outputs[0].largest_difference < 1


def test_numbers_that_are_not_finite_do_not_agree() -> None:
    assert not verification.OutputDifference("y", math.nan, math.nan).agrees
    assert not verification.OutputDifference("y", math.inf, 1.0).agrees


def test_verify_without_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"expected onnxruntime.*pip install"):
        verification.run_onnx_runtime(to_onnx(genre_net()), {})


def test_what_onnx_runtime_refuses() -> None:
    model = to_onnx(genre_net())
    model.functions[0].node[0].op_type = "Nonesuch"
    with pytest.raises(UnsupportedModelError, match=r"expected ONNX Runtime .* to run the model"):
        verification.run_onnx_runtime(model, {"trailer_input": random(1, 1, 3, 24, 24)})
