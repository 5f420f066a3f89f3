"""The Keras reader: files that real Keras versions wrote, live ones, damaged ones, unsupported ones."""

from __future__ import annotations

import copy
import io
import json
import math
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import reference
from convlstm_native import Model, spec
from convlstm_native.errors import ConvLSTMError, ModelFormatError, UnsupportedModelError
from convlstm_native.readers import read
from convlstm_native.spec import Function, NetworkSpec
from keras import layers

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = ("2.13.1", "2.15.0", "3.3.3", "3.15.1")
FILES = sorted([*GOLDEN.glob("*.keras"), *GOLDEN.glob("*.h5")])
TOLERANCE = 1e-5

# Keras 3.15 itself, when it saves or copies a variable with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def members(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def edited(
    edit: Callable[[dict[str, Any]], None], net: str = "states", version: str = "3.15.1"
) -> bytes:
    """A golden archive whose model config went through ``edit``."""
    parts = members(GOLDEN / f"{net}-keras-{version}.keras")
    config = json.loads(parts["config.json"])
    edit(config)
    return pack({**parts, "config.json": json.dumps(config).encode()})


def arguments(config: dict[str, Any], layer: str) -> dict[str, Any]:
    """The arguments of a layer in a model config, to be changed in place."""
    (found,) = [x["config"] for x in config["config"]["layers"] if x["config"]["name"] == layer]
    assert isinstance(found, dict)
    return found


def problems(source: bytes | Path) -> tuple[str, ...]:
    with pytest.raises(UnsupportedModelError) as caught:
        read(source)
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


def layer(network: NetworkSpec, name: str) -> Any:
    (found,) = [node.layer for node in network.nodes if node.name == name]
    return found


def assert_same_network(a: NetworkSpec, b: NetworkSpec) -> None:
    assert (a.inputs, a.outputs, a.notes) == (b.inputs, b.outputs, b.notes)
    assert [(n.name, n.inputs, n.outputs) for n in a.nodes] == [
        (n.name, n.inputs, n.outputs) for n in b.nodes
    ]
    for x, y in zip(a.nodes, b.nodes, strict=True):
        assert type(x.layer) is type(y.layer)
        for key, value in vars(x.layer).items():
            np.testing.assert_equal(getattr(y.layer, key), value)


