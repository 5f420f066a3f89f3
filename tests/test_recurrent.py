"""LSTM, GRU, SimpleRNN and the ConvLSTMs of one and three axes against their twins, on every ISA."""

from __future__ import annotations

from typing import Any

import convlstm_native as cn
import numpy as np
import pytest
import reference
from convlstm_native import spec
from convlstm_native.onnx_writer import to_onnx
from convlstm_native.spec import Array, NetworkSpec
from hypothesis import given
from hypothesis import strategies as st
from onnx_files import run_in_onnx_runtime
from strategies import BOUNDED, examples, function, weight
from tolerances import check

ISAS = cn.available_isas()
KINDS = ("lstm", "gru", "gru reset before", "simple rnn")


def vector_layer(
    rng: np.random.Generator, kind: str, features: int, units: int, **arguments: Any
) -> spec.VectorRecurrent:
    """A recurrent layer on vectors with random weights."""
    cls = {"lstm": spec.LSTM, "simple rnn": spec.SimpleRNN}.get(kind, spec.GRU)
    columns = cls.GATES * units
    if cls is spec.GRU:
        arguments["reset_after"] = kind == "gru"
        if kind == "gru":
            arguments["recurrent_bias"] = rng.standard_normal(columns).astype(np.float32)
    return cls(
        units=units,
        kernel=weight(rng, columns, features).T.copy(),
        recurrent_kernel=weight(rng, columns, units).T.copy(),
        bias=rng.standard_normal(columns).astype(np.float32),
        **arguments,
    )


def map_layer(
    rng: np.random.Generator, size: tuple[int, ...], channels: int, filters: int, **arguments: Any
) -> spec.ConvLSTM:
    """A ConvLSTM of as many axes as its kernel has, with random weights."""
    cls = {1: spec.ConvLSTM1D, 2: spec.ConvLSTM2D, 3: spec.ConvLSTM3D}[len(size)]
    return cls(
        filters=filters,
        kernel_size=size,
        kernel=weight(rng, 4 * filters, channels, *size),
        recurrent_kernel=weight(rng, 4 * filters, filters, *size),
        bias=rng.standard_normal(4 * filters).astype(np.float32),
        **arguments,
    )


def network(layer: spec.Recurrent, frame: tuple[int, ...]) -> NetworkSpec:
    """The layer alone, with inputs for its mask and its initial states, outputs for its last ones."""
    state = layer.state_shape(spec.Value(frame, sequence=True))
    inputs = [spec.Input("x", frame)]
    if layer.masked:
        inputs.append(spec.Input("mask", (1,)))
    if layer.initial_state:
        inputs += [spec.Input(f"{name}0", state, sequence=False) for name in layer.STATES]
    outputs = ["y", *(layer.STATES if layer.return_state else ())]
    node = spec.Node("cell", layer, tuple(i.name for i in inputs), tuple(outputs))
    return NetworkSpec("alone", tuple(inputs), (node,), tuple(spec.Output(v, v) for v in outputs))


def values(rng: np.random.Generator, net: NetworkSpec, frames: int = 4) -> dict[str, Array]:
    """Two samples for each input; a mask is of zeros and ones."""
    found = {
        i.name: rng.standard_normal((2, *([frames] * i.sequence), *i.shape)).astype(np.float32)
        for i in net.inputs
    }
    if "mask" in found:
        found["mask"] = (found["mask"] > 0).astype(np.float32)
    return found


def check_layer(
    rng: np.random.Generator, layer: spec.Recurrent, frame: tuple[int, ...], operation: str
) -> None:
    net = network(layer, frame)
    x = values(rng, net)
    expected = reference.run(net, x)
    for isa in ISAS:
        found = cn.Model(net, isa=isa).predict(x)
        assert list(found) == list(expected)
        for name, value in expected.items():
            # Gates and candidates are near one: a state of few units may be their small difference.
            check(found[name], value, operation, largest_term=0.5)


@st.composite
def flows(draw: st.DrawFn) -> dict[str, bool]:
    names = (
        *("return_sequences", "return_state", "go_backwards", "initial_state", "masked"),
        "zero_output_for_mask",
    )
    return {name: draw(st.booleans()) for name in names}


seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


# --- vectors -------------------------------------------------------------------------------------


@examples(60)
@given(
    st.sampled_from(KINDS),
    st.integers(1, 40),
    st.integers(1, 70),
    st.sampled_from(BOUNDED),
    flows(),
    seeds,
)
def test_vectors(
    kind: str,
    features: int,
    units: int,
    activation: str,
    flow: dict[str, bool],
    rng: np.random.Generator,
) -> None:
    layer = vector_layer(rng, kind, features, units, activation=function(activation), **flow)
    check_layer(rng, layer, (features,), "recurrent bounded")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("units", [*range(1, 18), 31, 32, 33, 63, 64, 65, 127, 128, 129])
