"""Damaged Keras files, and files that are none: a typed error or a sound network."""

from __future__ import annotations

import copy
import json
import math
import random
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from convlstm_native.errors import ModelFormatError
from convlstm_native.readers import read
from damage import outcome
from keras_files import GOLDEN, ZEROS, arguments, edited, h5_copy, members, pack

# Keras 3.15 itself, when it saves or copies a variable with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


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
    keras = pytest.importorskip("keras")
    frames = keras.Input((4, 5, 5, 1))
    model = keras.Model(frames, keras.layers.ConvLSTM2D(1, 2, **ZEROS)(frames))
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


@pytest.mark.parametrize("name", ["chain-keras-3.15.1.keras", "genre-keras-2.13.1.h5"])
def test_truncation_at_any_offset_is_a_format_error(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    for stop in [*range(8, 200, 7), *range(200, len(data) - 1, len(data) // 60), len(data) - 1]:
        assert outcome(read, data[:stop]) == "ModelFormatError", stop


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
    outcomes = [outcome(read, damaged(data, chance)) for _ in range(50)]
    assert outcomes.count("ModelFormatError") > 12


@pytest.mark.parametrize("net", ["states", "chain"])
def test_damaged_members_are_an_error_or_a_sound_network(net: str) -> None:
    # The archive's checksums would catch all damage, so it is done before packing.
    parts = members(GOLDEN / f"{net}-keras-3.15.1.keras")
    chance = random.Random(2)
    outcomes = [
        outcome(read, pack({**parts, name: damaged(data, chance)}))
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
        seen.add(outcome(read, pack({**parts, "config.json": json.dumps(changed).encode()})))
    assert seen == {"", "ModelFormatError", "UnsupportedModelError"}


def places(value: Any) -> Any:
    """Every (container, key) within nested JSON."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from places(value[key])
