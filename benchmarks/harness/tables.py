"""Results as tables: on a terminal, and as markdown to be pasted."""

from __future__ import annotations

from collections.abc import Sequence

from peer_runners import OURS, PEERS
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.agreement import TOLERANCES
from harness.results import NetworkResult, PeerResult, Report

NOTHING = "–"  # noqa: RUF001


def number(value: float | None, digits: int = 3) -> str:
    """``digits`` significant digits, without an exponent for large values."""
    if value is None:
        return NOTHING
    return f"{value:.0f}" if value >= 10**digits else f"{value:.{digits}g}"


def console() -> Console:
    """A terminal, or plain text wide enough for the tables."""
    shown = Console()
    return shown if shown.is_terminal else Console(width=max(shown.width, 120))


def threads_text(threads: int) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{threads} thread{'s' * (threads != 1)}"


def spread(samples: Sequence[float]) -> str:
    """Smallest and largest sample."""
    return f"{number(min(samples))} - {number(max(samples))}" if samples else NOTHING


def network_table(result: NetworkResult) -> Table:
    """All that was measured of one network; what was not measured stands below with its reason."""
    work = f"{result.gflop_per_frame:.3g} GFLOP a frame, clips of {result.frames} frames"
    table = Table(title=f"{result.network}, {threads_text(result.threads)}: {work}")
    table.add_column("peer", no_wrap=True)
    for heading in ("ms/frame", "min - max", "x ours", "error", "load s", "first run s", "MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    notes = [", ".join(ratio_texts(result))]
    for peer in sorted(result.peers, key=lambda found: found.median_ms or float("inf")):
        if peer.status != "ok":
            table.add_row(peer.peer, peer.status, "", "", number(peer.error, 2), style="dim")
            notes.append(f"{peer.peer}: {peer.reason}")
            continue
        table.add_row(
            peer.peer,
            number(peer.median_ms),
            spread(peer.samples_ms),
            _times(peer, result),
            number(peer.error, 2),
            number(peer.load_seconds, 2),
            number(peer.first_run_seconds, 2),
            number(peer.peak_megabytes),
            style="bold" if peer.peer == OURS else None,
        )
    # A text, not a string: brackets in a reason are not markup.
    table.caption = Text("\n".join(notes))
    table.caption_justify = "left"
    return table


def _times(peer: PeerResult, result: NetworkResult) -> str:
    if not peer.median_ms or not result.ours_ms:
        return NOTHING
    return f"{peer.median_ms / result.ours_ms:.2f}"


def ratio_texts(result: NetworkResult) -> list[str]:
    """What the bars ask of a network, a phrase each."""
    texts = []
    for precision in TOLERANCES:
        best = result.best(precision)
        texts.append(f"best {precision} peer {f'{best[1]:.2f}x ({best[0]})' if best else NOTHING}")
    share, peak = number(result.ratio_to_peak), number(result.peak_gflops)
    return [*texts, f"ours {share} of the FMA peak, {peak} GFLOP/s"]


def markdown(report: Report) -> str:
    """The run as markdown: machine, versions, command, then the tables."""
    parts = [_head(report)]
    for threads in report.thread_counts():
        results = [result for result in report.results if result.threads == threads]
        parts.append(
            f"### {threads_text(threads)}, milliseconds a frame\n\n{_times_table(results)}"
        )
        means = [
            f"{precision} {mean:.2f}x"
            for precision in TOLERANCES
            if (mean := report.geometric_mean(precision, threads)) is not None
        ]
        if means:
            parts.append("Geometric mean of best peer over ours: " + ", ".join(means) + ".")
        details = "Peak memory in MB, and seconds to load"
        parts.append(f"#### {details}, {threads_text(threads)}\n\n{_details_table(results)}")
    titles = [f"- {name}: {PEERS[name].title}" for name in report.peers()]
    parts.append("Peers:\n\n" + "\n".join(titles))
    if reasons := _reasons(report):
        parts.append("Not timed:\n\n" + "\n".join(f"- {reason}" for reason in reasons))
    return "\n\n".join(parts) + "\n"


def _head(report: Report) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return (
        f"`{report.command}`, {report.started}, medians of {report.rounds} rounds\n\n"
        f"- machine: {report.machine.line}\n- versions: {packages}"
    )


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (headings, *rows)]
    lines = [cells[0], ["---", *["---:"] * (len(headings) - 1)], *cells[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _columns(results: Sequence[NetworkResult]) -> list[str]:
    shown = {peer.peer for result in results for peer in result.peers}
    return [name for name in PEERS if name in shown]


def _times_table(results: Sequence[NetworkResult]) -> str:
    names = _columns(results)
    headings = ["network", *names, *(f"best {p} / ours" for p in TOLERANCES), "ours / FMA peak"]
    rows = []
    for result in results:
        row = [result.network]
        for name in names:
            peer = result.peer(name)
            ok = peer is not None and peer.status == "ok"
            row.append(number(peer.median_ms) if ok and peer else peer.status if peer else NOTHING)
        for precision in TOLERANCES:
            best = result.best(precision)
            row.append(f"**{best[1]:.2f}x** ({best[0]})" if best else NOTHING)
        rows.append([*row, number(result.ratio_to_peak)])
    return markdown_table(headings, rows)


def _details_table(results: Sequence[NetworkResult]) -> str:
    names = _columns(results)
    rows = []
    for result in results:
        row = [result.network]
        for name in names:
            peer = result.peer(name)
            ok = peer is not None and peer.status == "ok"
            row.append(
                f"{number(peer.peak_megabytes)}, {number(peer.load_seconds, 2)}"
                if ok and peer
                else NOTHING
            )
        rows.append(row)
    return markdown_table(["network", *names], rows)


def _reasons(report: Report) -> list[str]:
    """Each peer and reason once, with the networks it holds for."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for result in report.results:
        for peer in result.peers:
            if peer.status != "ok":
                networks = found.setdefault((peer.peer, peer.status, peer.reason), [])
                if result.network not in networks:
                    networks.append(result.network)
    return [
        f"{peer} {status}: {reason} ({', '.join(networks)})"
        for (peer, status, reason), networks in found.items()
    ]
