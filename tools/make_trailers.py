"""Render synthetic trailers with a genre label for each frame.

    python tools/make_trailers.py trailers --count 10 --frames 96 --size 48

writes trailers/trailer_{id}.npy, uint8 (frames, 3, rows, cols) in RGB, and trailers/labels_{id}.npy,
float32 (frames, 6). The id is the seed, so that a set can be extended later and stays the same.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
from rich.progress import track

from convlstm_native.trailers import FPS, iter_frames, plan_scenes, scene_labels


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when all went well, and goes away if not."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_trailer(
    folder: Path,
    seed: int,
    frames: int,
    rows: int,
    cols: int,
    fps: float = FPS,
    mp4: bool = False,
) -> None:
    """Write the trailer of ``seed`` frame by frame; its size in memory does not depend on its length."""
    with replacing(folder / f"labels_{seed}.npy") as path:
        np.save(path, scene_labels(plan_scenes(seed, frames, fps)))
    with replacing(folder / f"trailer_{seed}.npy") as path:
        shape = (frames, 3, rows, cols)
        pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        for index, frame in enumerate(iter_frames(seed, frames, rows, cols, fps)):
            pixels[index] = frame
        pixels.flush()
    if mp4:
        write_video(folder / f"trailer_{seed}.mp4", pixels, fps)


def write_video(path: Path, pixels: np.ndarray, fps: float) -> None:
    """Encode uint8 frames (T, 3, rows, cols) as MPEG-4; rows and cols must be even."""
    import av

    rows, cols = pixels.shape[2:]
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = cols, rows, "yuv420p"
        stream.bit_rate = 50 * rows * cols  # generous: the pictures are to stay what they are
        for frame in pixels:
            picture = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(frame.transpose(1, 2, 0)), format="rgb24"
            )
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def make_trailers(
    folder: Path,
    seeds: range,
    frames: int,
    rows: int,
    cols: int,
    fps: float = FPS,
    mp4: bool = False,
) -> None:
    """Write one trailer for each of ``seeds`` into ``folder``, which is made when it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in track(seeds, description="Rendering trailers", transient=True):
        write_trailer(folder, seed, frames, rows, cols, fps, mp4)


def parse_size(text: str) -> tuple[int, int]:
    """``"400"`` or ``"360x640"`` (rows x cols)."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"expected SIZE or ROWSxCOLS, found {text!r}")
    return int(parts[0]), int(parts[-1])


def main() -> None:
    """Command line of this tool."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--count", type=int, default=10, help="number of trailers (10)")
    parser.add_argument("--frames", type=int, default=96, help="frames a trailer (96)")
    parser.add_argument("--size", type=parse_size, default=(48, 48), help="rows x cols (48x48)")
    parser.add_argument("--fps", type=float, default=FPS, help=f"frames a second ({FPS:g})")
    parser.add_argument("--seed", type=int, default=0, help="seed and id of the first trailer (0)")
    parser.add_argument("--mp4", action="store_true", help="write a video of each as well")
    options = parser.parse_args()
    if options.count < 1 or options.seed < 0:
        parser.error("expected --count of at least 1 and --seed of at least 0")
    if options.mp4 and (options.size[0] % 2 or options.size[1] % 2):
        parser.error(f"--mp4: expected even rows and cols, found {options.size}")
    seeds = range(options.seed, options.seed + options.count)
    make_trailers(options.out, seeds, options.frames, *options.size, options.fps, options.mp4)


if __name__ == "__main__":
    main()
