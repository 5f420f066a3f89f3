"""The bars of the genre net: what was promised, what was measured, whether it holds.

python benchmarks/bars.py                    # what needs no peer
python benchmarks/peers.py --bars            # the peers and all of these
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import convlstm_native as cn
import networks
import numpy as np
from harness import machine, options
from harness.comparison import Files
from harness.remote import Child
from harness.results import Report
from harness.tables import console as terminal
from harness.tables import markdown_table, number, threads_text
from rich.console import Console
from rich.table import Table

ROUNDS = 7
SAMPLE_SECONDS = 0.5
LONG, SHORT = 1000, 50
TESTS = Path(__file__).parents[1] / "tests"


@dataclass(frozen=True)
class Bar:
    """``value`` must be at least (``at_least``) or at most ``limit``; None where it cannot be measured."""

    what: str
    at_least: bool
    limit: float
    unit: str
    value: float | None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """None for what could not be measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Texts for tables: what, the limit, the value with its note, and whether it holds."""
        limit = f"{'at least' if self.at_least else 'at most'} {self.limit:g}{self.unit}"
        value = f"{number(self.value)}{self.unit}" if self.value is not None else "not measured"
        verdict = {True: "holds", False: "does not hold", None: "unknown"}[self.holds]
        return self.what, limit, f"{value} {f'({self.note})' if self.note else ''}".strip(), verdict


HEADINGS = ("bar", "limit", "measured", "verdict")


def table(bars: Sequence[Bar]) -> Table:
    """For the terminal."""
    shown = Table(title="bars")
    for heading in HEADINGS:
        shown.add_column(heading)
    for bar in bars:
        color = {True: "green", False: "red", None: "yellow"}[bar.holds]
        shown.add_row(*bar.cells, style=color)
    return shown


def markdown(bars: Sequence[Bar]) -> str:
    """For a document."""
    return markdown_table(HEADINGS, [bar.cells for bar in bars])


def from_report(report: Report) -> list[Bar]:
    """The bars against peers, for every number of threads of the run."""
    bars = []
    for threads in report.thread_counts():
        results = [r for r in report.results if r.threads == threads]
        count = threads_text(threads)
        for result in results:
            if result.network == "genre-400":
                for precision, limit in (("f32", 5.5), ("bf16", 3.3)):
                    best = result.best(precision)
                    what = f"genre-400, {count}, over the best {precision} peer"
                    value, note = (best[1], best[0]) if best else (None, "no such peer ran")
                    bars.append(Bar(what, True, limit, "x", value, note))
        # Of each network its strongest peer in any precision.
        best_of = {}
        for r in results:
            found = [best for precision in ("f32", "bf16") if (best := r.best(precision))]
            if found:
                best_of[r.network] = min(best[1] for best in found)
        if best_of:
            worst = min(best_of, key=lambda network: best_of[network])
            what = f"every network, {count}, over its best peer"
            bars.append(Bar(what, True, 1.0, "x", best_of[worst], f"least on {worst}"))
            mean = statistics.geometric_mean(best_of.values())
            bars.append(Bar(f"geometric mean, {count}", True, 3.0, "x", mean))
    return bars


def measure(threads: int, console: Console, network: str = "genre-400") -> list[Bar]:
    """The bars that need no peer, on the genre net with ``threads`` threads."""
    shown = networks.NETWORKS[network]
    bars: list[Bar] = []
    steps: tuple[Callable[[str, networks.Network, int], list[Bar]], ...] = (
        _load_time,
        _long_run,
        _share_of_peak,
        _thread_scaling,
        _instruction_sets,
    )
    with Files(shown, 1) as files, console.status("bars") as status:
        path = str(files.path("portable"))
        for step in steps:
            status.update(f"bars: {step.__name__.strip('_').replace('_', ' ')}")
            bars += step(path, shown, threads)
        status.update("bars: error against float64")
        bars.append(_error())
    return bars


def _load_time(path: str, network: networks.Network, threads: int) -> list[Bar]:
    seconds = []
    for _ in range(5):
        with Child("harness.probe:Probe", threads, {"source": path, "threads": threads}) as child:
            seconds.append(child.call("load"))
    megabytes = Path(path).stat().st_size / 1e6
    what = f"load {network.name}, packing included"
    return [
        Bar(what, False, 0.5, " s", statistics.median(seconds), f"a file of {megabytes:.0f} MB")
    ]


def _long_run(path: str, network: networks.Network, threads: int) -> list[Bar]:
    """Memory and time of a long prediction from a generator, with short ones before and after it."""
    with Child("harness.probe:Probe", threads, {"source": path, "threads": threads}) as child:
        child.call("load")
        child.call("predict", frames=2)
        short = [child.call("predict", frames=SHORT) for _ in range(3)]
        long = child.call("predict", frames=LONG)
        short += [child.call("predict", frames=SHORT) for _ in range(3)]
        before, peak = child.call("memory")
    above = f"{before:.0f} MB interpreter and imports, {peak:.0f} MB in all"
    flat = f"{1000 * long:.3g} over {1000 * statistics.median(short):.3g} ms"
    return [
        Bar(f"memory of {LONG} frames of {network.name}", False, 200, " MB", peak - before, above),
        Bar(
            f"ms/frame at {LONG} frames over {SHORT}",
            False,
            1.03,
            "x",
            long / statistics.median(short),
            flat,
        ),
    ]


def _interleaved(probes: Mapping[str, tuple[int, Mapping[str, object]]]) -> dict[str, list[float]]:
    """Seconds a frame of several probes, (threads, arguments) each, in turns; ``<name> peak`` beside them."""
    children: dict[str, Child] = {}
    samples: dict[str, list[float]] = {}
    try:
        for name, (threads, given) in probes.items():
            arguments = {"threads": threads, **given}
            children[name] = Child("harness.probe:Probe", threads, arguments)
            children[name].call("load")
        for _ in range(ROUNDS):
            for name, child in children.items():
                samples.setdefault(f"{name} peak", []).append(child.call("fma_peak"))
                samples.setdefault(name, []).append(child.call("stream", at_least=SAMPLE_SECONDS))
        for name, child in children.items():
            samples[f"{name} gflop"] = [child.call("facts")[0]]
    finally:
        for child in children.values():
            child.close()
    return samples


def _share_of_peak(path: str, network: networks.Network, threads: int) -> list[Bar]:
    layer = network.cells()[0]
    samples = _interleaved({"net": (threads, {"source": path}), "1": (threads, {"source": layer})})
    bars = []
    for name, what, limit in (("net", network.name, 2.4), ("1", f"layer 1 ({layer.title})", 2.6)):
        seconds, peak = statistics.median(samples[name]), statistics.median(samples[f"{name} peak"])
        rate = samples[f"{name} gflop"][0] / seconds
        note = f"{rate:.0f} of {peak:.0f} GFLOP/s, {1000 * seconds:.3g} ms"
        bars.append(
            Bar(f"direct work over the FMA peak, {what}", True, limit, "x", rate / peak, note)
        )
    return bars


def _thread_scaling(path: str, network: networks.Network, threads: int) -> list[Bar]:
    what = f"1 -> 2 threads, {network.name}"
    if threads < 2:
        return [Bar(what, True, 1.85, "x", None, "asked for one thread")]
    samples = _interleaved({str(n): (n, {"source": path}) for n in (1, 2)})
    one, two = (statistics.median(samples[name]) for name in "12")
    return [Bar(what, True, 1.85, "x", one / two, f"{1000 * one:.3g} to {1000 * two:.3g} ms")]


def _instruction_sets(path: str, network: networks.Network, threads: int) -> list[Bar]:
    what, wanted = f"AVX2 over AVX-512 time, {network.name}", ("avx2", "avx512")
    if missing := [isa for isa in wanted if isa not in cn.available_isas()]:
        return [Bar(what, False, 1.12, "x", None, f"no {' and '.join(missing)} on this CPU")]
    samples = _interleaved({isa: (threads, {"source": path, "isa": isa}) for isa in wanted})
    old, new = (statistics.median(samples[isa]) for isa in wanted)
    return [Bar(what, False, 1.12, "x", old / new, f"{1000 * old:.3g} over {1000 * new:.3g} ms")]


def _error() -> Bar:
    """Of the genre net's cells on small maps, over 1000 frames, against the float64 reference."""
    sys.path.insert(0, str(TESTS))
    import reference  # type: ignore[import-not-found, unused-ignore]

    worst = {"auto": 0.0, "direct": 0.0}
    for shape in networks.NETWORKS["genre-48"].cells():
        frame = (shape.channels, 13, 18)
        cell = networks.cell_network(networks.CellShape(*frame, shape.cell, shape.data_format))
        clip = np.random.default_rng(2).standard_normal((LONG, *frame)).astype(np.float32)
        expected = reference.run(cell, {"frames": clip[np.newaxis]})["h"][0]
        for algorithm in worst:
            found = cn.Model(cell, algorithm=algorithm).predict(clip)["h"]
            error = float(np.abs(found - expected).max() / np.abs(expected).max())
            worst[algorithm] = max(worst[algorithm], error)
    what = f"error over {LONG} frames, relative to max |h|"
    note = f"its three cells at 13x18, tanh; direct {number(worst['direct'], 2)}"
    return Bar(what, False, 3e-6, "", worst["auto"], note)


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print. 1 when a bar does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    genre = [name for name in networks.NETWORKS if name.startswith("genre-")]
    parser.add_argument("--network", choices=genre, default="genre-400")
    parser.add_argument("--threads", type=options.positive, default=cn.default_threads())
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    options_ = parser.parse_args(given)
    console = terminal()
    console.print(machine.this_machine().line)
    bars = measure(options_.threads, console, options_.network)
    console.print(table(bars))
    if options_.json:
        options.write_json(options_.json, [{**asdict(bar), "holds": bar.holds} for bar in bars])
    if options_.markdown:
        head = f"`{machine.command()}` on {machine.this_machine().line}"
        options_.markdown.write_text(f"{head}\n\n{markdown(bars)}\n")
    return int(any(bar.holds is False for bar in bars))


if __name__ == "__main__":
    sys.exit(main())
