"""Readers: a model file of any kind to a :class:`~convlstm_native.spec.NetworkSpec`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlstm_native.errors import InputError, ModelFormatError
from convlstm_native.spec import NetworkSpec

if TYPE_CHECKING:
    import onnx

    from convlstm_native.readers.keras_files import ModelConfig

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK"


# What ``model.to_json()`` of Keras gives: its text, the path of a file that holds it, or it parsed.
Config = str | os.PathLike[str] | bytes | dict[str, Any]


def read(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto, config: Config | None = None
) -> NetworkSpec:
    """The network in ``source``: a path, the bytes of a file, or a parsed ONNX model.

    The kind of file is decided by its first bytes, never by its suffix: Keras ``.h5`` (a whole
    model, or weights alone together with ``config``), Keras ``.keras``, or else ONNX. Nothing in the
    file is ever executed.

    ``config`` is what ``model.to_json()`` gave: a path, JSON as text or bytes, or a dict; it replaces
    the one in the file.

    Raises ``FileNotFoundError`` (and ``PermissionError``) as the system does,
    :class:`~convlstm_native.errors.ModelFormatError` when the file is damaged or no model,
    :class:`~convlstm_native.errors.UnsupportedModelError` with every reason why a sound model
    cannot be run, and :class:`~convlstm_native.errors.InputError` for a config beside an ONNX file.

    Example::

        spec = read("genre.keras")
        spec = read("genre.weights.h5", config="genre.json")
    """
    if isinstance(source, bytes):
        return _read_file(source, source[: len(HDF5_MAGIC)], "<bytes>", config)
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        try:
            with path.open("rb") as file:
                head = file.read(len(HDF5_MAGIC))
        except IsADirectoryError as error:
            raise ModelFormatError(
                f"{str(path)!r}: expected a model file, found a directory"
            ) from error
        return _read_file(path, head, repr(str(path)), config)
    _no_config(config, "<ModelProto>")
    from convlstm_native.readers.onnx_files import read_onnx

    return read_onnx(source)


def _read_file(source: Path | bytes, head: bytes, where: str, config: Config | None) -> NetworkSpec:
    """``source`` by the kind that its first bytes tell; ``where`` is its name in messages."""
    if head == HDF5_MAGIC or head.startswith(ZIP_MAGIC):
        from convlstm_native.readers.keras_files import load_h5, load_zip
        from convlstm_native.readers.keras_network import to_spec

        load = load_h5 if head == HDF5_MAGIC else load_zip
        return to_spec(load(source, where, None if config is None else _read_config(config)))
    _no_config(config, where)
    from convlstm_native.readers.onnx_files import parse_onnx, read_onnx

    if isinstance(source, bytes):
        return read_onnx(parse_onnx(source, where))
    proto = parse_onnx(source.read_bytes(), where)
    _load_tensors_beside(proto, source.parent, where)
    return read_onnx(proto)


def _read_config(config: Config) -> ModelConfig:
    from convlstm_native.readers.keras_files import parse_config

    if isinstance(config, (bytes, dict)):
        return parse_config(config, "<config>")
    if isinstance(config, str) and config.lstrip().startswith("{"):
        return parse_config(config, "<config>")
    path = Path(config)
    return parse_config(path.read_bytes(), repr(str(path)))


def _no_config(config: Config | None, where: str) -> None:
    if config is not None:
        raise InputError(
            f"{where}: expected no config beside an ONNX model, which tells its network"
        )


def _load_tensors_beside(proto: onnx.ModelProto, folder: Path, where: str) -> None:
    """Fetches tensors kept in files of their own; onnx refuses places outside ``folder``."""
    import onnx
    from onnx.external_data_helper import load_external_data_for_model

    try:
        load_external_data_for_model(proto, str(folder))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelFormatError(
            f"{where}: expected its external tensors beside it: {error}"
        ) from error
