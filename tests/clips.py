"""Clips, networks and a way to run commands, for the tests of media, scoring, command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from convlstm_native.cli import app
from convlstm_native.spec import (
    Flatten,
    Input,
    NetworkSpec,
    Node,
    Output,
    Preprocessing,
)
from strategies import conv_lstm, dense
from typer.testing import CliRunner, Result

ROWS, COLS, FPS = 48, 64, 25


def gray_levels(count: int) -> list[int]:
    """One gray a frame, far enough apart to survive a lossy codec."""
    return [20 + (i * 37) % 200 for i in range(count)]


def write_video(
    path: Path,
    levels: Sequence[int],
    *,
    rows: int = ROWS,
    cols: int = COLS,
    fps: int = FPS,
    options: dict[str, str] | None = None,
) -> Path:
    """A video of plain gray frames, one a level."""
    import av

    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = cols, rows, "yuv420p"
        stream.bit_rate = 2_000_000
        for level in levels:
            image = np.full((rows, cols, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def cut(source: Path, target: Path, part: float) -> Path:
    """The first ``part`` of a file."""
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * part)])
    return target


def scoring_network(
    size: int = 16,
    categories: Iterable[str] = ("calm", "wild"),
    preprocessing: Preprocessing | None = None,
    sequences: bool = True,
) -> NetworkSpec:
    """A small network with random weights: one score a category, a frame or a clip."""
    rng = np.random.default_rng(0)
    cell = conv_lstm(
        rng, 3, 2, padding="same", data_format="channels_first", return_sequences=sequences
    )
    nodes = [
        Node("cell", cell, ("frames",), ("h",)),
        Node("flat", Flatten(), ("h",), ("f",)),
    ]
    outputs = []
    for name in categories:
        nodes.append(Node(f"cat_{name}", dense(rng, 2 * size * size, 1), ("f",), (f"y_{name}",)))
        outputs.append(Output(f"cat_{name}", f"y_{name}", name))
    inputs = (Input("frames", (3, size, size), True, preprocessing),)
    return NetworkSpec("small", inputs, tuple(nodes), tuple(outputs))


def run(*arguments: str | Path) -> Result:
    """Run a command in this process; it must end by an exit code, not by an exception."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result
