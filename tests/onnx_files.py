"""Networks to write as ONNX, files of other writers, and a run in ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
import strategies
from convlstm_native.spec import (
    Input,
    Layer,
    NetworkSpec,
    Node,
    Output,
    Preprocessing,
    Value,
)
from onnx import TensorProto, helper, numpy_helper

# float32 against float64 over at most six layers whose sums have fewer than 1000 terms of size 1.
TOLERANCE = 2e-5


def random(*shape: int, seed: int = 0, scale: float = 0.4) -> np.ndarray[Any, np.dtype[np.float32]]:
    numbers = np.random.default_rng([seed, *shape]).standard_normal(shape) * scale
    return numbers.astype(np.float32)


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
    """A small genre net with all that a file records beside the layers."""
    net = strategies.genre_net(size, size, (dense, 1), filters=(5, 4, 2))
    rules = Preprocessing((size, size), color="bgr", scale=1 / 255, mean=(0.1, 0.2, 0.3), fps=24.0)
    return replace(
        net,
        name="Model ",
        inputs=(replace(net.inputs[0], preprocessing=rules),),
        source="Keras 2.13.1",
        notes=("a note", "another: é"),
    )


def run_in_onnx_runtime(
    model: onnx.ModelProto, data: dict[str, np.ndarray[Any, Any]]
) -> dict[str, np.ndarray[Any, Any]]:
    """The outputs of a file by name, in its order. Skips the test without ONNX Runtime."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, data), strict=True))


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
