"""Keras files to read: the goldens, taken apart and changed, and models saved on the spot."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from convlstm_native.spec import NetworkSpec

GOLDEN = Path(__file__).parent / "golden"
# float32 against float64.
TOLERANCE = 1e-5
# Not the default initializers, which are slow to compile: :func:`saved` replaces what they draw.
ZEROS = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}


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


def layer(network: NetworkSpec, name: str) -> Any:
    (found,) = [node.layer for node in network.nodes if node.name == name]
    return found


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
