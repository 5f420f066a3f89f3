"""Bodies of the model-local functions in standard ONNX: ConvLSTM2D, composed activations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from convlstm_native.readers.onnx_contract import DOMAIN, OPSET, SINGLE_OPERATORS
from convlstm_native.spec import ConvLSTM2D, Function, Value, same_padding


class Body:
    """Nodes of one function, graph or Scan body, in the order they were added.

    Tensors without a given name are called ``<prefix><operator>_<n>``; a subgraph needs a prefix
    of its own, since ONNX does not let it reuse names of the graph around it.
    """

    def __init__(self, prefix: str = "") -> None:
        """An empty body."""
        self.nodes: list[onnx.NodeProto] = []
        self._prefix = prefix

    def add(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Add a node of one output and return the name of that output."""
        output = output or f"{self._prefix}{operator}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, list(inputs), [output], name=output, **attributes)
        )
        return output

    def constant(self, value: float | Sequence[int] | NDArray[Any]) -> str:
        """A float32 scalar, or a list of int64."""
        dtype = np.float32 if isinstance(value, float) else np.int64
        return self.add("Constant", [], value=numpy_helper.from_array(np.asarray(value, dtype)))


def add_activation(body: Body, x: str, function: Function) -> str:
    """Add ``function`` of ``x`` by the formulas of Keras, and return the result's name."""
    name, parameters = function.name, function.parameters
    if name in SINGLE_OPERATORS:
        operator, attributes = SINGLE_OPERATORS[name]
        named: dict[str, Any] = dict(zip(attributes, parameters, strict=True))
        return body.add(operator, [x], **named)
    if name == "linear":
        return body.add("Identity", [x])
    if name == "relu":
        return _relu(body, x, *parameters)
    if name in ("gelu", "gelu_tanh"):
        return _gelu(body, x, tanh=name == "gelu_tanh")
    if name == "silu":
        return body.add("Mul", [x, body.add("Sigmoid", [x])])
    if name == "hard_silu":
        slope, offset = parameters
        return body.add("Mul", [x, body.add("HardSigmoid", [x], alpha=slope, beta=offset)])
    if name == "log_sigmoid":
        return body.add("Neg", [body.add("Softplus", [body.add("Neg", [x])])])
    if name == "mish":
        return body.add("Mul", [x, body.add("Tanh", [body.add("Softplus", [x])])])
    if name == "hard_tanh":
        return body.add("Clip", [x, body.constant(-1.0), body.constant(1.0)])
    if name == "hard_shrink":
        return body.add("Shrink", [x], lambd=parameters[0], bias=0.0)
    if name == "soft_shrink":
        return body.add("Shrink", [x], lambd=parameters[0], bias=parameters[0])
    if name == "tanh_shrink":
        return body.add("Sub", [x, body.add("Tanh", [x])])
    if name == "squareplus":
        return _squareplus(body, x, parameters[0])
    if name == "sparse_plus":
        return _sparse_plus(body, x)
    if name == "sparse_sigmoid":
        return body.add("HardSigmoid", [x], alpha=0.5, beta=0.5)
    if name == "threshold":
        limit, otherwise = parameters
        above = body.add("Greater", [x, body.constant(limit)])
        return body.add("Where", [above, x, body.constant(otherwise)])
    raise KeyError(name)


def _relu(body: Body, x: str, slope: float, highest: float, threshold: float) -> str:
    """x above the threshold and at most ``highest``, minus ``slope * relu(threshold - x)``."""
    if threshold == 0 and highest == math.inf:
        return body.add("LeakyRelu", [x], alpha=slope) if slope else body.add("Relu", [x])
    limit, zero = body.constant(threshold), body.constant(0.0)
    y = body.add("Where", [body.add("Greater", [x, limit]), x, zero])
    if highest != math.inf:
        y = body.add("Clip", [y, zero, body.constant(highest)])
    if slope:
        below = body.add("Relu", [body.add("Sub", [limit, x])])
        y = body.add("Sub", [y, body.add("Mul", [below, body.constant(slope)])])
    return y


