"""The Keras reader on files that real Keras versions wrote, and what a recorded version decides."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import reference
from convlstm_native import Model, spec
from convlstm_native.readers import read
from convlstm_native.spec import Function
from keras_files import GOLDEN, TOLERANCE, h5_copy, layer, members
from same_spec import assert_same_spec

VERSIONS = ("2.13.1", "2.15.0", "3.3.3", "3.15.1")
FILES = sorted([*GOLDEN.glob("*.keras"), *GOLDEN.glob("*.h5")])


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
    for version in ("2.13.1", "2.15.0", "3.15.1"):
        assert {f"nested-keras-{version}{suffix}" for suffix in (".keras", ".h5")} <= names


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


@pytest.mark.parametrize(
    "name",
    ["genre-keras-2.13.1", "genre-keras-3.15.1"]
    + [f"nested-keras-{version}" for version in ("2.13.1", "2.15.0", "3.15.1")],
)
def test_h5_and_archive_hold_the_same_network(name: str) -> None:
    archive, h5 = (GOLDEN / f"{name}{suffix}" for suffix in (".keras", ".h5"))
    assert_same_spec(read(archive), read(h5))


def test_bytes_paths_and_suffixes_make_no_difference(tmp_path: Path) -> None:
    file = GOLDEN / "chain-keras-2.15.0.keras"
    misnamed = tmp_path / "model.onnx"
    misnamed.write_bytes(file.read_bytes())
    for source in (str(file), misnamed, file.read_bytes()):
        assert_same_spec(read(source), read(file))


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
        ("leaky", ("cell#value",)),  # "cell" is what an output is called
    ]
    assert layer(network, "leaky") == spec.Activation(
        Function("relu", (pytest.approx(0.3), math.inf, 0.0))  # type: ignore[arg-type]
    )
    assert layer(network, "leaky#1").function == layer(network, "leaky").function
    assert [output.name for output in network.outputs] == ["mix", "leaky", "cell"]


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
