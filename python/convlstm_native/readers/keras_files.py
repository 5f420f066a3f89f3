"""The containers of Keras models, ``.keras`` and ``.h5``: bytes to config, version and weights.

Nothing but JSON and numbers is read: no pickles, no code, no links to other files. Sizes that a
file declares are held against its real size before memory is asked for.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convlstm_native.errors import ModelFormatError
from convlstm_native.readers.keras_graph import Graph, LayerConfig, expect, parse_graph, shorten
from convlstm_native.spec import Array

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# Keras stores archive members as they are; a member that grows more than this was not written by
# Keras.
MAX_EXPANSION = 100
# What h5py raises on damaged files, by experience: its own checks, and those of NumPy on what it
# read.
DAMAGE = (
    OSError,
    KeyError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    MemoryError,
    OverflowError,
)


@dataclass(frozen=True)
class KerasFile:
    """A Keras model file in memory. ``weights`` go by layer name, in Keras' order."""

    where: str
    graph: Graph
    weights: dict[str, tuple[Array, ...]]
    version: str
    backend: str = ""

    @property
    def major(self) -> int:
        """Generation of Keras: 3, or 2 for Keras 1 and 2. Only Keras 1 named no version."""
        return 3 if self.version and int(self.version.split(".")[0]) >= 3 else 2