def test_units_around_the_vectors(kind: str, units: int) -> None:
    rng = np.random.default_rng(units)
    layer = vector_layer(rng, kind, 5, units, return_sequences=True)
    check_layer(rng, layer, (5,), "recurrent bounded")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["relu", "elu", "silu", "softplus", "linear", "leaky_relu"])
def test_unbounded_activations(kind: str, name: str) -> None:
    rng = np.random.default_rng(3)
    layer = vector_layer(rng, kind, 9, 12, activation=function(name), return_sequences=True)
    check_layer(rng, layer, (9,), "recurrent unbounded")


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("name", ["hard_sigmoid", "tanh", "relu", "softsign"])
def test_gates(kind: str, name: str) -> None:
    rng = np.random.default_rng(4)
    arguments = {"recurrent_activation": function(name), "return_sequences": True}
    check_layer(rng, vector_layer(rng, kind, 9, 12, **arguments), (9,), "recurrent unbounded")


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_steps(kind: str) -> None:
    rng = np.random.default_rng(5)
    net = network(vector_layer(rng, kind, 7, 19, return_sequences=True), (7,))
    x = values(rng, net, 1000)
    expected = reference.run(net, x)["y"]
    for isa in ISAS:
        check(cn.Model(net, isa=isa).predict(x)["y"], expected, "recurrent bounded")


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_stateful(kind: str, go_backwards: bool) -> None:
    """The state of one sequence is where the next begins."""
    rng = np.random.default_rng(6)
    layer = vector_layer(rng, kind, 4, 10, stateful=True, go_backwards=go_backwards)
    net = network(layer, (4,))
    states: reference.States = {}
    stream = cn.Model(net).stream()
    for _ in range(3):
        x = values(rng, net)["x"][:1]
        check(stream.predict(x[0])["y"][None], reference.run(net, {"x": x}, states)["y"], "dense")


def test_what_does_not_fit_is_refused() -> None:
    rng = np.random.default_rng(7)
    lstm = vector_layer(rng, "lstm", 4, 5)
    wrong: list[tuple[spec.Layer, tuple[spec.Value, ...], str]] = [
        (lstm, (spec.Value((4, 1), True),), "a sequence of vectors"),
        (lstm, (spec.Value((4,), False),), "a sequence of vectors"),
        (lstm, (spec.Value((3,), True),), r"kernel shape: expected \(3, 20\)"),
        (lstm, (spec.Value((4,), True),) * 3, "inputs: expected x, found 3"),
        (
            vector_layer(rng, "gru", 4, 5, activation=function("softmax")),
            (spec.Value((4,), True),),
            "an elementwise one",
        ),
        (
            vector_layer(rng, "gru", 4, 5, initial_state=True),
            (spec.Value((4,), True), spec.Value((4,), False)),
            "initial h",
        ),
        (
            map_layer(rng, (2, 2), 1, 1, strides=(1,)),
            (spec.Value((4, 4, 1), True),),
            r"strides: expected 2 integer\(s\)",
        ),
    ]
    for layer, given_values, message in wrong:
        with pytest.raises(cn.UnsupportedModelError, match=message):
            layer.infer(given_values)


# --- maps ----------------------------------------------------------------------------------------


@st.composite
def map_cases(draw: st.DrawFn) -> tuple[spec.ConvLSTM, tuple[int, ...], np.random.Generator]:
    rng = draw(seeds)
    rank = draw(st.sampled_from((1, 3)))

    def lengths(largest: int) -> tuple[int, ...]:
        return draw(st.tuples(*[st.integers(1, largest)] * rank))

    ones = (1,) * rank
    size, strides, dilation = lengths(4), lengths(3), lengths(3)
    # Keras refuses a layer that both skips and spreads; the engine does not.
    strides, dilation = draw(
        st.sampled_from(((strides, ones), (ones, dilation), (strides, dilation)))
    )
    padding = draw(st.sampled_from(("same", "valid")))
    frame = lengths(12 if rank == 1 else 6)
    if padding == "valid":
        frame = tuple(n + (k - 1) * d for n, k, d in zip(frame, size, dilation, strict=True))
    channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    data_format = draw(st.sampled_from(("channels_first", "channels_last")))
    layer = map_layer(
        rng,
        size,
        channels,
        filters,
        strides=strides,
        dilation_rate=dilation,
        padding=padding,
        data_format=data_format,
        activation=function(draw(st.sampled_from(BOUNDED))),
        **draw(flows()),
    )
    shape = (channels, *frame) if data_format == "channels_first" else (*frame, channels)
    return layer, shape, rng


