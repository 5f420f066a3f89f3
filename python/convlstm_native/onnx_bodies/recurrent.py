"""Layers that remember, as loops in standard ONNX."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from convlstm_native.onnx_bodies.activations import add_activation
from convlstm_native.onnx_bodies.base import Body, Call, Table
from convlstm_native.spec import ConvLSTM2D, Value, same_padding

# Transpositions between Keras' axes and those of the body: time first, channels second, the order in
# which Scan and Conv run without further copies.
_SEQUENCE_IN = {"channels_first": [1, 0, 2, 3, 4], "channels_last": [1, 0, 4, 2, 3]}
_SEQUENCE_OUT = {"channels_first": [1, 0, 2, 3, 4], "channels_last": [1, 0, 3, 4, 2]}
_STATE_IN = {"channels_first": [0, 1, 2, 3], "channels_last": [0, 3, 1, 2]}
_STATE_OUT = {"channels_first": [0, 1, 2, 3], "channels_last": [0, 2, 3, 1]}


def _conv_lstm_2d(body: Body, call: Call) -> list[str]:
    """Frames keep the axis order of ``data_format``."""
    layer = call.layer
    assert isinstance(layer, ConvLSTM2D)
    form = layer.data_format
    x, *given = call.inputs
    steps = body.add("Transpose", [x], perm=_SEQUENCE_IN[form])
    frame, state = _channels_first(layer, call.values[0])
    if given:
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
        y = body.add("Transpose", ["all_h"], perm=_SEQUENCE_OUT[form])
    else:
        y = body.add("Transpose", ["last_h"], perm=_STATE_OUT[form])
    if not layer.return_state:
        return [y]
    final = [body.add("Transpose", [f"last_{which}"], perm=_STATE_OUT[form]) for which in "hc"]
    return [y, *final]


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


BODIES: Table = {ConvLSTM2D: _conv_lstm_2d}
