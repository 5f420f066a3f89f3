"""The Keras reader on models that the installed Keras has just saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers import read
from convlstm_native.spec import NetworkSpec
from keras_files import TOLERANCE, ZEROS, arguments, edited, layer, members, pack, saved
from reference_activations import activation
from same_spec import assert_same_spec

keras = pytest.importorskip("keras")
layers = keras.layers

# Keras 3.15 itself, when it saves or copies a variable with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def assert_agrees(model: Any, path: Path) -> NetworkSpec:
    """The network read from ``path`` computes what ``model`` predicts."""
    network = read(path)
    generator = np.random.default_rng(7)
    inputs = {
        i.name: generator.normal(0, 1, (2, *([4] * i.sequence), *i.shape)).astype(np.float32)
        for i in network.inputs
    }
    given = list(inputs.values())
    expected = model.predict(given if len(given) > 1 else given[0], verbose=0)
    expected = list(expected) if isinstance(expected, (list, tuple)) else [expected]
    found = reference.run(network, inputs)
    assert len(found) == len(expected)
    for want, have in zip(expected, found.values(), strict=True):
        np.testing.assert_allclose(have, want, rtol=0, atol=TOLERANCE)
    return network


CELLS: dict[str, dict[str, Any]] = {
    "plain": {"filters": 2, "kernel_size": 3},
    "same, first": {
        "filters": 3,
        "kernel_size": (2, 4),
        "padding": "same",
        "data_format": "channels_first",
        "return_sequences": True,
    },
    "strides": {"filters": 2, "kernel_size": (3, 2), "strides": (2, 1), "return_sequences": True},
    "dilation": {"filters": 2, "kernel_size": 2, "dilation_rate": (1, 3), "padding": "same"},
    "no bias, backwards": {
        "filters": 2,
        "kernel_size": 1,
        "use_bias": False,
        "go_backwards": True,
        "return_sequences": True,
    },
    "states": {"filters": 2, "kernel_size": 3, "padding": "same", "return_state": True},
    "leaky, hard silu": {
        "filters": 2,
        "kernel_size": 3,
        "activation": "leaky_relu",
        "recurrent_activation": "hard_silu",
    },
    "layers as activations": {
        "filters": 2,
        "kernel_size": 2,
        "activation": layers.ReLU(max_value=1.5, negative_slope=0.2),
        "recurrent_activation": layers.ELU(alpha=0.7),
        "return_sequences": True,
    },
    "training arguments": {
        "filters": 2,
        "kernel_size": 2,
        "dropout": 0.4,
        "recurrent_dropout": 0.3,
        "kernel_regularizer": "l2",
        "bias_constraint": "non_neg",
        "seed": 5,
    },
}


@pytest.mark.parametrize(
    ("case", "suffix"), [*((case, ".keras") for case in CELLS), ("no bias, backwards", ".h5")]
)
def test_convlstm2d_arguments(case: str, suffix: str, tmp_path: Path) -> None:
    frames = keras.Input((4, 8, 7, 3) if "first" not in case else (4, 3, 8, 7), name="frames")
    model = keras.Model(frames, layers.ConvLSTM2D(**CELLS[case], **ZEROS)(frames))
    assert_agrees(model, saved(model, tmp_path, suffix))


def test_activations_of_keras() -> None:
    """Every activation that Keras knows is read, but for three."""
    known = [fn.__name__ for fn in keras.src.activations.ALL_OBJECTS]
    functions, refused = {}, set()
    for name in known:

        def edit(config: dict[str, Any], name: str = name) -> None:
            arguments(config, "mix")["layer"]["config"]["activation"] = name

        try:
            functions[name] = layer(read(edited(edit)), "mix").activation
        except UnsupportedModelError:
            refused.add(name)
    # glu halves the axis, sparsemax sorts it, threshold has no default arguments
    assert refused == {"glu", "sparsemax", "threshold"}
    # All in one model: compiled one by one they take most of the time of this file.
    x = keras.Input((41,))
    model = keras.Model(x, [layers.Activation(name)(x) for name in functions])
    values = np.linspace(-4, 4, 41, dtype=np.float32)[np.newaxis]
    wanted = model.predict_on_batch(values)
    for (name, function), want in zip(functions.items(), wanted, strict=True):
        have = activation(function, values.astype(np.float64))
        np.testing.assert_allclose(have, want, rtol=0, atol=TOLERANCE, err_msg=name)


def test_sequential_with_and_without_input_layer(tmp_path: Path) -> None:
    stack = [
        layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True, **ZEROS),
        layers.SpatialDropout3D(0.3),
        layers.BatchNormalization(axis=3),
        layers.MaxPooling3D((1, 2, 2)),
        layers.TimeDistributed(layers.MaxPooling2D(2, padding="same")),
        layers.TimeDistributed(layers.Flatten()),
        layers.TimeDistributed(layers.Dense(3, "gelu")),
        layers.Activation("softmax"),
        layers.GaussianNoise(0.1),
    ]
    model = keras.Sequential([keras.Input((4, 8, 7, 1)), *stack])
    network = assert_agrees(model, saved(model, tmp_path))
    assert network.outputs[0].name == "gaussian_noise"

    parts = members(tmp_path / "model.keras")
    config = json.loads(parts["config.json"])
    first = config["config"]["layers"].pop(0)
    bare = pack({**parts, "config.json": json.dumps(config).encode()})
    assert read(bare).inputs[0].shape == (8, 7, 1)
    del config["config"]["build_input_shape"]
    config["config"]["layers"][0]["config"]["batch_input_shape"] = first["config"]["batch_shape"]
    old = pack({**parts, "config.json": json.dumps(config).encode()})
    assert_same_spec(read(old), read(bare))


def test_pooling_runs_over_the_axes_that_keras_means(tmp_path: Path) -> None:
    frames = keras.Input((None, 3, 6, 8), name="frames")
    over_channels = layers.MaxPooling3D((3, 2, 1), strides=(1, 3, 2), data_format="channels_first")
    last = layers.ConvLSTM2D(2, 3, data_format="channels_first", **ZEROS)(frames)
    single = layers.MaxPooling2D((2, 3), data_format="channels_first", padding="same")(last)
    inner = layers.TimeDistributed(layers.MaxPooling2D((1, 2), data_format="channels_last"))
    model = keras.Model(frames, [over_channels(frames), inner(frames), single])
    network = assert_agrees(model, saved(model, tmp_path))
    pools = [n.layer.pool_size for n in network.nodes if isinstance(n.layer, spec.MaxPooling)]
    assert sorted(pools) == [(1, 2, 1), (1, 2, 3), (3, 2, 1)]


def test_repeated_and_named_outputs(tmp_path: Path) -> None:
    frames = keras.Input((4, 5, 5, 1), name="frames")
    y, h, c = layers.ConvLSTM2D(1, 3, return_state=True, name="cell", **ZEROS)(frames)
    several = keras.Model(frames, [y, h, c])
    names = [output.name for output in read(saved(several, tmp_path)).outputs]
    assert names == ["cell", "cell_1", "cell_2"]
    named = keras.Model(frames, {"state": c, "answer": y})
    assert [output.name for output in read(saved(named, tmp_path)).outputs] == ["answer", "state"]


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "bfloat16"])
def test_precision_policies_run_in_float32_with_a_note(policy: str, tmp_path: Path) -> None:
    frames = keras.Input((4, 5, 5, 2), name="frames")
    cell_layer = layers.ConvLSTM2D(2, 3, dtype=policy, name="cell", **ZEROS)
    model = keras.Model(frames, cell_layer(frames))
    network = read(saved(model, tmp_path))
    assert network.notes == (f"layers cell: precision policy '{policy}' is run in float32",)
    cell = layer(network, "cell")
    want = np.asarray(cell_layer.cell.kernel, np.float32).transpose(3, 2, 0, 1)
    assert cell.kernel.dtype == np.float32
    np.testing.assert_array_equal(cell.kernel, want)


def test_masking_in_a_sequential_model(tmp_path: Path) -> None:
    """Its file tells of no mask: layers hand it on by themselves. relu makes frames of zeros."""
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            layers.Dense(1, "relu", use_bias=False, kernel_initializer="ones"),
            layers.Masking(),
            layers.Dropout(0.2),
            layers.TimeDistributed(layers.Dense(2, bias_initializer="ones")),
            layers.GRU(3, return_sequences=True),
            layers.Bidirectional(layers.LSTM(2), merge_mode="sum"),
        ]
    )
    network = assert_agrees(model, saved(model, tmp_path))
    masked = [n.layer.masked for n in network.nodes if isinstance(n.layer, spec.Recurrent)]
    assert masked == [True] * 3


def test_a_mask_meets_a_layer_that_would_use_it(tmp_path: Path) -> None:
    x = keras.Input((4, 3))
    pooled = layers.GlobalAveragePooling1D(name="pool")(layers.Masking()(x))
    with pytest.raises(UnsupportedModelError, match=r"'pool'.*mask"):
        read(saved(keras.Model(x, pooled), tmp_path))