@examples(80)
@given(map_cases())
def test_maps(case: tuple[spec.ConvLSTM, tuple[int, ...], np.random.Generator]) -> None:
    layer, frame, rng = case
    check_layer(rng, layer, frame, "conv_lstm bounded")


@pytest.mark.parametrize("cols", [1, 2, 7, 8, 9, 31, 33, 95, 96, 97])
@pytest.mark.parametrize("rank", [1, 3])
def test_widths_around_the_vectors(rank: int, cols: int) -> None:
    rng = np.random.default_rng(cols)
    arguments = {"padding": "same", "data_format": "channels_first", "return_sequences": True}
    layer = map_layer(rng, (3,) * rank, 2, 5, **arguments)
    check_layer(rng, layer, (2, *(3, 4, cols)[-rank:]), "conv_lstm bounded")


@pytest.mark.parametrize("rank", [1, 3])
def test_a_stream_of_maps_can_be_moved(rank: int) -> None:
    """Its state in another stream goes on as it would have."""
    rng = np.random.default_rng(8)
    layer = map_layer(rng, (2,) * rank, 1, 3, padding="same", return_sequences=True)
    net = network(layer, (*(3, 4, 5)[-rank:], 1))
    x = values(rng, net)["x"][0]
    model = cn.Model(net)
    stream, other = model.stream(), model.stream()
    for frame in x[:2]:
        stream.push(frame)
    other.load_state_dict({name: value.copy() for name, value in stream.state_dict().items()})
    for frame in x[2:]:
        expected, found = stream.push(frame), other.push(frame)
        assert expected is not None
        assert found is not None
        np.testing.assert_array_equal(found["y"], expected["y"])


# --- masks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_masking(value: float) -> None:
    layer = spec.Masking(value)
    node = spec.Node("mask", layer, ("x",), ("y", "counts"))
    outputs = (spec.Output("y", "y"), spec.Output("counts", "counts"))
    net = NetworkSpec("masking", (spec.Input("x", (3,)),), (node,), outputs)
    x = np.random.default_rng(9).standard_normal((2, 6, 3)).astype(np.float32)
    x[0, [0, 3]] = value
    x[1, 2, 1:] = value
    expected = reference.run(net, {"x": x})
    assert expected["counts"].sum() == 10
    for isa in ISAS:
        for name, found in cn.Model(net, isa=isa).predict(x).items():
            np.testing.assert_array_equal(found, expected[name])


def test_masking_of_maps() -> None:
    layer = spec.Masking(0.0)
    node = spec.Node("mask", layer, ("x",), ("y", "counts"))
    outputs = (spec.Output("y", "y"), spec.Output("counts", "counts"))
    net = NetworkSpec("masking", (spec.Input("x", (3, 4, 2)),), (node,), outputs)
    x = np.random.default_rng(9).standard_normal((2, 6, 3, 4, 2)).astype(np.float32)
    x[0, [0, 3]] = 0
    x[1, 2, 1:] = 0
    expected = reference.run(net, {"x": x})
    assert expected["counts"].sum() == 10
    in_runtime = run_in_onnx_runtime(to_onnx(net), {"x": x})
    for name, found in cn.Model(net).predict(x).items():
        np.testing.assert_array_equal(found, expected[name])
        np.testing.assert_array_equal(in_runtime[name], expected[name])


@pytest.mark.parametrize("zeros", [False, True])
def test_a_masked_sequence_can_be_moved(zeros: bool) -> None:
    """The last output is part of the state: a masked frame shows it in another stream too."""
    rng = np.random.default_rng(10)
    arguments = {"return_sequences": True, "masked": True, "zero_output_for_mask": zeros}
    net = network(vector_layer(rng, "gru", 3, 5, **arguments), (3,))
    x = rng.standard_normal((4, 3)).astype(np.float32)
    frames = [{"x": frame, "mask": np.float32([k % 2 == 0])} for k, frame in enumerate(x)]
    model = cn.Model(net)
    stream, other = model.stream(), model.stream()
    first = stream.push(frames[0])
    other.load_state_dict({name: value.copy() for name, value in stream.state_dict().items()})
    for frame in frames[1:]:
        expected, found = stream.push(frame), other.push(frame)
        assert expected is not None
        assert found is not None
        np.testing.assert_array_equal(found["y"], expected["y"])
        if frame is frames[1]:
            assert first is not None
            np.testing.assert_array_equal(found["y"], 0 if zeros else first["y"])


def test_a_mask_is_not_for_stateful_layers() -> None:
    layer = vector_layer(np.random.default_rng(0), "lstm", 4, 5, masked=True, stateful=True)
    with pytest.raises(cn.UnsupportedModelError, match="stateful: expected false where"):
        layer.infer((spec.Value((4,), True), spec.Value((1,), True)))
