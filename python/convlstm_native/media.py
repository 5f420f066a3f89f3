"""Frames of a network from files: ``.npy`` arrays, videos, folders of pictures.

Everything is read frame by frame: memory does not grow with the length of a clip. Videos and
pictures need PyAV (the extra ``video``), arrays do not, as long as they have the size of the
network.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convlstm_native.errors import InputError, UnsupportedModelError
from convlstm_native.spec import Array, NetworkSpec, Preprocessing
from convlstm_native.tensors import chunks
from convlstm_native.video import (
    expected_pictures,
    input_errors,
    pyav,
    read_picture,
    read_video,
)

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

NPY_MAGIC = b"\x93NUMPY"
PIXEL_FORMATS = {"rgb": "rgb24", "bgr": "bgr24", "gray": "gray"}


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame as the network takes it, float32, and its time in seconds from the first one.

    ``time`` is None where nothing states it: pictures and arrays without a frame rate in the model.
    """

    pixels: Array
    time: float | None


@dataclass(frozen=True)
class FrameFormat:
    """What a network wants of its frames: ``shape``, and ``rules`` where the model has metadata.

    Without metadata frames must have the size of the network and are not scaled; a video then comes
    in as RGB or gray by the number of channels, 0 to 255.
    """

    shape: tuple[int, ...]
    rules: Preprocessing | None = None

    @classmethod
    def of(cls, spec: NetworkSpec) -> FrameFormat:
        """The format of the one sequence that ``spec`` takes.

        Raises :class:`UnsupportedModelError` where the network takes anything else beside it, or
        where its metadata contradict its shape.
        """
        if len(spec.inputs) != 1 or not spec.inputs[0].sequence:
            found = ", ".join(repr(i.name) for i in spec.inputs)
            raise UnsupportedModelError(
                f"network {spec.name!r}: expected one input of frames, found {found}"
            )
        form = cls(spec.inputs[0].shape, spec.inputs[0].preprocessing)
        if form.rules is not None:
            form._check_rules(form.rules)
        return form

    def _check_rules(self, rules: Preprocessing) -> None:
        channels = 1 if rules.color == "gray" else 3
        first = rules.data_format == "channels_first"
        shape = (channels, *rules.size) if first else (*rules.size, channels)
        if shape != self.shape:
            raise UnsupportedModelError(
                f"preprocessing metadata: expected frames of shape {self.shape}, found "
                f"{rules.size} {rules.color} {rules.data_format}, which is {shape}"
            )
        if len(rules.mean) not in (1, channels):
            raise UnsupportedModelError(
                f"preprocessing metadata: expected 1 or {channels} mean values, found {rules.mean}"
            )

    @property
    def fps(self) -> float | None:
        """Frame rate that the network was trained on, None for any."""
        return self.rules.fps if self.rules else None

    @property
    def channels_first(self) -> bool:
        """Whether a frame is (channels, rows, cols) and not (rows, cols, channels)."""
        if self.rules is not None:
            return self.rules.data_format == "channels_first"
        return self.shape[0] in (1, 3)

    def from_array(self, frame: NDArray[Any]) -> Array:
        """A frame of an array: uint8 are pixels, resized and scaled; floats are taken as is."""
        if frame.dtype != np.uint8:
            if not np.isfinite(frame).all():
                place = tuple(int(i) for i in np.argwhere(~np.isfinite(frame))[0])
                raise InputError(f"expected finite numbers, found {frame[place]} at {place}")
            return frame.astype(np.float32)
        if frame.shape != self.shape:
            image = np.moveaxis(frame, 0, -1) if self.channels_first else frame
            picture = pyav().VideoFrame.from_ndarray(
                np.ascontiguousarray(image if image.shape[-1] == 3 else image[..., 0]),
                format=self._pixel_format(),
            )
            return self.from_picture(picture)
        return self._scaled(frame)

    def from_picture(self, picture: VideoFrame) -> Array:
        """A frame of a video or a picture: upright, resized and scaled as the metadata say."""
        pixel_format = self._pixel_format()
        rows, cols = self.shape[1:] if self.channels_first else self.shape[:2]
        quarter_turns = picture.rotation // 90
        width, height = (rows, cols) if quarter_turns % 2 else (cols, rows)
        if self.rules is None and (picture.width, picture.height) != (width, height):
            raise InputError(
                f"expected pictures of {width}x{height}, found {picture.width}x{picture.height}, "
                "and the model has no preprocessing metadata that would allow to resize"
            )
        resized = picture.reformat(width, height, pixel_format, interpolation="BILINEAR")
        image = resized.to_ndarray().reshape(height, width, -1)
        image = np.rot90(image, quarter_turns)
        return self._scaled(np.moveaxis(image, -1, 0) if self.channels_first else image)

    def _pixel_format(self) -> str:
        if self.rules is not None:
            return PIXEL_FORMATS[self.rules.color]
        channels = 0
        if len(self.shape) == 3:
            channels = self.shape[0] if self.channels_first else self.shape[-1]
        if channels not in (1, 3):
            raise InputError(
                f"expected a network for pictures of 1 or 3 channels, found {self.shape}"
            )
        return PIXEL_FORMATS["rgb" if channels == 3 else "gray"]

    def _scaled(self, pixels: NDArray[Any]) -> Array:
        """``(pixel - mean) * scale`` in float32, the channels where the network wants them."""
        scaled = np.array(pixels, np.float32, order="C")
        if self.rules is not None:
            mean = np.array(self.rules.mean, np.float32)
            scaled -= mean[:, None, None] if self.channels_first else mean
            scaled *= np.float32(self.rules.scale)
        return scaled


