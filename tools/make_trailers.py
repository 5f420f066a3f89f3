"""Render synthetic trailers with a genre label for each frame.

    python tools/make_trailers.py trailers --count 10 --frames 96 --size 48

writes trailers/trailer_{id}.npy, uint8 (frames, 3, rows, cols) in RGB, and trailers/labels/{id}.npy,
float32 (frames, 6). The id is the seed, so that a set can be extended later and stays the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from convlstm_native.scoring.atomic import replacing
from convlstm_native.trailers import FPS, Frame, iter_frames, plan_scenes, scene_labels
from rich.console import Console
from rich.progress import track


def write_trailer(
    folder: Path,
    seed: int,
    frames: int,
    rows: int,
    cols: int,
    fps: float = FPS,
    mp4: bool = False,
) -> None:
    """Write the trailer of ``seed`` frame by frame: memory does not grow with its length."""
    labels_path(folder, seed).parent.mkdir(parents=True, exist_ok=True)
    with replacing(labels_path(folder, seed)) as file:
        np.save(file, scene_labels(plan_scenes(seed, frames, fps)))
    with replacing(folder / f"trailer_{seed}.npy") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (frames, 3, rows, cols)}
        np.lib.format.write_array_header_1_0(file, header)
        for frame in iter_frames(seed, frames, rows, cols, fps):
            file.write(frame.tobytes())
    if mp4:
        with replacing(folder / f"trailer_{seed}.mp4") as file:
            write_video(file, iter_frames(seed, frames, rows, cols, fps), rows, cols, fps)


def labels_path(folder: Path, trailer: int) -> Path:
    """Where the labels of a trailer lie: apart, so that ``folder/*.npy`` are trailers alone."""
    return folder / "labels" / f"{trailer}.npy"


def write_video(file: IO[bytes], frames: Iterable[Frame], rows: int, cols: int, fps: float) -> None:
    """Encode uint8 frames (3, rows, cols) as MPEG-4; rows and cols must be even."""
    import av

    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width, stream.pix_fmt = rows, cols, "yuv420p"
        # Generous, 8 bits a pixel: the pictures are to stay what they are.
        stream.bit_rate = int(8 * fps * rows * cols)
        for frame in frames:
            picture = np.ascontiguousarray(frame.transpose(1, 2, 0))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
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
    bar = Console(stderr=True)
    for seed in track(seeds, "Rendering trailers", console=bar, disable=not bar.is_terminal):
        write_trailer(folder, seed, frames, rows, cols, fps, mp4)


def parse_size(text: str) -> tuple[int, int]:
    """``"400"`` or ``"360x640"`` (rows x cols)."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"expected SIZE or ROWSxCOLS, found {text!r}")
    return int(parts[0]), int(parts[-1])


def main(arguments: Sequence[str] | None = None) -> None:
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
    options = parser.parse_args(arguments)
    if options.count < 1 or options.seed < 0:
        parser.error("expected --count of at least 1 and --seed of at least 0")
    if options.mp4 and (options.size[0] % 2 or options.size[1] % 2):
        parser.error(f"--mp4: expected even rows and cols, found {options.size}")
    seeds = range(options.seed, options.seed + options.count)
    rows, cols = options.size
    make_trailers(options.out, seeds, options.frames, rows, cols, options.fps, options.mp4)


if __name__ == "__main__":
    main()
