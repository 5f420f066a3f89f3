"""Results as pictures. matplotlib is imported only when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peer_runners import OURS, PEERS

from harness.results import Report
from harness.tables import threads_text

# Okabe and Ito's colours, told apart by everyone; ours stands out by being black.
_COLORS = ("#0072B2", "#56B4E9", "#009E73", "#CC79A7", "#E69F00", "#D55E00", "#F0E442")


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def draw_comparison(report: Report, path: Path) -> None:
    """Milliseconds a frame on a logarithmic axis: a panel a number of threads, a group a network."""
    pyplot = _pyplot()
    counts = report.thread_counts()
    names = [
        name
        for name in report.peers()
        if any(p.peer == name and p.median_ms for result in report.results for p in result.peers)
    ]
    networks = list(dict.fromkeys(result.network for result in report.results))
    width = max(11.0, 1.6 * len(networks) + 2)  # the legend wants 11
    figure, axes = pyplot.subplots(
        len(counts), 1, figsize=(width, 3.6 * len(counts)), squeeze=False, layout="constrained"
    )
    bar = 0.85 / len(names)
    for axis, threads in zip(axes[:, 0], counts, strict=True):
        for k, name in enumerate(names):
            places, heights = [], []
            for result in report.results:
                peer = result.peer(name)
                if result.threads == threads and peer and peer.median_ms:
                    places.append(networks.index(result.network) + (k + 0.5) * bar - 0.425)
                    heights.append(peer.median_ms)
            # bf16 peers have the colour of their library and stripes.
            stripes = "///" if PEERS[name].precision == "bf16" else None
            axis.bar(
                places,
                heights,
                bar,
                label=PEERS[name].title,
                color=_color(name),
                hatch=stripes,
                edgecolor="white",
                linewidth=0.3,
            )
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("")
        axis.set_xticks(range(len(networks)), networks)
        axis.set_ylabel("ms a frame")
        axis.set_title(f"{threads_text(threads)}: lower is better", loc="left", fontsize=10)
        axis.grid(axis="y", which="major", alpha=0.4)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _color(name: str) -> str:
    if name == OURS:
        return "black"
    if not PEERS[name].compared:
        return "#888888"
    bases = list(dict.fromkeys(_family(n) for n, peer in PEERS.items() if peer.compared))
    return _COLORS[(bases.index(_family(name)) - 1) % len(_COLORS)]


def _family(name: str) -> str:
    return name.removesuffix("-f32").removesuffix("-bf16")


def draw_lines(
    path: Path, panels: Sequence[tuple[str, str, str, Mapping[str, Sequence[tuple[float, float]]]]]
) -> None:
    """Panels in rows of three: (title, x label, y label, points of each line by its name)."""
    pyplot = _pyplot()
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(4 * columns, 3.4 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, (title, x_label, y_label, lines) in zip(axes.flat, panels, strict=False):
        for k, (name, points) in enumerate(lines.items()):
            xs, ys = zip(*points, strict=True)
            axis.plot(xs, ys, "o-", label=name, color=_COLORS[k % len(_COLORS)], markersize=4)
        axis.set(title=title, xlabel=x_label, ylabel=y_label)
        axis.set_xlim(left=0)
        axis.set_ylim(0, 1.1 * max(y for points in lines.values() for _, y in points))
        axis.grid(alpha=0.4)
        axis.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            axis.legend(fontsize=8)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
