"""What a frame costs against the number of frames, the frame's size, the filters and the threads.

    python benchmarks/scaling.py --chart scaling.png --json scaling.json

Frames: the genre net, each length in a process of its own, fed from a generator, with the peak of its memory.
Size and filters: its first layer alone. Threads: the genre net, frame by frame.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import convlstm_native as cn
import networks
from harness import charts, machine, options, tables
from harness.comparison import Files
from harness.remote import Child
from rich.table import Table

ROUNDS = 5
SAMPLE_SECONDS = 0.3
SIZES = (25, 50, 100, 200, 300, 400)
FILTERS = (4, 8, 16, 20, 32, 48, 64)
FILTERS_SIZE = 64


@dataclass(frozen=True)
class Point:
    """A measurement: ``x`` frames, rows, filters or threads."""

    x: int
    ms: float
    megabytes: float | None = None
    gflops: float | None = None


def over_frames(path: str, lengths: Sequence[int], threads: int) -> list[Point]:
    """Time and peak memory of one long prediction for each length."""
    points = []
    for frames in lengths:
        with Child("harness.probe:Probe", threads, {"source": path, "threads": threads}) as child:
            child.call("load")
            child.call("predict", frames=2)
            seconds = child.call("predict", frames=frames)
            points.append(Point(frames, 1000 * seconds, child.peak_memory() / 1e6))
    return points


def over(sources: Mapping[int, tuple[Any, int]]) -> list[Point]:
    """Time a frame of each source (a file or a shape, threads), in turns."""
    children: dict[int, Child] = {}
    samples: dict[int, list[float]] = {x: [] for x in sources}
    try:
        for x, (source, threads) in sources.items():
            arguments = {"source": source, "threads": threads}
            children[x] = Child("harness.probe:Probe", threads, arguments)
            children[x].call("load")
        for _ in range(ROUNDS):
            for x, child in children.items():
                samples[x].append(child.call("stream", at_least=SAMPLE_SECONDS))
        points = []
        for x, child in children.items():
            seconds = statistics.median(samples[x])
            gflops = child.call("facts")[0] / seconds
            points.append(Point(x, 1000 * seconds, child.peak_memory() / 1e6, gflops))
        return points
    finally:
        for child in children.values():
            child.close()


def sizes(shape: networks.CellShape, threads: int) -> list[Point]:
    """The layer on square maps of other sizes."""
    return over({n: (replace(shape, rows=n, cols=n), threads) for n in SIZES})


def filters(shape: networks.CellShape, threads: int) -> list[Point]:
    """The layer with as many input channels as filters, on small maps."""
    small = replace(shape, rows=FILTERS_SIZE, cols=FILTERS_SIZE)
    changed = {n: replace(small, channels=n, cell=replace(small.cell, filters=n)) for n in FILTERS}
    return over({n: (changed[n], threads) for n in FILTERS})


def table(title: str, points: Sequence[Point]) -> Table:
    """For the terminal."""
    shown = Table(title=title)
    for heading in (title.split()[0], "ms/frame", "MB", "GFLOP/s"):
        shown.add_column(heading, justify="right")
    for point in points:
        texts = (tables.number(value) for value in (point.ms, point.megabytes, point.gflops))
        shown.add_row(str(point.x), *texts)
    return shown


def draw(path: Path, found: Mapping[str, Sequence[Point]], network: str) -> None:
    """All of it in one row of panels."""
    frames = {network: [(p.x, p.ms) for p in found["frames"]]}
    memory = {network: [(p.x, p.megabytes or 0.0) for p in found["frames"]]}
    rates = {name: [(p.x, p.gflops or 0.0) for p in found[name]] for name in ("size", "filters")}
    one = found["threads"][0].ms
    speed = {
        network: [(p.x, one / p.ms) for p in found["threads"]],
        "ideal": [(p.x, p.x / found["threads"][0].x) for p in found["threads"]],
    }
    charts.draw_lines(
        path,
        [
            ("time against length", "frames", "ms a frame", frames),
            ("memory against length", "frames", "peak MB", memory),
            ("frame size", "rows and columns", "GFLOP/s", {"layer 1": rates["size"]}),
            ("filters", f"channels and filters at {FILTERS_SIZE}x{FILTERS_SIZE}", "GFLOP/s",
             {"layer 1": rates["filters"]}),
            ("threads", "threads", "times faster", speed),
        ],
    )  # fmt: skip


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    genre = [name for name in networks.NETWORKS if name.startswith("genre-")]
    most = cn.default_threads()
    lengths = [50, 100, 200, 500, 1000]
    parser.add_argument("--network", choices=genre, default="genre-400")
    parser.add_argument("--frames", type=options.numbers, default=lengths)
    parser.add_argument("--threads", type=options.numbers, default=list(range(1, most + 1)))
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="a picture; needs matplotlib")
    chosen = parser.parse_args(given)
    console, network = tables.console(), networks.NETWORKS[chosen.network]
    here, layer, threads = machine.this_machine(), network.cells()[0], max(chosen.threads)
    console.print(here.line)
    found: dict[str, list[Point]] = {}
    with Files(network, 1) as files:
        path = str(files.path("portable"))
        steps: dict[str, tuple[str, Callable[[], list[Point]]]] = {
            "frames": (network.name, lambda: over_frames(path, chosen.frames, threads)),
            "size": ("its first layer", lambda: sizes(layer, threads)),
            "filters": (f"3x3 at {FILTERS_SIZE}x{FILTERS_SIZE}", lambda: filters(layer, threads)),
            "threads": (network.name, lambda: over({n: (path, n) for n in chosen.threads})),
        }
        for name, (what, step) in steps.items():
            with console.status(f"{name} of {what}"):
                found[name] = step()
            console.print(table(f"{name} of {what}", found[name]))
    if chosen.json:
        data = {name: [asdict(point) for point in points] for name, points in found.items()}
        head = {"command": machine.command(), "machine": asdict(here), "threads": threads}
        options.write_json(chosen.json, {**head, **data})
    if chosen.chart:
        draw(chosen.chart, found, network.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
