"""ONNX files of other writers: what is read, and what is refused node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import reference
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.onnx_files import read_onnx
from convlstm_native.spec import (
    Activation,
    BatchNormalization,
    Dense,
    Flatten,
    MaxPooling,
)
from onnx import helper
from onnx_files import TOLERANCE, foreign, ints, op, random, run_in_onnx_runtime

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
    expected = run_in_onnx_runtime(model, data)["y"]
    np.testing.assert_allclose(reference.run(spec, data)["y"], expected, rtol=0, atol=TOLERANCE)


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
