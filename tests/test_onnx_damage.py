"""Damaged and unsupported ONNX files of our own kind: each is refused by a typed error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from convlstm_native.errors import ModelFormatError, UnsupportedModelError
from convlstm_native.onnx_writer import to_onnx
from convlstm_native.readers.onnx_contract import DOMAIN
from convlstm_native.readers.onnx_files import parse_onnx, read_onnx
from convlstm_native.spec import Activation, Function, NetworkSpec, Value
from damage import outcome
from onnx import TensorProto, helper, numpy_helper
from onnx_files import genre_net, single_layer


def call(model: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.domain == DOMAIN)


def attribute(model: onnx.ModelProto, name: str) -> onnx.AttributeProto:
    return next(item for item in call(model).attribute if item.name == name)


def prop(model: onnx.ModelProto, key: str) -> onnx.StringStringEntryProto:
    return next(item for item in model.metadata_props if item.key == f"{DOMAIN}.{key}")


def tensor(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(item for item in model.graph.initializer if item.name == name)


def dimension(model: onnx.ModelProto, axis: int, size: int) -> None:
    dim = model.graph.input[0].type.tensor_type.shape.dim[axis]
    dim.Clear()  # of its mark as time, too
    dim.dim_value = size


UNSUPPORTED: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "unknown attribute": (
        lambda m: call(m).attribute.append(helper.make_attribute("peepholes", 1)),
        r"'conv_lstm_1': unknown attribute\(s\) peepholes",
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
        lambda m: setattr(call(m), "op_type", "ConvGRU2D"),
        "convlstm_native.ConvGRU2D 'conv_lstm_1': not a function",
    ),
    "weights of another layer": (
        lambda m: call(m).input.__setitem__(2, "conv_lstm_2/recurrent_kernel"),
        "'conv_lstm_1': recurrent_kernel shape: expected",
    ),
    "too few inputs": (lambda m: call(m).input.pop(), "'conv_lstm_1': expected inputs x, kernel"),
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
        lambda m: setattr(tensor(m, "norm_1/scale"), "raw_data", b"1234"),
        "'norm_1/scale': expected numbers of shape",
    ),
    "hostile shape": (lambda m: tensor(m, "norm_1/scale").dims.append(2**40), "'norm_1/scale'"),
    "overflowing shape": (
        lambda m: tensor(m, "norm_1/scale").dims.extend([2**62] * 3),
        "'norm_1/scale'",
    ),
    "negative shape": (
        lambda m: tensor(m, "norm_1/scale").dims.__setitem__(0, -1),
        "'norm_1/scale'",
    ),
    "missing weight": (lambda m: m.graph.initializer.pop(0), "conv_lstm_1/kernel"),
    "external data": (
        lambda m: (
            setattr(tensor(m, "norm_1/scale"), "data_location", TensorProto.EXTERNAL),
            tensor(m, "norm_1/scale").external_data.add(key="location", value="../../etc/passwd"),
        ),
        "tensor.*'norm_1/scale'.*another file",
    ),
    "external data in a function": (
        lambda m: (
            next(n for n in m.functions[0].node if n.op_type == "Constant")
            .attribute[0]
            .t.external_data.add(key="location", value="x")
        ),
        "another file",
    ),
    "a cycle": (lambda m: m.graph.node[1].input.__setitem__(0, "norm_1"), "topologically|'norm_1'"),
    "no function": (
        lambda m: m.functions.pop(),
        "'conv_lstm_comedy': expected the file to define this function",
    ),
    "text that is not UTF-8": (
        lambda m: m.ParseFromString(
            m.SerializeToString().replace(b"conv_lstm_2", b"conv_lstm_\xff")
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
        lambda m: setattr(m.graph.output[0], "name", "norm_1"),
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


def load(data: bytes) -> NetworkSpec:
    return read_onnx(parse_onnx(data, "damaged"))


def test_cut_files_are_refused() -> None:
    data = to_onnx(genre_net(4, 2)).SerializeToString()
    lengths = np.random.default_rng(1).integers(0, len(data), 150)
    assert all(outcome(load, data[:length]) for length in lengths)


def test_flipped_bits() -> None:
    random_numbers = np.random.default_rng(2)
    small = single_layer(Activation(Function("mish")), Value((4,), sequence=True))
    outcomes = set()
    for spec, count in ((genre_net(4, 2), 200), (small, 400)):
        data = to_onnx(spec).SerializeToString()
        for place, bit in random_numbers.integers(0, (len(data), 8), (count, 2)):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            outcomes.add(outcome(load, bytes(flipped)) == "")
    assert outcomes == {True, False}