def read_frames(path: str | Path, form: FrameFormat) -> Generator[Frame, None, None]:
    """Yield the frames of an ``.npy`` file, a folder of pictures, or a video (any other file).

    Arrays are ``(T, *form.shape)`` with the channels in the network's order. With a frame rate in
    the metadata a video is sampled at that rate: at each tick the nearest earlier picture. Pictures
    are stretched to the network's size.

    Raises :class:`InputError` when the file is missing, empty, damaged, cut short or does not fit,
    if need be after the first frames: a container states its length but holds less.

    Example::

        for frame in read_frames("clip.mp4", FrameFormat.of(model.spec)):
            scores = stream.push(frame.pixels)
    """
    path = Path(path)
    _check_file(path)
    if path.is_dir():
        return _folder_frames(path, form)
    if path.suffix == ".npy":
        return _array_frames(path, form)
    return _video_frames(path, form)


def expected_frames(path: str | Path, form: FrameFormat) -> int | None:
    """How many frames ``read_frames`` should yield by the file's header; None where it is silent.

    Raises :class:`InputError` like ``read_frames``.
    """
    path = Path(path)
    _check_file(path)
    if path.is_dir():
        return len(_picture_paths(path))
    if path.suffix == ".npy":
        return len(_open_array(path, form))
    return expected_pictures(path, form.fps)


def _check_file(path: Path) -> None:
    with input_errors():
        if not path.exists():
            raise InputError("no such file")
        if path.is_file() and path.stat().st_size == 0:
            raise InputError("the file is empty")
        if not path.is_dir() and not path.is_file():
            raise InputError("expected a file or a folder")


# --- Arrays


def _open_array(path: Path, form: FrameFormat) -> NDArray[Any]:
    """The array, memory-mapped, after every check that needs no look at the numbers."""
    with input_errors():
        with path.open("rb") as file:
            start = file.read(len(NPY_MAGIC))
        if start != NPY_MAGIC:
            raise InputError(
                f"not an .npy file: expected it to start with {NPY_MAGIC!r}, found {start!r}"
            )
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    wanted = f"({', '.join(['frames', *map(str, form.shape)])})"
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise InputError(f"expected uint8 or floating-point numbers, found {array.dtype}")
    if array.ndim != len(form.shape) + 1:
        raise InputError(f"expected an array {wanted}, found rank {array.ndim}: {array.shape}")
    if len(array) == 0:
        raise InputError(f"expected at least one frame {wanted}, found {array.shape}")
    found = array.shape[1:]
    if found != form.shape:
        channel_axis = 0 if form.channels_first else -1
        if form.rules is None or found[channel_axis] != form.shape[channel_axis] or 0 in found:
            raise InputError(f"expected an array {wanted}, found {array.shape}")
        if array.dtype != np.uint8:
            raise InputError(
                f"expected an array {wanted}, found {array.shape}: "
                f"only uint8 pixels can be resized, these are {array.dtype}"
            )
    return array


def _array_frames(path: Path, form: FrameFormat) -> Generator[Frame, None, None]:
    runs = (run for (run,) in chunks([_open_array(path, form)]))
    for index, frame in enumerate(itertools.chain.from_iterable(runs)):
        with _at_frame(index):
            pixels = form.from_array(frame)
        yield Frame(pixels, index / form.fps if form.fps else None)


@contextlib.contextmanager
def _at_frame(index: int) -> Iterator[None]:
    with input_errors():
        try:
            yield
        except InputError as error:
            raise InputError(f"frame {index}: {error}") from error


# --- Videos and pictures


def _video_frames(path: Path, form: FrameFormat) -> Generator[Frame, None, None]:
    for index, (time, picture) in enumerate(read_video(path, form.fps)):
        with _at_frame(index):
            pixels = form.from_picture(picture)
        yield Frame(pixels, time)


def _picture_paths(folder: Path) -> list[Path]:
    """Files of a folder in the order a person counts: ``frame2`` before ``frame10``."""

    def key(path: Path) -> list[tuple[int, str]]:
        return [(int(p) if p.isdigit() else -1, p) for p in re.split(r"([0-9]+)", path.name)]

    with input_errors():
        found = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    if not found:
        raise InputError("expected pictures in the folder, found none")
    return sorted(found, key=key)


def _folder_frames(folder: Path, form: FrameFormat) -> Generator[Frame, None, None]:
    for index, path in enumerate(_picture_paths(folder)):
        with _at_frame(index), _named(path):
            pixels = form.from_picture(read_picture(path))
        yield Frame(pixels, index / form.fps if form.fps else None)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
