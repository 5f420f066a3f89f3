"""One network in every container that Keras or a tool around it writes, and weights on their own."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from convlstm_native import Model
from convlstm_native.cli import app
from convlstm_native.errors import InputError, ModelFormatError
from convlstm_native.readers import read
from convlstm_native.spec import NetworkSpec
from keras_files import GOLDEN, ZEROS, members, pack, saved
from same_spec import assert_same_spec
from typer.testing import CliRunner

# Keras 3.15 itself, when it saves or copies a variable with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ARCHIVES = ("chain-keras-2.13.1", "chain-keras-2.15.0", "chain-keras-3.15.1")


def golden(name: str) -> tuple[dict[str, bytes], NetworkSpec]:
    path = GOLDEN / f"{name}.keras"
    return members(path), read(path)


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_packed_by_other_tools(name: str) -> None:
    parts, network = golden(name)
    more = {"assets/notes.txt": b"hello", "__MACOSX/._config.json": b"\0", "assets/": b""}
    in_folder = {f"my model/{part}": data for part, data in parts.items()}
    with_backslashes = {f"my model\\{part}": data for part, data in parts.items()}
    crlf = {**parts, "config.json": json.dumps(json.loads(parts["config.json"]), indent=1).encode()}
    crlf["config.json"] = crlf["config.json"].replace(b"\n", b"\r\n")
    for packed in ({**more, **parts}, in_folder, with_backslashes, crlf):
        assert_same_spec(read(pack(packed)), network)


@pytest.mark.parametrize("name", [*ARCHIVES, "genre-keras-2.13.1", "states-keras-3.15.1"])
def test_weights_of_keras_on_windows(name: str) -> None:
    """There Keras joined the names of groups by backslashes, which HDF5 takes for letters."""
    parts, network = golden(name)
    buffer = io.BytesIO()
    with (
        h5py.File(io.BytesIO(parts["model.weights.h5"])) as source,
        h5py.File(buffer, "w") as target,
    ):

        def copy(path: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                group, variables, variable = path.rsplit("/", 2)
                target[group.replace("/", "\\") + f"/{variables}/{variable}"] = item[()]

        source.visititems(copy)
    assert_same_spec(read(pack({**parts, "model.weights.h5": buffer.getvalue()})), network)


def test_contents_decide_not_names(tmp_path: Path) -> None:
    zipped, hdf5 = GOLDEN / "chain-keras-3.15.1.keras", GOLDEN / "genre-keras-3.15.1.h5"
    for source, name in ((zipped, "model.h5"), (hdf5, "model.keras")):
        misnamed = tmp_path / name
        misnamed.write_bytes(source.read_bytes())
        assert_same_spec(read(misnamed), read(source))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A model with a nested one, and the archive that holds all of it."""
    keras = pytest.importorskip("keras")
    layers = keras.layers
    inner = keras.Sequential([keras.Input((4, 4, 3)), layers.Dense(2), layers.BatchNormalization()])
    frames = keras.Input((4, 5, 5, 3))
    x = layers.ConvLSTM2D(3, 2, return_sequences=True, **ZEROS)(frames)
    model = keras.Model(frames, layers.TimeDistributed(inner)(layers.Dense(3)(x)))
    return model, saved(model, tmp_path_factory.mktemp("trained"))


def weights_of_keras_3(model: Any, path: Path) -> Path:
    path = path.with_suffix(".weights.h5")
    model.save_weights(path)
    return path


def weights_of_keras_2(model: Any, path: Path) -> Path:
    """The same layout as within a whole HDF5 model, without the group around it."""
    path = path.with_suffix(".h5")
    model.save(path)
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        for key, value in group.attrs.items():
            file.attrs[key] = value
        for name in list(group):
            file.move(f"model_weights/{name}", name)
        del file["model_weights"], file.attrs["model_config"]
    return path


SAVERS = (weights_of_keras_3, weights_of_keras_2)


def assert_same_network(found: NetworkSpec, archive: Path) -> None:
    """Same as the archive but for the version, of which Keras 3 writes the least into such files."""
    expected = read(archive)
    assert found.source in ("Keras 3", expected.source)
    assert_same_spec(replace(found, source=expected.source), expected)