def load_zip(source: Path | bytes, where: str) -> KerasFile:
    """A ``.keras`` archive of Keras 3, or of Keras 2.12 to 2.15.

    Raises :class:`ModelFormatError` when it is damaged or not a Keras archive.
    """
    try:
        with zipfile.ZipFile(BytesIO(source) if isinstance(source, bytes) else source) as archive:
            size = sum(info.compress_size for info in archive.infolist())
            members = {
                name: _member(archive, name, size, where) for name in (CONFIG, METADATA, WEIGHTS)
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        # RuntimeError covers encrypted members and, as NotImplementedError, unknown compression.
        raise ModelFormatError(f"{where}: expected a sound .keras archive: {error}") from error
    metadata = _json(members[METADATA], f"{where}, {METADATA}")
    version = _version(expect(metadata, "keras_version", str, f"{where}, {METADATA}"), where)
    graph = parse_graph(_json(members[CONFIG], f"{where}, {CONFIG}"), where)
    with _open_h5(members[WEIGHTS], f"{where}, {WEIGHTS}") as file:
        return KerasFile(where, graph, dict(_archive_weights(file, graph)), version)


def load_h5(source: Path | bytes, where: str) -> KerasFile:
    """A whole model that Keras 1, 2 or 3 wrote as HDF5.

    Raises :class:`ModelFormatError` when it is damaged or holds no model config (weights alone).
    """
    with _open_h5(source, where) as file:
        config = _text(_attribute(file, "model_config"))
        if not config:
            raise ModelFormatError(
                f"{where}: expected a whole model (attribute 'model_config'), found an HDF5 file "
                "without one; a file of weights alone does not tell the network"
            )
        group = _child(file, "model_weights")
        owner = file if "keras_version" in file.attrs else group
        version = _version(_text(_attribute(owner, "keras_version")), where)
        backend = _text(_attribute(owner, "backend"))
        graph = parse_graph(_json(config, f"{where}, model_config"), where)
        return KerasFile(where, graph, dict(_legacy_weights(group, graph)), version, backend)


def _member(archive: zipfile.ZipFile, name: str, size: int, where: str) -> bytes:
    """A member's bytes, at most as many as an honest archive of ``size`` bytes can hold."""
    if name not in archive.namelist():
        found = shorten(archive.namelist())
        raise ModelFormatError(
            f"{where}: expected a Keras archive with {name!r}, found a zip file with {found}"
        )
    declared = archive.getinfo(name).file_size
    if declared > MAX_EXPANSION * size:
        raise ModelFormatError(
            f"{where}, {name}: expected at most {MAX_EXPANSION} times the archive's {size} bytes, "
            f"found {declared} declared"
        )
    return archive.read(name)


def _json(data: bytes | str, where: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{where}: expected JSON: {error}") from error


def _text(value: object) -> str:
    """An HDF5 attribute, bytes or text by the h5py that wrote it; empty for anything else."""
    if isinstance(value, bytes):
        return value.decode("utf8")
    return value if isinstance(value, str) else ""


def _version(text: str, where: str) -> str:
    if text and not re.match(r"\d{1,4}(\.|$)", text):
        raise ModelFormatError(
            f"{where}: expected a Keras version such as '2.15.0', found {shorten(text)}"
        )
    return text


@contextmanager
def _open_h5(source: Path | bytes, where: str) -> Iterator[h5py.File]:
    """An HDF5 file open for reading; what h5py raises inside becomes :class:`ModelFormatError`."""
    try:
        if isinstance(source, bytes):
            # An image in memory, not a Python file object: HDF5 then knows where the file ends.
            image = h5py.h5f.open_file_image(source)
            if not image.valid:
                raise ModelFormatError(f"{where}: expected a sound HDF5 file, found one cut short")
        else:
            image = source
        with h5py.File(image, "r") as file:
            yield file
    except DAMAGE as error:
        raise ModelFormatError(f"{where}: expected a sound HDF5 file: {error}") from error


def _child(group: h5py.Group, path: str) -> Any:
    """A member of the same file. Links to elsewhere are refused: they could open any file."""
    for part in path.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            found = "a link to elsewhere" if link else "nothing"
            raise ModelFormatError(f"weights: expected {path!r} in the HDF5 file, found {found}")
        group = group[part]
    return group


def _attribute(group: h5py.Group, name: str) -> Any:
    """The attribute ``name`` of a group, None when there is none."""
    if name not in group.attrs:
        return None
    attribute = group.attrs.get_id(name)
    declared = math.prod(attribute.shape) * attribute.dtype.itemsize
    _check_size(f"attribute {name!r}", declared, group)
    return group.attrs[name]


def _check_size(what: str, declared: int, item: h5py.Group | h5py.Dataset) -> None:
    """Damage can declare any size: nothing in an uncompressed file is larger than the file."""
    size = item.file.id.get_filesize()
    if declared > size:
        raise ModelFormatError(
            f"{what}: expected at most the file's {size} bytes, found {declared} declared"
        )


def _array(dataset: object) -> Array:
    """A dataset of numbers as float32."""
    if not isinstance(dataset, h5py.Dataset):
        raise ModelFormatError(f"weights: expected an HDF5 dataset, found {shorten(dataset)}")
    what = f"weights {dataset.name!r}"
    _check_size(what, dataset.nbytes, dataset)
    if dataset.external or dataset.is_virtual:
        raise ModelFormatError(f"{what}: expected numbers in the file, found them in another one")
    values = np.asarray(dataset[()])
    if dataset.dtype.kind == "V" and dataset.dtype.itemsize == 2:
        # bfloat16, which HDF5 does not know: the upper half of a float32.
        return (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if dataset.dtype.kind not in "fiu":
        raise ModelFormatError(f"{what}: expected numbers, found {dataset.dtype}")
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


# Sub-objects that hold a layer's weights in a .keras archive.
INNER = {"ConvLSTM2D": "cell", "SpectralNormalization": "layer", "TimeDistributed": "layer"}


def _archive_weights(file: h5py.File, graph: Graph) -> Iterator[tuple[str, tuple[Array, ...]]]:
    """Weights of a .keras archive: ``layers/<class>_<count>/.../vars/0, 1, ...``.

    A layer goes by its class and its place among those of the class, not by its name. Keras 2.12
    and 2.13 call the outermost group ``_layer_checkpoint_dependencies`` and count each layer that
    has weights twice.
    """
    counted_twice = "_layer_checkpoint_dependencies" in file
    root = "_layer_checkpoint_dependencies" if counted_twice else "layers"
    count: Counter[str] = Counter()
    for layer in graph.layers:
        key = _snake_case(layer.class_name)
        group = f"{root}/{key}_{count[key]}" if count[key] else f"{root}/{key}"
        if layer.class_name in INNER:
            group += "/" + INNER[layer.class_name]
        variables = _child(file, f"{group}/vars") if f"{group}/vars" in file else ()
        count[key] += 2 if counted_twice and len(variables) else 1
        names = map(str, range(len(variables)))
        yield layer.name, tuple(_array(_child(variables, name)) for name in names)


def _snake_case(name: str) -> str:
    """Keras' own rule: ``ConvLSTM2D`` is ``conv_lstm2d``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _legacy_weights(group: h5py.Group, graph: Graph) -> Iterator[tuple[str, tuple[Array, ...]]]:
    """Weights of an HDF5 model: a group a layer, with their order in ``weight_names``."""
    for layer in graph.layers:
        if layer.name in group:
            owner = _child(group, layer.name)
            names = _weight_names(owner, layer)
            yield layer.name, tuple(_array(_child(owner, name)) for name in names)


def _weight_names(owner: h5py.Group, layer: LayerConfig) -> list[str]:
    """The attribute ``weight_names``; a long one is cut into ``weight_names0``, ``...1``, ..."""
    parts = [_attribute(owner, "weight_names")]
    if parts[0] is None:
        count = len(owner.attrs)
        parts = [_attribute(owner, f"weight_names{i}") for i in range(count)]
    names = [_text(name) for part in parts if part is not None for name in part]
    if not all(names):
        raise ModelFormatError(f"weights of {layer.name!r}: expected names, found {shorten(names)}")
    return names
