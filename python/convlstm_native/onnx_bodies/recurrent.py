"""Layers that remember, as loops in standard ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from convlstm_native.onnx_bodies.activations import add_activation
from convlstm_native.onnx_bodies.base import Body, Call, Table
from convlstm_native.spec import (
    GRU,
    LSTM,
    ConvLSTM,
    ConvLSTM1D,
    ConvLSTM2D,
    ConvLSTM3D,
    Masking,
    Recurrent,
    SimpleRNN,
    same_padding,
)

# Within the loop time is the first axis and channels are the second, the order in which Scan and Conv run
# without further copies.


def _loop(body: Body, call: Call, channel_axis: int = 0) -> list[str]:
    """The Scan over the frames of a recurrent layer, whose channels stand at ``channel_axis``."""
    layer = call.layer
    assert isinstance(layer, Recurrent)
    x, *rest = call.inputs
    masks, given = rest[: layer.masked], rest[layer.masked :]
    inward, outward = _channels_to_front(len(call.values[0].shape), channel_axis)
    steps = body.add("Transpose", [x], perm=[1, 0, *(2 + axis for axis in inward)])
    frame = _permuted(call.values[0].shape, inward)
    state = _permuted(layer.state_shape(call.values[0]), inward)
    samples = body.add("Shape", [steps], start=1, end=2)
    shape = body.add("Concat", [samples, body.constant(list(state))], axis=0)
    zeros = body.add("ConstantOfShape", [shape])
    states = [zeros] * len(layer.STATES)
    if given:
        states = [
            body.add("Transpose", [tensor], perm=[0, *(1 + axis for axis in inward)])
            for tensor in given
        ]
    scanned = [steps, *(body.add("Transpose", [mask], perm=[1, 0, 2]) for mask in masks)]
    if isinstance(layer, ConvLSTM) and _joins_convolutions(layer):
        body.add("Concat", ["kernel", "recurrent_kernel"], "joint_kernel", axis=1)
    last = [f"last_{name}" for name in layer.STATES]
    # A masked step shows the output of the one before.
    shown = ["last_y"] if layer.masked else []
    scan = helper.make_node(
        "Scan",
        [*states, *([zeros] * layer.masked), *scanned],
        [*last, *shown, *(["all_y"] if layer.return_sequences else [])],
        name="steps",
        body=_step(layer, frame, state),
        num_scan_inputs=len(scanned),
        scan_input_directions=[int(layer.go_backwards)] * len(scanned),
    )
    body.nodes.append(scan)
    single = [0, *(1 + axis for axis in outward)]
    if layer.return_sequences:
        y = body.add("Transpose", ["all_y"], perm=[1, 0, *(2 + axis for axis in outward)])
    else:
        y = body.add("Transpose", [*shown, "last_h"][:1], perm=single)
    final = last if layer.return_state else []
    return [y, *(body.add("Transpose", [name], perm=single) for name in final)]


def _channels_to_front(rank: int, axis: int) -> tuple[list[int], list[int]]:
    """The permutation that moves ``axis`` of a frame to the front, and the one that moves it back."""
    inward = [axis, *(other for other in range(rank) if other != axis)]
    return inward, [inward.index(other) for other in range(rank)]


def _permuted(shape: Sequence[int], permutation: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in permutation)


def _step(layer: Recurrent, frame: tuple[int, ...], state: tuple[int, ...]) -> onnx.GraphProto:
    """One time step as a Scan body: (states, x_t) -> states, and h again to be collected.

    With a mask: (states, y_before, x_t, mask_t) -> (states, y), and y again to be collected.
    """
    body = Body("step_")
    if isinstance(layer, ConvLSTM):
        new = _lstm_gates(body, layer, _convolved(body, layer, frame))
    elif isinstance(layer, LSTM):
        new = _lstm_gates(body, layer, _sum_of_products(body))
    elif isinstance(layer, GRU):
        new = _gru(body, layer)
    else:
        new = [add_activation(body, _sum_of_products(body), layer.activation)]
    carried, scanned = list(layer.STATES), [_declare("x_t", frame)]
    if layer.masked:
        new = _where_masked(body, layer, new, len(state))
        carried.append("y")
        scanned.append(_declare("mask_t", (1,)))
    for name, value in zip(carried, new, strict=True):
        body.add("Identity", [value], f"{name}_after")
    results = [f"{name}_after" for name in carried]
    if layer.return_sequences:
        results.append(body.add("Identity", ["y_after" if layer.masked else "h_after"], "y_t"))
    # ONNX Runtime wants to know the shape of what it collects, and cannot always infer it.
    before = [_declare(f"{name}_before", state) for name in carried]
    results_info = [_declare(name, state) for name in results]
    return helper.make_graph(body.nodes, "step", [*before, *scanned], results_info)


def _where_masked(body: Body, layer: Recurrent, new: Sequence[str], rank: int) -> list[str]:
    """The states and the output y of a step that a mask may pass over."""
    mask = body.add("Reshape", ["mask_t", body.constant([-1, *[1] * rank])])
    counts = body.add("Greater", [mask, body.constant(0.5)])
    states = [
        body.add("Where", [counts, value, f"{name}_before"])
        for name, value in zip(layer.STATES, new, strict=True)
    ]
    otherwise = body.constant(0.0) if layer.zero_output_for_mask else "y_before"
    return [*states, body.add("Where", [counts, new[0], otherwise])]


def _declare(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    """A tensor of the step: any number of samples, then ``shape``."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, *shape])