@pytest.mark.parametrize("save", SAVERS)
def test_weights_alone_with_a_config(
    save: Callable[[Any, Path], Path], trained: tuple[Any, Path], tmp_path: Path
) -> None:
    model, archive = trained
    weights = save(model, tmp_path / "model")
    text = model.to_json()
    config = tmp_path / "model.json"
    config.write_text(text)
    for given in (text, text.encode(), json.loads(text), config, str(config)):
        assert_same_network(read(weights, given), archive)
    assert_same_network(Model.load(weights.read_bytes(), config=text).spec, archive)
    with pytest.raises(ModelFormatError, match=r"model\.to_json\(\)"):
        read(weights)


@pytest.mark.parametrize("save", SAVERS)
def test_command_line_takes_a_config(
    save: Callable[[Any, Path], Path], trained: tuple[Any, Path], tmp_path: Path
) -> None:
    model, archive = trained
    weights, config = save(model, tmp_path / "model"), tmp_path / "model.json"
    config.write_text(model.to_json())
    target = tmp_path / "model.onnx"
    run = CliRunner().invoke(app, ["convert", str(weights), str(target), "--config", str(config)])
    assert run.exit_code == 0, run.output
    assert_same_network(read(target), archive)
    run = CliRunner().invoke(app, ["verify", str(weights), "--config", str(config)])
    assert run.exit_code == 0, run.output
    run = CliRunner().invoke(app, ["info", str(weights)])
    assert run.exit_code == 2


def test_a_config_replaces_that_of_the_file(trained: tuple[Any, Path]) -> None:
    model, archive = trained
    renamed = json.loads(model.to_json())
    renamed["config"]["name"] = "renamed"
    assert read(archive, renamed).name == "renamed"


def test_configs_that_do_not_fit(trained: tuple[Any, Path], tmp_path: Path) -> None:
    model, _ = trained
    weights = weights_of_keras_3(model, tmp_path / "model")
    with pytest.raises(ModelFormatError, match="expected JSON"):
        read(weights, b"no json")
    with pytest.raises(ModelFormatError, match="'class_name'"):
        read(weights, {"layers": []})
    with pytest.raises(FileNotFoundError):
        read(weights, tmp_path / "none.json")
    with pytest.raises(ModelFormatError, match="kernel: expected shape"):
        read(weights, json.loads(members(GOLDEN / "states-keras-3.15.1.keras")["config.json"]))
    demo = tmp_path / "model.onnx"
    demo.write_bytes(b"\x08\x08")
    with pytest.raises(InputError, match="no config"):
        read(demo, model.to_json())


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64", "int32"])
def test_stored_weights_become_float32(kind: str) -> None:
    """Values that every type holds, so that nothing may change."""
    parts, _ = golden("chain-keras-3.15.1")

    def rewritten(store: Callable[[h5py.Group, str, Any], None]) -> NetworkSpec:
        buffer = io.BytesIO(parts["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            group = file["layers/dense/vars"]
            for name in ("0", "1"):
                shape = group[name].shape
                del group[name]
                store(group, name, np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 4)
        return read(pack({**parts, "model.weights.h5": buffer.getvalue()}))

    def narrow(group: h5py.Group, name: str, values: Any) -> None:
        if kind == "bfloat16":
            halves = (values.view(np.uint32) >> 16).astype(np.uint16)
            group.create_dataset(name, data=halves.view("V2"))
            group[name].attrs["dtype"] = "bfloat16"
        else:
            group[name] = values.astype(kind)

    plain = rewritten(lambda group, name, values: group.create_dataset(name, data=values))
    assert_same_spec(rewritten(narrow), plain)


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
def test_precision_policies_run_in_float32_with_a_note(policy: str, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    frames = keras.Input((4, 3))
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype=policy, name="low")])
    model = keras.Model(frames, keras.layers.TimeDistributed(inner, name="each")(frames))
    network = read(saved(model, tmp_path))
    assert network.notes == (f"layers each/low: precision policy {policy!r} is run in float32",)
    ours = Model(network).predict(np.ones((1, 4, 3), np.float32))
    theirs = np.asarray(model(np.ones((1, 4, 3), np.float32))).astype(np.float32)
    # What half precision loses is not ours: three products of numbers below 1.
    np.testing.assert_allclose(next(iter(ours.values())), theirs, atol=0.02)
