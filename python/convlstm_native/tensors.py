"""Checks and conversions of what callers hand in as frames, states and singles."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convlstm_native.errors import InputError
from convlstm_native.spec import Input, NetworkSpec

Tensor = NDArray[np.generic]

# What a user may pass as frames: arrays, nested sequences, or any iterable of frames.
Frames = ArrayLike | Iterable[Any] | Mapping[str, Any]

_AS_THEY_ARE = (np.dtype(np.float32), np.dtype(np.uint8))  # the engine reads these itself
_CHUNK_BYTES = 1 << 24
CHUNK_FRAMES = 64


def is_tensor(value: object) -> bool:
    """True for arrays of any library, False for lists, generators and other iterables of frames."""
    return isinstance(value, (np.ndarray, memoryview)) or hasattr(value, "__array__")


def as_tensor(value: Any, where: str) -> Tensor:
    """An array that the engine can read after :func:`engine_tensor`, not copied where it is one."""
    try:
        array = np.asarray(value) if not isinstance(value, np.ndarray) else value
    except Exception as error:  # whatever the other library's conversion raises
        found = type(value).__name__
        raise InputError(f"{where}: expected an array, found {found}: {error}") from error
    known = array.dtype in _AS_THEY_ARE or (array.dtype.kind == "f" and array.dtype.itemsize <= 8)
    if not known:
        raise InputError(
            f"{where}: expected float32, float16, float64 or uint8, found {array.dtype}"
        )
    return array


def engine_tensor(array: Tensor) -> Tensor:
    """The array in a type the engine reads: float32 and uint8 as they are, others as float32.

    A float64 beyond the range of float32 becomes infinite, which the engine reports.
    """
    if array.dtype in _AS_THEY_ARE:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def check_shape(array: Tensor, expected: tuple[int, ...], where: str) -> None:
    """Raises :class:`InputError` unless ``array`` has the ``expected`` shape."""
    if array.shape != expected:
        raise InputError(f"{where}: expected shape {expected}, found {array.shape}")


def check_finite(array: Tensor, where: str) -> None:
    """Raises :class:`InputError` when a number in ``array`` is infinite or NaN."""
    if not np.isfinite(array).all():
        raise InputError(f"{where}: expected finite numbers, found NaN or infinity")


def is_chunk(arrays: Sequence[Tensor]) -> bool:
    """True for ``arrays``, each (T, *shape), that the engine may get at once: 16 MB, 64 frames at most.

    Small runs keep a conversion from copying everything, let Ctrl-C through, and let go of the
    pages of a memory-mapped file once they are read.
    """
    size = sum([array.nbytes for array in arrays])
    return size <= _CHUNK_BYTES and len(arrays[0]) <= CHUNK_FRAMES


def chunks(arrays: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """``arrays``, each (T, *shape), in runs for the engine: of one frame, or such as :func:`is_chunk`."""
    frame_bytes = sum(array.nbytes for array in arrays) // len(arrays[0])
    count = min(max(_CHUNK_BYTES // max(frame_bytes, 1), 1), CHUNK_FRAMES)
    for start in range(0, len(arrays[0]), count):
        yield [engine_tensor(array[start : start + count]) for array in arrays]
        for array in arrays:
            _release_pages(array)


def _release_pages(array: Tensor) -> None:
    # Only for a read-only map: its pages can be dropped because the file still has them.
    if not isinstance(array, np.memmap) or array.mode != "r":
        return
    mapped = getattr(array, "_mmap", None)
    if isinstance(mapped, mmap.mmap):
        advise = getattr(mmap, "MADV_DONTNEED", None)
        if advise is not None:
            mapped.madvise(advise)


def named_inputs(spec: NetworkSpec, given: Any) -> dict[str, Any]:
    """``given`` by input name: a mapping as it is, anything else as the only input.

    Raises :class:`InputError` for missing and unknown names.
    """
    if isinstance(given, np.ndarray) and len(spec.inputs) == 1:
        return {spec.inputs[0].name: given}
    names = [i.name for i in spec.inputs]
    if not isinstance(given, Mapping):
        if len(names) != 1:
            raise InputError(f"inputs: expected a dict with {names}, found {type(given).__name__}")
        return {names[0]: given}
    missing = [name for name in names if name not in given]
    unknown = [name for name in given if name not in names]
    if missing or unknown:
        raise InputError(f"inputs: expected {names}, found {list(given)}")
    return {name: given[name] for name in names}


def one_frame(spec: NetworkSpec, given: Any) -> list[Tensor]:
    """One frame for each sequence input, as (1, *shape) arrays the engine reads."""
    sequences = [i for i in spec.inputs if i.sequence]
    frames = given if isinstance(given, Mapping) else {sequences[0].name: given}
    if set(frames) != {i.name for i in sequences}:
        names = [i.name for i in sequences]
        raise InputError(f"frame: expected a tensor for each of {names}, found {list(frames)}")
    tensors = []
    for i in sequences:
        array = as_tensor(frames[i.name], f"input {i.name!r}")
        check_shape(array, i.shape, f"input {i.name!r}, one frame")
        tensors.append(engine_tensor(array)[np.newaxis])
    return tensors


def single(i: Input, value: Any) -> Tensor:
    """A copy of the tensor for an input that is not a sequence, checked."""
    array = as_tensor(value, f"input {i.name!r}")
    check_shape(array, i.shape, f"input {i.name!r}")
    copy = np.array(engine_tensor(array))
    check_finite(copy, f"input {i.name!r}")
    return copy