def _split(body: Body, gates: str, prefix: str, names: str) -> list[str]:
    """The gates of one tensor, which lie along its channels."""
    parts = [f"{prefix}_{name}" for name in names]
    body.nodes.append(helper.make_node("Split", [gates], parts, name=f"{prefix}s", axis=1))
    return parts


def _lstm_gates(body: Body, layer: ConvLSTM | LSTM, gates: str) -> list[str]:
    """h and c from the sums of the gates i, f, c, o."""
    gate_i, gate_f, gate_c, gate_o = _split(body, gates, "gate", "ifco")
    i, f, o = (
        add_activation(body, gate, layer.recurrent_activation) for gate in (gate_i, gate_f, gate_o)
    )
    candidate = add_activation(body, gate_c, layer.activation)
    kept, new = body.add("Mul", [f, "c_before"]), body.add("Mul", [i, candidate])
    c = body.add("Add", [kept, new])
    return [body.add("Mul", [o, add_activation(body, c, layer.activation)]), c]


# --- maps ---------------------------------------------------------------------------------------------


def _joins_convolutions(layer: ConvLSTM) -> bool:
    """Whether the input convolution has the geometry of the recurrent one.

    Then both are one convolution over the channels of x and h together, the fastest form.
    """
    return layer.padding == "same" and {*layer.strides, *layer.dilation_rate} == {1}


def _pads(
    kernel: Sequence[int], size: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """Pads of a 'same' convolution in ONNX order: all beginnings, then all ends."""
    pairs = [same_padding(*axis) for axis in zip(size, kernel, strides, dilation, strict=True)]
    return [before for before, _ in pairs] + [after for _, after in pairs]


def _convolved(body: Body, layer: ConvLSTM, frame: tuple[int, ...]) -> str:
    """Sums of the gates: the convolutions of x_t and h_before."""
    # The recurrent convolution has stride 1 and padding 'same' whatever the layer's arguments.
    ones = (1,) * layer.RANK
    recurrent_pads = _pads(layer.kernel_size, layer.kernel_size, ones, ones)
    if _joins_convolutions(layer):
        both = body.add("Concat", ["x_t", "h_before"], axis=1)
        return body.add("Conv", [both, "joint_kernel", "bias"], pads=recurrent_pads)
    pads = [0] * (2 * layer.RANK)
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
    return body.add("Add", [from_input, from_state])


# --- vectors ------------------------------------------------------------------------------------------


def _from_input(body: Body) -> str:
    return body.add("Add", [body.add("MatMul", ["x_t", "kernel"]), "bias"])


def _sum_of_products(body: Body) -> str:
    """Sums of all gates: the products of x_t and h_before with their kernels."""
    from_state = body.add("MatMul", ["h_before", "recurrent_kernel"])
    return body.add("Add", [_from_input(body), from_state])


def _gru(body: Body, layer: GRU) -> list[str]:
    """h: gates z, r, h; the reset gate acts before or behind the recurrent product."""
    x_z, x_r, x_h = _split(body, _from_input(body), "x", "zrh")
    if layer.reset_after:
        recurrent = body.add("MatMul", ["h_before", "recurrent_kernel"])
        if layer.recurrent_bias is not None:
            recurrent = body.add("Add", [recurrent, "recurrent_bias"])
        h_z, h_r, h_h = _split(body, recurrent, "h", "zrh")
    else:
        # Split by columns: the kernel of the candidate multiplies what the reset gate left.
        kernels = _split(body, "recurrent_kernel", "kernel", "zrh")
        h_z, h_r = (body.add("MatMul", ["h_before", kernel]) for kernel in kernels[:2])
    z, r = (
        add_activation(body, body.add("Add", list(pair)), layer.recurrent_activation)
        for pair in ((x_z, h_z), (x_r, h_r))
    )
    if layer.reset_after:
        h_h = body.add("Mul", [r, h_h])
    else:
        h_h = body.add("MatMul", [body.add("Mul", [r, "h_before"]), kernels[2]])
    candidate = add_activation(body, body.add("Add", [x_h, h_h]), layer.activation)
    new = body.add("Mul", [body.add("Sub", [body.constant(1.0), z]), candidate])
    return [body.add("Add", [body.add("Mul", [z, "h_before"]), new])]


def _conv_lstm(body: Body, call: Call) -> list[str]:
    assert isinstance(call.layer, ConvLSTM)
    return _loop(body, call, call.layer.channel_axis)


def _masking(body: Body, call: Call) -> list[str]:
    layer = call.layer
    assert isinstance(layer, Masking)
    (x,) = call.inputs
    same = body.add("Equal", [x, body.constant(layer.value)])
    differs = body.add("Cast", [body.add("Not", [same])], to=TensorProto.FLOAT)
    axes = list(range(-len(call.values[0].shape), 0))
    mask = body.add("ReduceMax", [differs], axes=axes, keepdims=1)
    counts = body.add("Greater", [mask, body.constant(0.5)])
    frames = body.add("Where", [counts, x, body.constant(0.0)])
    if len(axes) > 1:
        mask = body.add("ReduceMax", [mask], axes=axes[1:], keepdims=0)
    return [frames, mask]


BODIES: Table = {
    Masking: _masking,
    **dict.fromkeys((ConvLSTM1D, ConvLSTM2D, ConvLSTM3D), _conv_lstm),
    **dict.fromkeys((LSTM, GRU, SimpleRNN), _loop),
}
