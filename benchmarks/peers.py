"""Time this runtime beside its peers on the networks of the suite.

    python benchmarks/peers.py --threads 1,2 --json run.json --chart run.png --markdown run.md

Every peer runs in a process of its own. Its answer is checked against ours before it is timed; peers take
turns, round by round. A peer that is not installed, cannot be built or gives another answer is listed with
the reason.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import bars
import convlstm_native as cn
import networks
from harness import charts, machine, options, tables
from harness.comparison import Files, compare
from harness.results import NetworkResult, Report
from peer_runners import OURS, PEERS
from rich.console import Console


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    known = options.names(networks.NETWORKS)
    suite = [network.name for network in networks.suite()]
    parser.add_argument("--networks", type=known, default=suite, help=", ".join(suite))
    parser.add_argument(
        "--peers", type=options.names(PEERS), default=list(PEERS), help=", ".join(PEERS)
    )
    parser.add_argument("--threads", type=options.numbers, default=[cn.default_threads()])
    parser.add_argument("--rounds", type=options.positive, default=7)
    parser.add_argument(
        "--frames", type=options.positive, help="of a clip, instead of each network's"
    )
    parser.add_argument(
        "--bars", action="store_true", help="measure the bars of the genre net, too"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="a picture; needs matplotlib")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    return parser.parse_args(given)


def run(options_: argparse.Namespace, console: Console) -> Report:
    """Compare on every network, printing each table when it is there."""
    packages = [package for name in options_.peers for package in PEERS[name].packages]
    report = Report(
        machine.command(),
        machine.this_machine(),
        machine.versions(["numpy", *packages]),
        options_.rounds,
        datetime.datetime.now().astimezone().strftime("%Y-%m-%d"),
    )
    console.print(report.machine.line)
    for name in options_.networks:
        network = networks.NETWORKS[name]
        with Files(network, options_.frames or network.frames) as files:
            for threads in options_.threads:
                with console.status(network.name) as status:
                    result = compare(files, options_.peers, threads, options_.rounds, status.update)
                report.results.append(result)
                console.print(tables.network_table(result))
    return report


def as_plain(report: Report) -> dict[str, object]:
    """The report for JSON, with what follows from the measurements."""
    plain = asdict(report)
    for found, result in zip(plain["results"], report.results, strict=True):
        found.update(_derived(result))
    plain["geometric_means"] = {
        str(threads): {p: report.geometric_mean(p, threads) for p in ("f32", "bf16")}
        for threads in report.thread_counts()
    }
    return plain


def _derived(result: NetworkResult) -> dict[str, object]:
    return {
        "ours_ms": result.ours_ms,
        "gflops": result.gflops,
        "ratio_to_peak": result.ratio_to_peak,
        "best_f32": result.best("f32"),
        "best_bf16": result.best("bf16"),
    }


def main(given: Sequence[str] | None = None) -> int:
    """Run, then write what was asked for. 1 when ours did not run on some network."""
    options_ = arguments(given)
    console = tables.console()
    report = run(options_, console)
    for threads in report.thread_counts():
        for precision in ("f32", "bf16"):
            if mean := report.geometric_mean(precision, threads):
                text = f"geometric mean of best {precision} peer over ours: {mean:.2f}x"
                console.print(f"{tables.threads_text(threads)}: {text}")
    plain, text = as_plain(report), tables.markdown(report)
    if options_.bars:
        held = bars.from_report(report) + bars.measure(max(options_.threads), console)
        console.print(bars.table(held))
        plain["bars"] = [{**asdict(bar), "holds": bar.holds} for bar in held]
        text += "\n" + bars.markdown(held) + "\n"
    if options_.json:
        options.write_json(options_.json, plain)
    if options_.markdown:
        options_.markdown.write_text(text)
    if options_.chart:
        charts.draw_comparison(report, options_.chart)
    return int(any(result.peer(OURS) is None or not result.ours_ms for result in report.results))


if __name__ == "__main__":
    sys.exit(main())
