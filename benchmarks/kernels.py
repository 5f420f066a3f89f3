"""Each ConvLSTM2D kernel alone: GFLOP/s of direct work, and its share of the multiply-add peak.

    python benchmarks/kernels.py --threads 1 --isas avx2

over the shapes of the suite's networks, with every algorithm and instruction set. The variants of a shape
take turns, and each measures its peak beside itself, with its own kernels and threads.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import convlstm_native as cn
import networks
from convlstm_native.model import ALGORITHMS
from harness import machine, options, tables
from harness.probe import Probe
from rich.table import Table


@dataclass(frozen=True)
class KernelResult:
    """One kernel on one shape. ``ratio`` is direct work over the peak of the same instruction set."""

    shape: str
    networks: str
    algorithm: str
    isa: str
    kernel: str
    threads: int
    ms: float
    gflops: float
    peak_gflops: float

    @property
    def ratio(self) -> float:
        """Share of the peak; above 1 where the algorithm saves work."""
        return self.gflops / self.peak_gflops

    @property
    def cells(self) -> tuple[str, ...]:
        """Texts for tables, under :data:`HEADINGS`."""
        numbers = (tables.number(value) for value in (self.ms, self.gflops, self.ratio))
        return self.shape, self.networks, self.algorithm, self.kernel, *numbers


HEADINGS = ("shape", "in", "algorithm", "kernel", "ms/frame", "GFLOP/s", "over peak")


def shapes(names: Sequence[str]) -> dict[networks.CellShape, list[str]]:
    """Every ConvLSTM2D of the networks once, with the networks that have it."""
    found: dict[networks.CellShape, list[str]] = {}
    for name in names:
        for shape in networks.NETWORKS[name].cells():
            owners = found.setdefault(shape, [])
            if name not in owners:
                owners.append(name)
    return found


def measure(
    shape: networks.CellShape,
    owners: Sequence[str],
    variants: Sequence[tuple[str, str]],
    threads: int,
    rounds: int,
    seconds: float,
) -> list[KernelResult]:
    """All variants (algorithm, isa) of one shape, in turns."""
    probes = {}
    for algorithm, isa in variants:
        probes[algorithm, isa] = probe = Probe(shape, threads, algorithm=algorithm, isa=isa)
        probe.load()
    times: dict[tuple[str, str], list[float]] = {variant: [] for variant in variants}
    peaks: dict[tuple[str, str], list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant, probe in probes.items():
            peaks[variant].append(probe.fma_peak())
            times[variant].append(probe.stream(seconds))
    results = []
    for (algorithm, isa), probe in probes.items():
        gflop, kernel = probe.facts()
        took = statistics.median(times[algorithm, isa])
        results.append(
            KernelResult(
                shape.title,
                ", ".join(owners),
                algorithm,
                isa,
                kernel,
                threads,
                1000 * took,
                gflop / took,
                statistics.median(peaks[algorithm, isa]),
            )
        )
    return results


def table(results: Sequence[KernelResult], threads: int) -> Table:
    """For the terminal."""
    shown = Table(title=f"kernels, {tables.threads_text(threads)}")
    for k, heading in enumerate(HEADINGS):
        shown.add_column(heading, justify="right" if k > 3 else "left")
    for result in results:
        shown.add_row(*result.cells)
    return shown


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    suite = [network.name for network in networks.suite()]
    isas = cn.available_isas()
    parser.add_argument("--networks", type=options.names(networks.NETWORKS), default=suite)
    parser.add_argument("--isas", type=options.names(isas), default=list(isas))
    parser.add_argument("--algorithms", type=options.names(ALGORITHMS), default=list(ALGORITHMS))
    parser.add_argument("--threads", type=options.numbers, default=[cn.default_threads()])
    parser.add_argument("--rounds", type=options.positive, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="at least, a measurement")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    chosen = parser.parse_args(given)
    console, text = tables.console(), ""
    here = machine.this_machine()
    console.print(here.line)
    results: list[KernelResult] = []
    variants = list(itertools.product(chosen.algorithms, chosen.isas))
    for threads in chosen.threads:
        found = []
        with console.status("kernels") as status:
            for shape, owners in shapes(chosen.networks).items():
                status.update(shape.title)
                found += measure(shape, owners, variants, threads, chosen.rounds, chosen.seconds)
        console.print(table(found, threads))
        rows = [result.cells for result in found]
        text += f"\n### {tables.threads_text(threads)}\n\n{tables.markdown_table(HEADINGS, rows)}\n"
        results += found
    if chosen.json:
        data = [{**asdict(result), "ratio": result.ratio} for result in results]
        head = {"command": machine.command(), "machine": asdict(here)}
        options.write_json(chosen.json, {**head, "results": data})
    if chosen.markdown:
        chosen.markdown.write_text(f"`{machine.command()}` on {here.line}\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