def saved(model: Any, folder: Path, suffix: str = ".keras", seed: int = 3) -> Path:
    """``model`` with random weights, saved."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        positive = weight.path.endswith("variance")
        low = 0.5 if positive else -0.25
        weight.assign(generator.uniform(low, low + 0.5, weight.shape))
    path = folder / f"model{suffix}"
    model.save(path)
    return path


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


# --- goldens ----------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_golden_agrees_with_the_keras_that_wrote_it(file: Path) -> None:
    network = read(file)
    arrays = np.load(file.with_suffix(".npz"))
    found = reference.run(network, {i.name: arrays[f"input:{i.name}"] for i in network.inputs})
    assert len(found) == sum(key.startswith("output:") for key in arrays)
    for place, have in enumerate(found.values()):
        np.testing.assert_allclose(have, arrays[f"output:{place}"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_golden_through_the_engine(file: Path, optimize: bool) -> None:
    model = Model.load(file, optimize=optimize)
    arrays = np.load(file.with_suffix(".npz"))
    found = model.predict({i.name: arrays[f"input:{i.name}"] for i in model.inputs})
    for place, have in enumerate(found.values()):
        np.testing.assert_allclose(have, arrays[f"output:{place}"], rtol=0, atol=TOLERANCE)


def test_all_goldens_are_there() -> None:
    names = {file.name for file in FILES}
    nets = ("genre", "states", "chain")
    assert {f"{net}-keras-{version}.keras" for net in nets for version in VERSIONS} <= names
    assert {"genre-keras-2.13.1.h5", "genre-keras-3.15.1.h5"} <= names


@pytest.mark.parametrize("file", [f for f in FILES if "genre" in f.name], ids=lambda f: f.name)
def test_genre_net_structure(file: Path) -> None:
    network = read(file)
    version = file.stem.rsplit("-", 1)[1]
    keras_2 = version.startswith("2")
    assert network.name == "Model "
    assert network.source == f"Keras {version}"
    assert network.inputs == (spec.Input("trailer_input", (3, 24, 28), sequence=True),)
    categories = ("comedy", "action", "terror", "thriller", "musical", "other")
    assert [output.name for output in network.outputs] == [f"cat_{c}" for c in categories]
    kinds = [type(node.layer).__name__ for node in network.nodes]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "ConvLSTM2D": 8,
        "BatchNormalization": 2,
        "MaxPooling": 8,
        "Flatten": 6,
        "Dense": 18,
    }
    cells = [n.layer for n in network.nodes if isinstance(n.layer, spec.ConvLSTM2D)]
    hard = Function("hard_sigmoid", (0.2, 0.5) if keras_2 else (1 / 6, 0.5))
    assert cells[0].recurrent_activation == hard
    assert cells[1].recurrent_activation == (hard if keras_2 else Function("sigmoid"))
    # axis=-1 on (N, T, C, H, W) is the width
    norms = [n.layer for n in network.nodes if isinstance(n.layer, spec.BatchNormalization)]
    assert [norm.axis for norm in norms] == [2, 2]
    assert [norm.scale.size for norm in norms] == [28, 14]
    pools = [n.layer.pool_size for n in network.nodes if isinstance(n.layer, spec.MaxPooling)]
    assert pools == [(1, 2, 2), (1, 3, 3), *[(1, 2, 2)] * 6]
    shapes = network.values()
    assert all(shapes[output.value] == spec.Value((1,), True) for output in network.outputs)


@pytest.mark.parametrize("version", ["2.13.1", "3.15.1"])
def test_h5_and_archive_hold_the_same_network(version: str) -> None:
    archive, h5 = (GOLDEN / f"genre-keras-{version}{suffix}" for suffix in (".keras", ".h5"))
    assert_same_network(read(archive), read(h5))


def test_bytes_paths_and_suffixes_make_no_difference(tmp_path: Path) -> None:
    file = GOLDEN / "chain-keras-2.15.0.keras"
    misnamed = tmp_path / "model.onnx"
    misnamed.write_bytes(file.read_bytes())
    for source in (str(file), misnamed, file.read_bytes()):
        assert_same_network(read(source), read(file))


def test_kernels_become_oihw() -> None:
    parts = members(GOLDEN / "chain-keras-3.15.1.keras")
    with h5py.File(io.BytesIO(parts["model.weights.h5"])) as file:
        kernel = file["layers/conv_lstm2d/cell/vars/0"][()]
    cell: Any = read(GOLDEN / "chain-keras-3.15.1.keras").nodes[0].layer
    np.testing.assert_array_equal(cell.kernel, kernel.transpose(3, 2, 0, 1))
    assert cell.kernel.flags.c_contiguous
    np.testing.assert_array_equal(cell.bias, np.zeros(12))


def test_shared_dropped_and_state_layers() -> None:
    network = read(GOLDEN / "states-keras-2.13.1.keras")
    assert [(i.name, i.sequence) for i in network.inputs] == [
        ("frames", True),
        ("start_h", False),
        ("start_c", False),
    ]
    # The second call of the shared layer needs less and comes first; the dropout has left no node.
    assert [(node.name, node.inputs) for node in network.nodes][:3] == [
        ("cell", ("frames", "start_h", "start_c")),
        ("leaky#1", ("cell:1",)),
        ("leaky", ("cell",)),
    ]
    assert layer(network, "leaky") == spec.Activation(
        Function("relu", (pytest.approx(0.3), math.inf, 0.0))  # type: ignore[arg-type]
    )
    assert layer(network, "leaky#1").function == layer(network, "leaky").function
    assert [output.name for output in network.outputs] == ["mix", "leaky", "cell"]


# --- live files -------------------------------------------------------------------------------

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
    model = keras.Model(frames, layers.ConvLSTM2D(**CELLS[case])(frames))
    assert_agrees(model, saved(model, tmp_path, suffix))


def test_activations_of_keras() -> None:
    """Every activation that Keras knows is read, but for three."""
    known = [fn.__name__ for fn in keras.src.activations.ALL_OBJECTS]
    refused = set()
    values = np.linspace(-4, 4, 41, dtype=np.float32)
    for name in known:

        def edit(config: dict[str, Any], name: str = name) -> None:
            arguments(config, "mix")["layer"]["config"]["activation"] = name

        try:
            function = layer(read(edited(edit)), "mix").activation
        except UnsupportedModelError:
            refused.add(name)
            continue
        want = keras.activations.get(name)(values)
        have = reference.activation(function, values.astype(np.float64))
        np.testing.assert_allclose(have, want, rtol=0, atol=TOLERANCE, err_msg=name)
    # glu halves the axis, sparsemax sorts it, threshold has no default arguments
    assert refused == {"glu", "sparsemax", "threshold"}


def test_sequential_with_and_without_input_layer(tmp_path: Path) -> None:
    stack = [
        layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True),
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
    assert_same_network(read(old), read(bare))


def test_pooling_runs_over_the_axes_that_keras_means(tmp_path: Path) -> None:
    frames = keras.Input((None, 3, 6, 8), name="frames")
    over_channels = layers.MaxPooling3D((3, 2, 1), strides=(1, 3, 2), data_format="channels_first")
    last = layers.ConvLSTM2D(2, 3, data_format="channels_first")(frames)
    single = layers.MaxPooling2D((2, 3), data_format="channels_first", padding="same")(last)
    inner = layers.TimeDistributed(layers.MaxPooling2D((1, 2), data_format="channels_last"))
    model = keras.Model(frames, [over_channels(frames), inner(frames), single])
    network = assert_agrees(model, saved(model, tmp_path))
    pools = [n.layer.pool_size for n in network.nodes if isinstance(n.layer, spec.MaxPooling)]
    assert sorted(pools) == [(1, 2, 1), (1, 2, 3), (3, 2, 1)]


def test_repeated_and_named_outputs(tmp_path: Path) -> None:
    frames = keras.Input((4, 5, 5, 1), name="frames")
    y, h, c = layers.ConvLSTM2D(1, 3, return_state=True, name="cell")(frames)
    several = keras.Model(frames, [y, h, c])
    names = [output.name for output in read(saved(several, tmp_path)).outputs]
    assert names == ["cell", "cell_1", "cell_2"]
    named = keras.Model(frames, {"state": c, "answer": y})
    assert [output.name for output in read(saved(named, tmp_path)).outputs] == ["answer", "state"]


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "bfloat16"])
def test_precision_policies_run_in_float32_with_a_note(policy: str, tmp_path: Path) -> None:
    frames = keras.Input((4, 5, 5, 2), name="frames")
    cell_layer = layers.ConvLSTM2D(2, 3, dtype=policy, recurrent_initializer="zeros", name="cell")
    model = keras.Model(frames, cell_layer(frames))
    network = read(saved(model, tmp_path))
    assert network.notes == (f"layers cell: precision policy '{policy}' is run in float32",)
    cell = layer(network, "cell")
    want = np.asarray(cell_layer.cell.kernel, np.float32).transpose(3, 2, 0, 1)
    assert cell.kernel.dtype == np.float32
    np.testing.assert_array_equal(cell.kernel, want)


# --- what decides hard_sigmoid ----------------------------------------------------------------


def h5_copy(tmp_path: Path, **attributes: str | None) -> Path:
    """The oldest golden with attributes replaced, or removed where None."""
    path = tmp_path / "old.h5"
    path.write_bytes((GOLDEN / "genre-keras-2.13.1.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        for group in (file, file["model_weights"]):
            for name, value in attributes.items():
                group.attrs.pop(name, None)
                if value is not None:
                    group.attrs[name] = value
    return path


def test_recorded_version_decides_hard_sigmoid(tmp_path: Path) -> None:
    for version, slope in (("1.2.2", 0.2), ("2.2.4-tf", 0.2), ("3.0.0", 1 / 6)):
        network = read(h5_copy(tmp_path, keras_version=version))
        assert layer(network, "conv_lstm2d").recurrent_activation.parameters == (slope, 0.5)
        assert network.source == f"Keras {version}"


def test_missing_version_is_noted(tmp_path: Path) -> None:
    network = read(h5_copy(tmp_path, keras_version=None))
    assert layer(network, "conv_lstm2d").recurrent_activation.parameters == (0.2, 0.5)
    assert "names no Keras version" in network.notes[0]


def test_theano_kernels_are_mirrored(tmp_path: Path) -> None:
    plain = layer(read(GOLDEN / "genre-keras-2.13.1.h5"), "conv_lstm2d")
    theano = layer(read(h5_copy(tmp_path, backend="theano")), "conv_lstm2d")
    np.testing.assert_array_equal(theano.kernel, plain.kernel[:, :, ::-1, ::-1])


# --- unsupported models -----------------------------------------------------------------------


def test_every_problem_is_listed_at_once() -> None:
    def edit(config: dict[str, Any]) -> None:
        cell = arguments(config, "cell")
        cell["padding"] = "causal"
        cell["activation"] = "sparsemax"
        cell["new_argument"] = 3
        config["config"]["layers"][-1]["class_name"] = "Conv3DTranspose"
        arguments(config, "rows")["axis"] = [1, 2]

    found = problems(edited(edit))
    assert len(found) == 5
    for what in ("padding", "'sparsemax'", "new_argument", "Conv3DTranspose 'mix'", "axis"):
        assert any(what in problem for problem in found), what


def test_lambda_and_custom_layers_are_named_and_never_run() -> None:
    def make_lambda(config: dict[str, Any]) -> None:
        config["config"]["layers"][4].update(class_name="Lambda")

    (problem,) = problems(edited(make_lambda))
    assert problem.startswith("Lambda 'drop'")
    assert "never run" in problem

    def register(config: dict[str, Any]) -> None:
        config["config"]["layers"][4].update(registered_name="mine>Dropout")

    assert "custom Python code" in problems(edited(register))[0]

    def other_module(config: dict[str, Any]) -> None:
        config["config"]["layers"][4].update(module="my.layers")

    assert "custom Python code" in problems(edited(other_module))[0]

    def function(config: dict[str, Any]) -> None:
        code = {"class_name": "__lambda__", "config": {"value": "4wAAAA"}}
        arguments(config, "cell")["activation"] = code

    (problem,) = problems(edited(function))
    assert "ConvLSTM2D 'cell': activation" in problem
    assert "never run" in problem


def test_nested_and_subclassed_models_are_refused(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((4, 5, 5, 1)), layers.ConvLSTM2D(1, 2)], name="inner")
    frames = keras.Input((4, 5, 5, 1))
    model = keras.Model(frames, layers.Flatten()(inner(frames)))
    (problem,) = problems(saved(model, tmp_path))
    assert problem.startswith("Sequential 'inner'")

    def subclass(config: dict[str, Any]) -> None:
        config["class_name"] = "Forecaster"

    assert "'Forecaster'" in problems(edited(subclass))[0]


@pytest.mark.parametrize("axis", [0, 1, -4, -5])
def test_normalization_over_batch_or_time_is_refused(axis: int) -> None:
    def edit(config: dict[str, Any]) -> None:
        arguments(config, "rows")["axis"] = axis

    (problem,) = problems(edited(edit))
    assert problem.startswith("BatchNormalization 'rows': axis: expected")
    assert f"found {axis}" in problem


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: layers.MaxPooling3D((2, 1, 1))(x), "MaxPooling3D 'it': pool_size, strides"),
        (lambda x: layers.MaxPooling3D((1, 2, 2), (2, 2, 2))(x), "over time"),
        (lambda x: layers.Flatten()(x), "flattening time"),
        (lambda x: layers.Softmax(axis=2)(x), "axis: expected the last one"),
        (
            lambda x: layers.TimeDistributed(layers.Flatten(data_format="channels_first"))(x),
            "'channels_first'",
        ),
        (lambda x: layers.Dropout(0.5)(x, training=True), "training"),
        (lambda x: layers.AveragePooling3D((1, 2, 2))(x), "AveragePooling3D 'it'"),
        (lambda x: layers.Add()([x, x]), "Add 'it'"),
        (lambda x: layers.TimeDistributed(layers.Conv2D(1, 1))(x), "Conv2D 'it'"),
    ],
)
def test_unsupported_use_is_named(
    build: Callable[[Any], Any], message: str, tmp_path: Path
) -> None:
    frames = keras.Input((4, 6, 6, 2))
    y = build(frames)
    y._keras_history.operation.name = "it"
    (problem,) = problems(saved(keras.Model(frames, y), tmp_path))
    assert message in problem
    assert "'it'" in problem


def test_open_spatial_axes_are_refused(tmp_path: Path) -> None:
    frames = keras.Input((4, None, None, 2), name="frames")
    model = keras.Model(frames, layers.MaxPooling3D((1, 2, 2))(frames))
    (problem,) = problems(saved(model, tmp_path))
    assert problem.startswith("input 'frames'")
    assert "[2, 3]" in problem


# --- damaged files ----------------------------------------------------------------------------


def fails(source: bytes | Path, *words: str) -> None:
    with pytest.raises(ModelFormatError) as caught:
        read(source)
    for word in words:
        assert word in str(caught.value)


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.keras")
    fails(tmp_path, str(tmp_path), "directory")


@pytest.mark.parametrize(
    "data", [b"", b"hello, I am no model\n" * 20, b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\0" * 999]
)
def test_files_that_are_no_models(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(data)
    fails(path, "model.keras", "expected")
    fails(data, "<bytes>", "expected")


@pytest.mark.parametrize("missing", ["config.json", "metadata.json", "model.weights.h5"])
def test_archive_without_a_member(missing: str) -> None:
    parts = members(GOLDEN / "chain-keras-3.15.1.keras")
    del parts[missing]
    fails(pack(parts), repr(missing), "zip file with")


def test_member_that_declares_an_absurd_size() -> None:
    parts = members(GOLDEN / "chain-keras-3.15.1.keras")
    bomb = pack({**parts, "config.json": b" " * 50_000_000}, zipfile.ZIP_DEFLATED)
    fails(bomb, "config.json", "50000000 declared")


def test_weights_that_declare_an_absurd_size(tmp_path: Path) -> None:
    path = h5_copy(tmp_path)
    with h5py.File(path, "r+") as file:
        group = file["model_weights/conv_lstm2d/conv_lstm2d"]
        del group["kernel:0"]
        group.create_dataset("kernel:0", (10**6, 10**6), np.float32)
    fails(path, "kernel:0", f"{4 * 10**12} declared")


def test_links_out_of_the_file_are_refused(tmp_path: Path) -> None:
    path = h5_copy(tmp_path)
    with h5py.File(path, "r+") as file:
        group = file["model_weights/conv_lstm2d/conv_lstm2d"]
        del group["kernel:0"]
        group["kernel:0"] = h5py.ExternalLink("other.h5", "/secret")
    fails(path, "kernel:0", "link")


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    frames = keras.Input((4, 5, 5, 1))
    model = keras.Model(frames, layers.ConvLSTM2D(1, 2)(frames))
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    fails(path, "model_config", "weights alone")


def test_missing_and_misshapen_weights(tmp_path: Path) -> None:
    path = h5_copy(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["model_weights/conv_lstm2d_1"]
    fails(path, "ConvLSTM2D 'conv_lstm2d_1'", "expected 3 weights", "found 0")

    def widen(config: dict[str, Any]) -> None:
        arguments(config, "cell")["kernel_size"] = [5, 3]

    fails(edited(widen), "ConvLSTM2D 'cell'", "kernel: expected shape (5, 3, 3, 8)", "(2, 3, 3, 8)")


def test_negative_variance(tmp_path: Path) -> None:
    path = h5_copy(tmp_path)
    with h5py.File(path, "r+") as file:
        file["model_weights/batch_normalization/batch_normalization/moving_variance:0"][3] = -1
    fails(path, "BatchNormalization 'batch_normalization'", "moving_variance")


def test_graph_with_a_loop_or_unknown_names() -> None:
    def rename(config: dict[str, Any]) -> None:
        config["config"]["layers"][4]["name"] = "elsewhere"

    fails(edited(rename), "expected inputs that exist")

    def bad_output(config: dict[str, Any]) -> None:
        config["config"]["output_layers"] = [["nowhere", 0, 0]]

    fails(edited(bad_output), "nowhere")


def outcome(data: bytes) -> str:
    """The error's name, or '' for a sound network; any other exception is the test's failure."""
    try:
        read(data).values()
    except ConvLSTMError as error:
        return type(error).__name__
    return ""


@pytest.mark.parametrize("name", ["chain-keras-3.15.1.keras", "genre-keras-2.13.1.h5"])
def test_truncation_at_any_offset_is_a_format_error(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    for stop in [*range(8, 200, 7), *range(200, len(data) - 1, len(data) // 60), len(data) - 1]:
        assert outcome(data[:stop]) == "ModelFormatError", stop


def damaged(data: bytes, chance: random.Random) -> bytes:
    """``data`` with a few bits flipped, eight bytes overwritten, or its end missing."""
    copied = bytearray(data)
    place = chance.randrange(len(copied))
    kind = chance.randrange(3)
    if kind == 0:
        return bytes(copied[:place])
    if kind == 1:
        copied[place : place + 8] = chance.choice([b"\xff" * 8, bytes(8), chance.randbytes(8)])
        return bytes(copied)
    for _ in range(chance.choice([1, 3, 30])):
        copied[chance.randrange(len(copied))] ^= 1 << chance.randrange(8)
    return bytes(copied)


def test_damaged_h5_is_an_error_or_a_sound_network() -> None:
    data = (GOLDEN / "genre-keras-2.13.1.h5").read_bytes()
    chance = random.Random(1)
    outcomes = [outcome(damaged(data, chance)) for _ in range(50)]
    assert outcomes.count("ModelFormatError") > 12


@pytest.mark.parametrize("net", ["states", "chain"])
def test_damaged_members_are_an_error_or_a_sound_network(net: str) -> None:
    # The archive's checksums would catch all damage, so it is done before packing.
    parts = members(GOLDEN / f"{net}-keras-3.15.1.keras")
    chance = random.Random(2)
    outcomes = [
        outcome(pack({**parts, name: damaged(data, chance)}))
        for name, data in parts.items()
        for _ in range(40)
    ]
    assert outcomes.count("ModelFormatError") > 40


ODD_VALUES: list[Any] = [None, True, 0, -1, 2, 10**30, math.nan, "", "tanh", [], {}, [1, 2], [None]]


@pytest.mark.parametrize("version", ["2.13.1", "3.15.1"])
def test_odd_values_in_the_config_are_an_error_or_a_sound_network(version: str) -> None:
    parts = members(GOLDEN / f"states-keras-{version}.keras")
    config = json.loads(parts["config.json"])
    chance = random.Random(3)
    seen = set()
    for _ in range(120):
        changed = copy.deepcopy(config)
        holder, key = chance.choice(list(places(changed)))
        if chance.random() < 0.25:
            del holder[key]
        else:
            holder[key] = chance.choice(ODD_VALUES)
        seen.add(outcome(pack({**parts, "config.json": json.dumps(changed).encode()})))
    assert seen == {"", "ModelFormatError", "UnsupportedModelError"}


def places(value: Any) -> Any:
    """Every (container, key) within nested JSON."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from places(value[key])