def _gelu(body: Body, x: str, tanh: bool) -> str:
    if tanh:
        cube = body.add("Mul", [x, body.add("Mul", [x, x])])
        inner = body.add("Add", [x, body.add("Mul", [cube, body.constant(0.044715)])])
        bend = body.add("Tanh", [body.add("Mul", [inner, body.constant(math.sqrt(2 / math.pi))])])
    else:
        bend = body.add("Erf", [body.add("Mul", [x, body.constant(math.sqrt(0.5))])])
    half = body.add("Mul", [x, body.constant(0.5)])
    return body.add("Mul", [half, body.add("Add", [bend, body.constant(1.0)])])


def _squareplus(body: Body, x: str, b: float) -> str:
    """(x + sqrt(x^2 + b)) / 2"""
    square = body.add("Add", [body.add("Mul", [x, x]), body.constant(b)])
    return body.add("Mul", [body.add("Add", [x, body.add("Sqrt", [square])]), body.constant(0.5)])


def _sparse_plus(body: Body, x: str) -> str:
    """0 up to -1, x from 1 on, (x + 1)^2 / 4 between."""
    bounded = body.add("Clip", [x, body.constant(-1.0), body.constant(1.0)])
    shifted = body.add("Add", [bounded, body.constant(1.0)])
    bend = body.add("Mul", [body.add("Mul", [shifted, shifted]), body.constant(0.25)])
    above = body.add("GreaterOrEqual", [x, body.constant(1.0)])
    return body.add("Where", [above, x, bend])


def make_function(
    name: str, body: Body, inputs: Sequence[str], outputs: Sequence[str], attributes: Sequence[str]
) -> onnx.FunctionProto:
    """A function of our domain that declares the attributes of its calls."""
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_function(
        DOMAIN, name, list(inputs), list(outputs), body.nodes, opset, list(attributes)
    )


def activation_function(
    name: str, function: Function, attributes: Sequence[str]
) -> onnx.FunctionProto:
    """An activation that no single operator expresses, as a function of one tensor."""
    body = Body()
    result = add_activation(body, "x", function)
    body.add("Identity", [result], "y")
    return make_function(name, body, ["x"], ["y"], attributes)


# Transpositions between Keras' axes and those of the body: time first, channels second, the order in
# which Scan and Conv run without further copies.
_SEQUENCE_IN = {"channels_first": [1, 0, 2, 3, 4], "channels_last": [1, 0, 4, 2, 3]}
_SEQUENCE_OUT = {"channels_first": [1, 0, 2, 3, 4], "channels_last": [1, 0, 3, 4, 2]}
_STATE_IN = {"channels_first": [0, 1, 2, 3], "channels_last": [0, 3, 1, 2]}
_STATE_OUT = {"channels_first": [0, 1, 2, 3], "channels_last": [0, 2, 3, 1]}


def conv_lstm_function(
    name: str, layer: ConvLSTM2D, x: Value, attributes: Sequence[str]
) -> onnx.FunctionProto:
    """The function of a ConvLSTM2D for frames like ``x``.

    Inputs x, kernel, recurrent_kernel, bias, then initial_h, initial_c with ``initial_state``;
    outputs y, then h, c with ``return_state``. Frames keep the axis order of ``data_format``.
    """
    form = layer.data_format
    inputs = ["x", "kernel", "recurrent_kernel", "bias"]
    body = Body()
    steps = body.add("Transpose", ["x"], perm=_SEQUENCE_IN[form])
    frame, state = _channels_first(layer, x)
    if layer.initial_state:
        given = ["initial_h", "initial_c"]
        inputs += given
        states = [body.add("Transpose", [tensor], perm=_STATE_IN[form]) for tensor in given]
    else:
        samples = body.add("Shape", [steps], start=1, end=2)
        shape = body.add("Concat", [samples, body.constant(state)], axis=0)
        states = [body.add("ConstantOfShape", [shape])] * 2
    if _joins_convolutions(layer):
        body.add("Concat", ["kernel", "recurrent_kernel"], "joint_kernel", axis=1)
    scan = helper.make_node(
        "Scan",
        [*states, steps],
        ["last_h", "last_c", *(["all_h"] if layer.return_sequences else [])],
        name="steps",
        body=_step(layer, frame, state),
        num_scan_inputs=1,
        scan_input_directions=[int(layer.go_backwards)],
    )
    body.nodes.append(scan)
    if layer.return_sequences:
        body.add("Transpose", ["all_h"], "y", perm=_SEQUENCE_OUT[form])
    else:
        body.add("Transpose", ["last_h"], "y", perm=_STATE_OUT[form])
    outputs = ["y"]
    if layer.return_state:
        outputs += [
            body.add("Transpose", [f"last_{which}"], which, perm=_STATE_OUT[form]) for which in "hc"
        ]
    return make_function(name, body, inputs, outputs, attributes)


