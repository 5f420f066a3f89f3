"""The reference against live Keras: what everything else is measured with is measured here."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from convlstm_native import spec
from convlstm_native.spec import ACTIVATIONS, Array, Function
from hypothesis import given
from reference_activations import FUNCTIONS, activation
from strategies import (
    BOUNDED,
    UNBOUNDED,
    Case,
    conv_lstm,
    conv_lstm_cases,
    dense,
    examples,
    function,
)
from tolerances import check, check_elements

keras = pytest.importorskip("keras")
import live_keras  # noqa: E402

RNG = np.random.default_rng(3)


def random(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def check_against_keras(case: Case) -> None:
    found = reference.run(case.network(), case.inputs())
    expected = live_keras.predict(live_keras.model(case), case)
    for ours, theirs in zip(found.values(), expected, strict=True):
        check(theirs, ours, "keras conv_lstm")


# --- ConvLSTM2D ----------------------------------------------------------------------------------


@examples(15)
@given(conv_lstm_cases())
def test_conv_lstm(case: Case) -> None:
    check_against_keras(case)


@pytest.mark.parametrize("name", sorted({*BOUNDED, *UNBOUNDED}))
def test_conv_lstm_activations(name: str) -> None:
    layer = conv_lstm(RNG, 2, 3, activation=function(name), return_sequences=True)
    check_against_keras(Case(layer, random(1, 3, 5, 6, 2)))


@pytest.mark.parametrize("name", ["hard_sigmoid", "hard_tanh", "relu", "tanh"])
def test_conv_lstm_recurrent_activations(name: str) -> None:
    layer = conv_lstm(RNG, 2, 3, recurrent_activation=function(name), return_sequences=True)
    check_against_keras(Case(layer, random(1, 3, 5, 6, 2)))


@pytest.mark.parametrize("go_backwards", [False, True])
def test_state_is_kept_between_calls(go_backwards: bool) -> None:
    layer = conv_lstm(RNG, 2, 3, padding="same", stateful=True, go_backwards=go_backwards)
    cases = [Case(layer, random(2, 3, 4, 5, 2)) for _ in range(3)]
    model = live_keras.model(cases[0])
    states: reference.States = {}
    for case in cases:
        found = reference.run(case.network(), case.inputs(), states)
        check(live_keras.predict(model, case)[0], found["y"], "keras conv_lstm")
    fresh = reference.run(cases[-1].network(), cases[-1].inputs())
    assert np.abs(fresh["y"] - found["y"]).max() > 0.01, "the kept state changed nothing"


# --- frame-wise layers ---------------------------------------------------------------------------


def run(layer: spec.Layer, x: Array) -> reference.Array64:
    """The one output of a network of ``layer`` alone, on sequences (N, T, *frame)."""
    node = spec.Node("layer", layer, ("x",), ("y",))
    frames = spec.Input("x", x.shape[2:])
    net = spec.NetworkSpec("net", (frames,), (node,), (spec.Output("y", "y"),))
    return reference.run(net, {"x": x})["y"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_batch_normalization(axis: int) -> None:
    x = random(2, 3, 4, 5, 6)
    keras_layer = keras.layers.BatchNormalization(axis=axis + 2)
    keras_layer.build(x.shape)
    length = x.shape[axis + 2]
    gamma, beta, mean = random(3, length)
    variance = RNG.uniform(0.1, 2, length).astype(np.float32)
    keras_layer.set_weights([gamma, beta, mean, variance])
    scale = gamma / np.sqrt(variance.astype(np.float64) + keras_layer.epsilon)
    shift = beta - mean * scale
    layer = spec.BatchNormalization(axis, scale.astype(np.float32), shift.astype(np.float32))
    check(np.asarray(keras_layer(x)), run(layer, x), "keras layer")


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("pool_size", "strides"),
    [
        ((1, 2, 2), (1, 2, 2)),
        ((1, 3, 3), (1, 3, 3)),
        ((2, 1, 4), (1, 2, 3)),
        ((3, 2, 1), (2, 1, 4)),
        ((1, 1, 1), (2, 3, 1)),
    ],
)
def test_max_pooling(
    pool_size: tuple[int, int, int], strides: tuple[int, int, int], padding: str
) -> None:
    # Time plays the channels here, so that the pooling runs over all axes of the frame. All values
    # lie below zero: a padded zero would win.
    x = random(2, 3, 5, 7, 8) - 10
    keras_layer = keras.layers.MaxPooling3D(
        pool_size, strides, padding, data_format="channels_first"
    )
    layer = spec.MaxPooling(pool_size, strides, padding)
    check(np.asarray(keras_layer(x)), run(layer, x), "max_pooling")


def test_flatten() -> None:
    x = random(2, 3, 4, 5, 6)
    found = run(spec.Flatten(), x)
    keras_layer = keras.layers.TimeDistributed(keras.layers.Flatten())
    check(np.asarray(keras_layer(x)), found, "flatten")


@pytest.mark.parametrize("name", ["linear", "relu", "softmax", "log_softmax"])
def test_dense(name: str) -> None:
    x = random(2, 3, 4, 9)
    layer = dense(RNG, 9, 5, name)
    keras_layer = keras.layers.Dense(5, activation=name)
    keras_layer.build(x.shape)
    keras_layer.set_weights([layer.kernel, layer.bias])
    check(np.asarray(keras_layer(x)), run(layer, x), "keras layer")


def test_slice() -> None:
    x = random(2, 3, 4, 5, 6)
    check(run(spec.Slice(1, 2, 4), x), x[:, :, :, 2:4], "slice")


# --- activations ---------------------------------------------------------------------------------

# Parameters as the spec and as Keras name them. Where a function jumps, float32 holds the place.
WITH_PARAMETERS = [
    (Function("relu", (0.3, 2.0, 0.5)), {"negative_slope": 0.3, "max_value": 2, "threshold": 0.5}),
    (Function("relu", (0.0, 6.0, 0.0)), {"max_value": 6}),
    (Function("elu", (0.7,)), {"alpha": 0.7}),
    (Function("celu", (0.7,)), {"alpha": 0.7}),
    (Function("hard_shrink", (0.25,)), {"threshold": 0.25}),
    (Function("soft_shrink", (0.2,)), {"threshold": 0.2}),
    (Function("squareplus", (2.0,)), {"b": 2}),
    (Function("threshold", (0.25, -1.0)), {"threshold": 0.25, "default_value": -1.0}),
]


def check_activation(function: Function, arguments: dict[str, float]) -> None:
    name = "gelu" if function.name == "gelu_tanh" else function.name
    keras_function = getattr(keras.activations, name)
    # In pieces, so that softmax sees rows of like numbers too.
    for low, high in ((-30, -5), (-5, -1), (-1, 0), (0, 1), (1, 5), (5, 30)):
        x = np.linspace(low, high, 61, dtype=np.float32).reshape(1, 1, -1)
        found = np.asarray(keras_function(x, **arguments))
        check_elements(found, run(spec.Activation(function), x), x, "keras activation")


@pytest.mark.parametrize("name", sorted({*ACTIVATIONS} - {"threshold"}))
def test_activation(name: str) -> None:
    check_activation(Function(name), {"approximate": True} if name == "gelu_tanh" else {})


@pytest.mark.parametrize(("function", "arguments"), WITH_PARAMETERS, ids=str)
def test_activation_with_parameters(function: Function, arguments: dict[str, float]) -> None:
    check_activation(function, arguments)


def test_hard_sigmoid_of_keras_2() -> None:
    x = np.array([[[-3.0, -2.5, -1.0, 0.0, 1.0, 2.5, 3.0]]])
    layer = spec.Activation(Function("hard_sigmoid", (0.2, 0.5)))
    np.testing.assert_allclose(run(layer, x)[0, 0], [0, 0, 0.3, 0.5, 0.7, 1, 1], atol=1e-15)


def test_every_activation_of_the_spec_has_a_formula() -> None:
    assert set(FUNCTIONS) == set(ACTIVATIONS)


# --- refusals ------------------------------------------------------------------------------------


def test_an_unknown_layer_is_refused() -> None:
    class Doubled(spec.Flatten):
        pass

    with pytest.raises(TypeError, match="Doubled 'layer'"):
        run(Doubled(), random(1, 1, 2))


@pytest.mark.parametrize("parameters", [(-0.1, 1.0, 0.0), (0.0, -1.0, 0.0), (0.0, 1.0, -1.0)])
def test_relu_outside_its_definition_is_refused(parameters: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=">= 0"):
        activation(Function("relu", parameters), np.zeros(3))
