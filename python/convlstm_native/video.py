"""Pictures of a video, decoded one by one, with their times; sound to the last one or an error.

The only file that knows PyAV's containers.
"""

from __future__ import annotations

import contextlib
import math
import re
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convlstm_native.errors import InputError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# A decoder thread costs a frame of memory each; two keep ahead of any network worth running.
DECODER_THREADS = 2
# Seconds that a picture may come after a tick and still count as there: containers round time
# stamps, Matroska to 1 ms, both the picture's and the first one's.
LATE = 0.0015


@contextlib.contextmanager
def input_errors() -> Iterator[None]:
    """Turn errors of the operating system, NumPy and PyAV into InputError."""
    try:
        yield
    except InputError:
        raise
    except _foreign_errors() as error:
        raise InputError(getattr(error, "strerror", None) or str(error)) from error


def _foreign_errors() -> tuple[type[Exception], ...]:
    av = sys.modules.get("av")
    return (OSError, ValueError, av.error.FFmpegError) if av else (OSError, ValueError)


def pyav() -> Any:
    """PyAV, imported on first use; InputError says how to get it."""
    try:
        import av
    except ImportError as error:
        raise InputError(
            "expected PyAV, to read videos and to resize: pip install 'convlstm-native[video]'"
        ) from error
    return av


def read_video(path: Path, fps: float | None) -> Iterator[tuple[float, VideoFrame]]:
    """Yield the pictures of a video with their times in seconds from the first one.

    With ``fps`` the video is sampled: at each tick the nearest earlier picture. Raises InputError
    where the file is no video, is damaged or cut short, if need be after its last sound picture.
    """
    with _open_video(path) as (container, stream):
        yield from _sampled(_pictures(container, stream), fps)


def read_picture(path: Path) -> VideoFrame:
    """The first picture of a file. Raises InputError as ``read_video`` does."""
    with _open_video(path) as (container, stream):
        return next(_pictures(container, stream))[2]


def expected_pictures(path: Path, fps: float | None) -> int | None:
    """How many pictures ``read_video`` should yield by the container; None where it is silent."""
    with _open_video(path) as (_, stream):
        end = _stated_end(stream)
        if fps is not None:
            return None if end is None else math.ceil((end - LATE) * fps)
        return stream.frames or None


@contextlib.contextmanager
def _open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    # An absolute path, so that no name can be taken for a protocol such as "http:".
    with input_errors():
        container = pyav().open(str(path.absolute()))
    with container:
        if not container.streams.video:
            raise InputError("expected a video, found a file without pictures")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = DECODER_THREADS
        stream.thread_type = "AUTO"
        yield container, stream


def _stated_end(stream: VideoStream) -> float | None:
    """When the last picture should end by the container, in seconds from the first one."""
    if stream.duration is None or stream.time_base is None:
        return _seconds(stream.metadata.get("DURATION", ""))
    return float(stream.duration * stream.time_base)


def _seconds(text: str) -> float | None:
    """Matroska's length of a stream, ``HH:MM:SS.fraction``."""
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", text)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None


# A picture, when it comes, and when the next one should, in seconds from the first picture.
Shown = tuple[float, float, "VideoFrame"]


def _pictures(container: InputContainer, stream: VideoStream) -> Iterator[Shown]:
    """Every picture; raises InputError at a damaged one or where the file is cut short."""
    step = 1 / (stream.average_rate or stream.base_rate or Fraction(25))
    count, start, end = 0, 0.0, 0.0
    for picture in _decoded(container, stream):
        stamp = picture.time if picture.time is not None else float(count * step)
        if count == 0:
            start = stamp
        length = picture.duration * (picture.time_base or 0) or step
        end = stamp - start + float(length)
        yield stamp - start, end, picture
        count += 1
    if count == 0:
        raise InputError("expected a video, found no picture in it")
    stated = _stated_end(stream)
    # Time and count must both say so: with an edit list a sound file shows fewer frames than it
    # stores. Without a count, Matroska's lengths are only trusted to the frame.
    slack = (0.5 if stream.frames else 1.5) * step
    if stated is not None and count < (stream.frames or count + 1) and end + slack < stated:
        frames = f"{stream.frames} frames" if stream.frames else "pictures"
        raise InputError(
            f"the file is cut short: expected {frames} up to {stated:.2f} s, "
            f"found {count} up to {end:.2f} s"
        )


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    count = 0
    packets = container.demux(stream)
    while True:
        with input_errors():
            packet = next(packets, None)
            if packet is None:
                return
            pictures = packet.decode()
        if packet.is_corrupt:
            raise InputError(f"the file is damaged or cut short after frame {count}")
        for picture in pictures:
            if picture.is_corrupt:
                raise InputError(f"frame {count} of the video is damaged")
            yield picture
            count += 1


def _sampled(pictures: Iterator[Shown], fps: float | None) -> Iterator[tuple[float, VideoFrame]]:
    """Every picture, or with ``fps`` at each of its ticks the nearest earlier one."""
    if fps is None:
        for time, _, picture in pictures:
            yield time, picture
        return
    tick = 0
    held: Shown | None = None
    for shown in pictures:
        while held is not None and tick / fps + LATE < shown[0]:
            yield held[0], held[2]
            tick += 1
        held = shown
    while held is not None and (tick == 0 or tick / fps + LATE < held[1]):
        yield held[0], held[2]
        tick += 1
