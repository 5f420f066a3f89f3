"""Keras layers with the arguments and weights of a spec, to be run beside it."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from convlstm_native import spec
from convlstm_native.spec import Array, Function
from strategies import Case


def activation(function: Function) -> str:
    """The name under which Keras knows a function with its default parameters."""
    if function == Function("relu", (0.2, np.inf, 0.0)):
        return "leaky_relu"
    assert function == Function(function.name), f"Keras has no name for {function}"
    return function.name


def conv_lstm(layer: spec.ConvLSTM2D) -> keras.layers.ConvLSTM2D:
    """The layer, not built yet: :func:`set_weights` follows the build."""
    return keras.layers.ConvLSTM2D(
        layer.filters,
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        data_format=layer.data_format,
        dilation_rate=layer.dilation_rate,
        activation=activation(layer.activation),
        recurrent_activation=activation(layer.recurrent_activation),
        use_bias=bool(layer.bias.any()),
        # Not the slow default initializers: set_weights follows.
        kernel_initializer="zeros",
        recurrent_initializer="zeros",
        return_sequences=layer.return_sequences,
        return_state=layer.return_state,
        go_backwards=layer.go_backwards,
        stateful=layer.stateful,
    )


def set_weights(keras_layer: keras.layers.ConvLSTM2D, layer: spec.ConvLSTM2D) -> None:
    """Keras keeps kernels as (kh, kw, in, out), and no bias where there is none."""
    kernels = [np.transpose(w, (2, 3, 1, 0)) for w in (layer.kernel, layer.recurrent_kernel)]
    keras_layer.cell.set_weights([*kernels, layer.bias] if layer.bias.any() else kernels)


def model(case: Case) -> keras.Model:
    """A functional model of the one layer, for the batch size of the case."""
    inputs = [
        keras.Input(batch_shape=value.shape, name=name) for name, value in case.inputs().items()
    ]
    keras_layer = conv_lstm(case.layer)
    x, *states = inputs
    outputs = keras_layer(x, initial_state=states or None)
    set_weights(keras_layer, case.layer)
    return keras.Model(inputs, outputs)


def predict(keras_model: keras.Model, case: Case) -> list[Array]:
    """All outputs as arrays, in the model's order. Stateful layers keep their state for the next."""
    # One compiled piece is quick, but with JAX only the plain call keeps the states.
    run = keras_model if case.layer.stateful else keras_model.predict_on_batch
    outputs = run(list(case.inputs().values()))
    listed: Sequence[object] = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [np.asarray(output) for output in listed]
