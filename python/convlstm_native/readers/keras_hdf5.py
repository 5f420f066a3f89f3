"""HDF5 read with care: damage becomes a typed error, sizes are checked, links out are refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convlstm_native.errors import ModelFormatError
from convlstm_native.readers.keras_graph import shorten
from convlstm_native.spec import Array

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


@contextmanager
def open_h5(source: Path | bytes, where: str) -> Iterator[h5py.File]:
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


def child(group: h5py.Group, path: str) -> Any:
    """A member of the same file. Links to elsewhere are refused: they could open any file."""
    for part in path.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            found = "a link to elsewhere" if link else "nothing"
            raise ModelFormatError(f"weights: expected {path!r} in the HDF5 file, found {found}")
        group = group[part]
    return group


def attribute(item: h5py.Group | h5py.Dataset, name: str) -> Any:
    """The attribute ``name``, None when there is none."""
    if name not in item.attrs:
        return None
    found = item.attrs.get_id(name)
    declared = math.prod(found.shape) * found.dtype.itemsize
    _check_size(f"attribute {name!r}", declared, item)
    return item.attrs[name]


def text(value: object) -> str:
    """An HDF5 attribute, bytes or text by the h5py that wrote it; empty for anything else."""
    if isinstance(value, bytes):
        return value.decode("utf8")
    return value if isinstance(value, str) else ""


def array(dataset: object) -> Array:
    """A dataset of numbers as float32."""
    if not isinstance(dataset, h5py.Dataset):
        raise ModelFormatError(f"weights: expected an HDF5 dataset, found {shorten(dataset)}")
    what = f"weights {dataset.name!r}"
    _check_size(what, dataset.nbytes, dataset)
    if dataset.external or dataset.is_virtual:
        raise ModelFormatError(f"{what}: expected numbers in the file, found them in another one")
    values = np.asarray(dataset[()])
    if _is_bfloat16(dataset):
        # HDF5 does not know it: the upper half of a float32.
        return (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if dataset.dtype.kind not in "fiu":
        raise ModelFormatError(f"{what}: expected numbers, found {dataset.dtype}")
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _is_bfloat16(dataset: h5py.Dataset) -> bool:
    if dataset.dtype.itemsize != 2:
        return False
    return dataset.dtype.kind == "V" or text(attribute(dataset, "dtype")) == "bfloat16"


def _check_size(what: str, declared: int, item: h5py.Group | h5py.Dataset) -> None:
    """Damage can declare any size: nothing in an uncompressed file is larger than the file."""
    size = item.file.id.get_filesize()
    if declared > size:
        raise ModelFormatError(
            f"{what}: expected at most the file's {size} bytes, found {declared} declared"
        )
