"""The containers of Keras models, ``.keras`` and ``.h5``: bytes to config, version and weights.

Nothing but JSON and numbers is read: no pickles, no code, no links to other files. Sizes that a
file declares are held against its real size before memory is asked for.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from convlstm_native.errors import ModelFormatError
from convlstm_native.readers.keras_graph import Graph, expect, parse_graph, shorten
from convlstm_native.readers.keras_hdf5 import attribute, child, open_h5, text
from convlstm_native.readers.keras_weights import archive_weights, is_archive, legacy_weights
from convlstm_native.spec import Array

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# Keras stores archive members as they are; a member that grows more than this was not written by
# Keras.
MAX_EXPANSION = 100


@dataclass(frozen=True)
class KerasFile:
    """A Keras model file in memory. ``weights`` go by layer name, in Keras' order.

    The names are those of the flat graph: ``inner/layer`` is a layer of a nested model.
    """

    where: str
    graph: Graph
    weights: dict[str, tuple[Array, ...]]
    version: str
    backend: str = ""

    @property
    def major(self) -> int:
        """Generation of Keras: 3, or 2 for Keras 1 and 2. Only Keras 1 named no version."""
        return 3 if self.version and int(self.version.split(".")[0]) >= 3 else 2


@dataclass(frozen=True)
class ModelConfig:
    """A model's config without its weights, as ``model.to_json()`` gives it out."""

    graph: Graph
    version: str
    backend: str


def parse_config(config: str | bytes | dict[str, Any], where: str) -> ModelConfig:
    """The config of a model that is told apart from its weights.

    Raises :class:`ModelFormatError` when it is none, :class:`UnsupportedModelError` when the model is
    neither functional nor sequential.
    """
    parsed = config if isinstance(config, dict) else _json(config, where)
    graph = parse_graph(parsed, where)
    version, backend = (text(parsed.get(key)) for key in ("keras_version", "backend"))
    return ModelConfig(graph, _version(version, where), backend)


def load_zip(source: Path | bytes, where: str, config: ModelConfig | None = None) -> KerasFile:
    """A ``.keras`` archive of Keras 3, or of Keras 2.12 to 2.15.

    ``config`` replaces the one in the archive. Raises :class:`ModelFormatError` when the file is damaged
    or not a Keras archive.
    """
    try:
        with zipfile.ZipFile(BytesIO(source) if isinstance(source, bytes) else source) as archive:
            members = _members(archive, where)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        # RuntimeError covers encrypted members and, as NotImplementedError, unknown compression.
        raise ModelFormatError(f"{where}: expected a sound .keras archive: {error}") from error
    metadata = _json(members[METADATA], f"{where}, {METADATA}")
    version = _version(expect(metadata, "keras_version", str, f"{where}, {METADATA}"), where)
    graph = config.graph if config else parse_graph(_json(members[CONFIG], where), where)
    with open_h5(members[WEIGHTS], f"{where}, {WEIGHTS}") as file:
        return KerasFile(where, graph, dict(archive_weights(file, graph)), version)


def load_h5(source: Path | bytes, where: str, config: ModelConfig | None = None) -> KerasFile:
    """A whole model that Keras 1, 2 or 3 wrote as HDF5, or weights alone together with ``config``.

    Raises :class:`ModelFormatError` when the file is damaged, or holds no model config and none is
    given.
    """
    with open_h5(source, where) as file:
        if config and is_archive(file):
            # Keras 3 writes no version into such a file, nor into its configs; Keras 2 does.
            weights = dict(archive_weights(file, config.graph))
            return KerasFile(where, config.graph, weights, config.version or "3", config.backend)
        group = child(file, "model_weights") if "model_weights" in file else file
        owner = file if "keras_version" in file.attrs else group
        version, backend = (text(attribute(owner, key)) for key in ("keras_version", "backend"))
        if config:
            graph = config.graph
            version, backend = config.version or version, config.backend or backend
        else:
            saved = text(attribute(file, "model_config"))
            if not saved:
                raise ModelFormatError(
                    f"{where}: expected a whole model (attribute 'model_config'), found an HDF5 file "
                    "without one; a file of weights alone does not tell the network: hand over "
                    "model.to_json() as its config"
                )
            child(file, "model_weights")
            graph = parse_graph(_json(saved, f"{where}, model_config"), where)
        weights = dict(legacy_weights(group, graph))
        return KerasFile(where, graph, weights, _version(version, where), backend)


def _members(archive: zipfile.ZipFile, where: str) -> dict[str, bytes]:
    """Config, metadata and weights; whatever else is in the archive is left alone.

    Tools on Windows write backslashes into names, and some put all into a folder.
    """
    size = sum(info.compress_size for info in archive.infolist())
    by_path = {info.filename.replace("\\", "/"): info for info in archive.infolist()}
    folders = {name[: -len(CONFIG)] for name in by_path if f"/{name}".endswith(f"/{CONFIG}")}
    folder = "" if CONFIG in by_path or len(folders) != 1 else folders.pop()
    members = {}
    for name in (CONFIG, METADATA, WEIGHTS):
        info = by_path.get(folder + name)
        if info is None:
            raise ModelFormatError(
                f"{where}: expected a Keras archive with {name!r}, "
                f"found a zip file with {shorten(archive.namelist())}"
            )
        # An honest archive of this size cannot hold more.
        if info.file_size > MAX_EXPANSION * size:
            raise ModelFormatError(
                f"{where}, {name}: expected at most {MAX_EXPANSION} times the archive's {size} bytes, "
                f"found {info.file_size} declared"
            )
        members[name] = archive.read(info)
    return members


def _json(data: bytes | str, where: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{where}: expected JSON: {error}") from error


def _version(text: str, where: str) -> str:
    if text and not re.match(r"\d{1,4}(\.|$)", text):
        raise ModelFormatError(
            f"{where}: expected a Keras version such as '2.15.0', found {shorten(text)}"
        )
    return text