def _channels_first(layer: ConvLSTM2D, x: Value) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of a frame and of a state, (C, H, W) each."""
    state = dataclasses.replace(layer, initial_state=False).infer([x])[0].shape
    if layer.data_format == "channels_first":
        return x.shape, state
    return (x.shape[2], *x.shape[:2]), (state[2], *state[:2])


def _joins_convolutions(layer: ConvLSTM2D) -> bool:
    """Whether the input convolution has the geometry of the recurrent one.

    Then both are one convolution over the channels of x and h together, the fastest form.
    """
    return layer.padding == "same" and layer.strides == (1, 1) and layer.dilation_rate == (1, 1)


def _pads(
    kernel: Sequence[int], size: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """Pads of a 'same' convolution in ONNX order: all beginnings, then all ends."""
    pairs = [same_padding(*axis) for axis in zip(size, kernel, strides, dilation, strict=True)]
    return [before for before, _ in pairs] + [after for _, after in pairs]


def _step(layer: ConvLSTM2D, frame: tuple[int, ...], state: tuple[int, ...]) -> onnx.GraphProto:
    """One time step as a Scan body: (h, c, x_t) -> (h, c), and h again to be collected."""
    body = Body("step_")
    # The recurrent convolution has stride 1 and padding 'same' whatever the layer's arguments.
    recurrent_pads = _pads(layer.kernel_size, layer.kernel_size, (1, 1), (1, 1))
    if _joins_convolutions(layer):
        both = body.add("Concat", ["x_t", "h_before"], axis=1)
        gates = body.add("Conv", [both, "joint_kernel", "bias"], pads=recurrent_pads)
    else:
        pads = [0, 0, 0, 0]
        if layer.padding == "same":
            pads = _pads(layer.kernel_size, frame[1:], layer.strides, layer.dilation_rate)
        from_input = body.add(
            "Conv",
            ["x_t", "kernel", "bias"],
            pads=pads,
            strides=layer.strides,
            dilations=layer.dilation_rate,
        )
        from_state = body.add("Conv", ["h_before", "recurrent_kernel"], pads=recurrent_pads)
        gates = body.add("Add", [from_input, from_state])
    names = ["gate_i", "gate_f", "gate_c", "gate_o"]
    body.nodes.append(helper.make_node("Split", [gates], names, name="gates", axis=1))
    i, f, o = (
        add_activation(body, gate, layer.recurrent_activation)
        for gate in ("gate_i", "gate_f", "gate_o")
    )
    candidate = add_activation(body, "gate_c", layer.activation)
    kept, new = body.add("Mul", [f, "c_before"]), body.add("Mul", [i, candidate])
    body.add("Add", [kept, new], "c_after")
    body.add("Mul", [o, add_activation(body, "c_after", layer.activation)], "h_after")
    results = ["h_after", "c_after"]
    if layer.return_sequences:
        results.append(body.add("Identity", ["h_after"], "h_t"))
    # ONNX Runtime wants to know the shape of what it collects, and cannot always infer it.
    states = [_declare(name, state) for name in ("h_before", "c_before")]
    return helper.make_graph(
        body.nodes,
        "step",
        [*states, _declare("x_t", frame)],
        [_declare(name, state) for name in results],
    )


def _declare(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    """A tensor of the step: any number of samples, then ``shape``."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, *shape])
