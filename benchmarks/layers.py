"""Each layer alone: ours beside ONNX Runtime on the portable file that we write.

    python benchmarks/layers.py --families convolution --threads 1,2

Both read the same file and the same clip, with as many threads, each in a process of its own. The answers
are compared first; a layer whose answers differ is not timed. Runs take turns.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import convlstm_native as cn
from convlstm_native.onnx_writer import to_onnx
from harness import machine, options, tables
from harness.agreement import disagreement
from harness.remote import Child
from layer_rows import FAMILIES, LayerRow
from rich.table import Table

RUNTIMES = {"ours": "harness.layer_runner:Ours", "onnx_runtime": "harness.layer_runner:OnnxRuntime"}


@dataclass(frozen=True)
class LayerResult:
    """Milliseconds a frame of both, medians over the rounds; ``problem`` says why there are none."""

    family: str
    layer: str
    threads: int
    gflop: float
    ours_ms: float | None = None
    theirs_ms: float | None = None
    problem: str = ""

    @property
    def ratio(self) -> float | None:
        """Their time over ours."""
        if self.ours_ms is None or self.theirs_ms is None:
            return None
        return self.theirs_ms / self.ours_ms

    @property
    def cells(self) -> tuple[str, ...]:
        """Texts for tables, under :data:`HEADINGS`."""
        rate = None if self.ours_ms is None else self.gflop / self.ours_ms * 1000
        numbers = (self.ours_ms, self.theirs_ms, self.ratio, rate)
        return self.family, self.layer, *map(tables.number, numbers), self.problem


HEADINGS = ("family", "layer", "ours ms", "ONNX Runtime ms", "theirs/ours", "GFLOP/s", "")


def measure(
    family: str,
    rows: Iterable[LayerRow],
    threads: int,
    rounds: int,
    seconds: float,
    frames: int,
) -> Iterable[LayerResult]:
    """The rows of one family, one after another; the two runtimes of a row in turns."""
    with tempfile.TemporaryDirectory() as folder:
        children = {name: Child(target, threads) for name, target in RUNTIMES.items()}
        try:
            for row in rows:
                yield _measure(family, row, children, threads, rounds, seconds, frames, folder)
        finally:
            for child in children.values():
                child.close()


def _measure(
    family: str,
    row: LayerRow,
    children: dict[str, Child],
    threads: int,
    rounds: int,
    seconds: float,
    frames: int,
    folder: str,
) -> LayerResult:
    network = row.network()
    path = Path(folder) / "layer.onnx"
    path.write_bytes(to_onnx(network).SerializeToString())
    gflop = cn.Model(network, threads=1).summary().flops / 1e9
    answers = [
        child.call("load", path=str(path), threads=threads, frames=frames)
        for child in children.values()
    ]
    if problem := disagreement(answers[0], answers[1], "f32"):
        return LayerResult(family, row.name, threads, gflop, problem=problem)
    times: dict[str, list[float]] = {name: [] for name in children}
    for _ in range(rounds):
        for name, child in children.items():
            times[name].append(child.call("time", at_least=seconds))
    ours, theirs = (1000 * statistics.median(taken) / frames for taken in times.values())
    return LayerResult(family, row.name, threads, gflop, ours, theirs)


def table(results: Sequence[LayerResult], threads: int) -> Table:
    """For the terminal."""
    shown = Table(title=f"layers, {tables.threads_text(threads)}")
    for k, heading in enumerate(HEADINGS):
        shown.add_column(heading, justify="right" if 1 < k < 6 else "left")
    for result in results:
        shown.add_row(*result.cells)
    return shown


def geometric_mean(results: Sequence[LayerResult]) -> float | None:
    """Of the ratios that were measured."""
    logs = [math.log(result.ratio) for result in results if result.ratio]
    return math.exp(statistics.fmean(logs)) if logs else None


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 where an answer differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--families", type=options.names(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--match", default="", help="only layers whose name holds this text")
    parser.add_argument("--threads", type=options.numbers, default=[cn.default_threads()])
    parser.add_argument("--rounds", type=options.positive, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="at least, a measurement")
    parser.add_argument("--frames", type=options.positive, default=8, help="of the clip")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    chosen = parser.parse_args(given)
    console, text = tables.console(), ""
    here = machine.this_machine()
    console.print(here.line)
    results: list[LayerResult] = []
    for threads in chosen.threads:
        found: list[LayerResult] = []
        with console.status("layers") as status:
            for family in chosen.families:
                rows = [row for row in FAMILIES[family] if chosen.match in row.name]
                for result in measure(
                    family, rows, threads, chosen.rounds, chosen.seconds, chosen.frames
                ):
                    status.update(result.layer)
                    found.append(result)
        console.print(table(found, threads))
        mean = tables.number(geometric_mean(found))
        console.print(f"geometric mean of theirs/ours: {mean}")
        cells = [result.cells for result in found]
        text += f"\n### {tables.threads_text(threads)}\n\n"
        text += f"{tables.markdown_table(HEADINGS, cells)}\n\nGeometric mean: {mean}\n"
        results += found
    if chosen.json:
        data = [{**asdict(result), "ratio": result.ratio} for result in results]
        head = {"command": machine.command(), "machine": asdict(here)}
        options.write_json(chosen.json, {**head, "results": data})
    if chosen.markdown:
        chosen.markdown.write_text(f"`{machine.command()}` on {here.line}\n{text}")
    return int(any(result.problem for result in results))


if __name__ == "__main__":
    sys.exit(main())
