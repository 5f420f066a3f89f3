"""Tables and timelines for the command line: records in, rich renderables or plain text out."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from convlstm_native.benchmark import BenchResult
from convlstm_native.scoring import InputSummary
from convlstm_native.spec import NetworkSpec, weights

if TYPE_CHECKING:
    from convlstm_native.demo import Demo
    from convlstm_native.model import Model
    from convlstm_native.profile import Profile
    from convlstm_native.summary import LayerSummary, Summary
    from convlstm_native.verification import Verification

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII_BLOCKS = " .:-=+*#@"
GENRE_STYLES = ("yellow", "red", "magenta", "blue", "green", "cyan")


def table(*columns: str, text: int = 1) -> Table:
    """A table without rules; the first ``text`` columns are text, the others numbers.

    Where the terminal is narrow text is folded, numbers never.
    """
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        if index < text:
            made.add_column(name, overflow="fold")
        else:
            made.add_column(name, justify="right", no_wrap=True)
    return made


def byte_text(count: float) -> str:
    """A number of bytes in powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def free_shape(shape: Sequence[int | None]) -> str:
    """A shape as text, with ``?`` for a free axis."""
    return f"({', '.join('?' if n is None else str(n) for n in shape)})"


def layers_table(summary: Summary) -> Table:
    """One line a layer of the network as it runs."""
    made = table("layer", "kind", "output", "kernel", "parameters", "GFLOP", "state", text=4)
    for layer in summary.layers:
        made.add_row(
            Text(layer.name),
            layer.kind,
            _shape_text(layer),
            layer.kernel,
            f"{layer.parameters:,}",
            f"{layer.flops / 1e9:.3g}",
            byte_text(layer.state_bytes),
        )
    return made


def _shape_text(layer: LayerSummary) -> str:
    shape = ", ".join(map(str, layer.output_shape))
    return f"(T, {shape})" if layer.sequence else f"({shape})"


def kernels_table(summary: Summary) -> Table:
    """One line a layer: the kernel that runs it, and why that one."""
    made = table("layer", "kind", "kernel", "why", text=4)
    for layer in summary.layers:
        made.add_row(Text(layer.name), layer.kind, layer.kernel, layer.choice or "-")
    return made


def model_lines(path: Path, model: Model) -> list[str]:
    """Where a model comes from, its inputs and its outputs."""
    spec = model.spec
    source = f", written by {spec.source}" if spec.source else ""
    lines = [f"{path}: {spec.name!r}{source}"]
    lines += [f"note         {note}" for note in spec.notes]
    for given in model.inputs:
        lines.append(f"input        {given.name} {free_shape(given.shape)} {given.dtype}")
    for info, output in zip(model.outputs, spec.outputs, strict=True):
        category = f", scores {output.category!r}" if output.category else ""
        lines.append(f"output       {info.name} {free_shape(info.shape)} {info.dtype}{category}")
    return lines


def summary_lines(spec: NetworkSpec, summary: Summary) -> list[str]:
    """What holds for the network as a whole."""
    read = sum(array.size for node in spec.nodes for array in weights(node.layer))
    memory = "does not grow with the clip" if summary.streams else "grows with the clip"
    return [
        f"parameters   {read:,} in the file, {summary.parameters:,} as it runs",
        f"work         {summary.flops / 1e9:.4g} GFLOP a frame (a multiply-add is 2)",
        f"state        {byte_text(summary.state_bytes)}, {memory}",
        f"look-ahead   {summary.look_ahead} frame(s)",
        f"runs on      {summary.isa}, {summary.threads} thread(s)",
    ]


def bench_lines(result: BenchResult) -> list[str]:
    """The figures of a benchmark and on what they were measured."""
    return [
        f"{result.ms_per_frame:.3f} ms/frame, {result.frames_per_second:.1f} frames/s",
        f"{result.gflops:.2f} GFLOP/s of direct work ({result.gflop_per_frame:.4g} GFLOP a frame)",
        f"{result.peak_gflops:.2f} GFLOP/s measured multiply-add peak: ratio {result.ratio:.3f} "
        "of direct work to it",
        f"{result.barriers_per_frame:.1f} barriers/frame, "
        f"{result.bytes_per_frame / 1e6:.2f} MB/frame at least",
        f"{result.threads} thread(s), {_measured(result)}",
    ]


def bench_record(results: Sequence[BenchResult], profile: Profile | None) -> dict[str, Any]:
    """A benchmark as JSON holds it: one run flat, several as a list under ``runs``."""
    runs = [
        {
            **dataclasses.asdict(result),
            "frames_per_second": result.frames_per_second,
            "gflops": result.gflops,
            "ratio": result.ratio,
        }
        for result in results
    ]
    record: dict[str, Any] = runs[0]
    if len(runs) > 1:
        record = {
            "runs": [{**r, "speed_up": runs[0]["ms_per_frame"] / r["ms_per_frame"]} for r in runs]
        }
    if profile is not None:
        record["layers"] = [dataclasses.asdict(layer) for layer in profile.layers]
    return record


def bench_parts(results: Sequence[BenchResult], profile: Profile | None) -> Iterator[Table | Text]:
    """A benchmark as people read it: one run in words, several as a table, then the layers."""
    if len(results) == 1:
        yield from map(Text, bench_lines(results[0]))
    else:
        yield bench_table(results)
        yield Text(_measured(results[0]))
    if profile is not None:
        yield Text()
        yield profile_table(profile)


def _measured(result: BenchResult) -> str:
    return f"{result.isa}, median of {result.repeats} runs of {result.frames} frames"


def bench_table(results: Sequence[BenchResult]) -> Table:
    """One line a number of threads; ``ratio`` is direct work to the peak of as many threads."""
    columns = ("speed-up", "GFLOP/s", "peak", "ratio", "barriers/frame", "MB/frame")
    made = table("threads", "ms/frame", *columns)
    for result in results:
        made.add_row(
            str(result.threads),
            f"{result.ms_per_frame:.3f}",
            f"{results[0].ms_per_frame / result.ms_per_frame:.2f}",
            f"{result.gflops:.2f}",
            f"{result.peak_gflops:.2f}",
            f"{result.ratio:.3f}",
            f"{result.barriers_per_frame:.1f}",
            f"{result.bytes_per_frame / 1e6:.2f}",
        )
    return made


def profile_table(profile: Profile) -> Table:
    """One line a layer and edge: its time in a frame, and how fast it was."""
    columns = ("ms/frame", "share", "GFLOP/s", "GB/s", "barriers")
    made = table("layer", "kind", "kernel", *columns, text=3)
    for layer in profile.layers:
        made.add_row(
            Text(layer.name),
            layer.kind,
            layer.kernel,
            f"{layer.ms_per_frame:.4f}",
            f"{layer.share:.1%}",
            f"{layer.gflops:.2f}" if layer.gflop else "-",
            f"{layer.gbps:.2f}",
            f"{layer.barriers:.1f}",
        )
    return made


def verify_table(result: Verification) -> Table:
    """One line an output: how far it is from ONNX Runtime, and how large it gets."""
    made = table("output", "largest difference", "largest value", "agrees")
    for output in result.outputs:
        agrees = "yes" if output.agrees else "NO"
        difference, value = output.largest_difference, output.largest_value
        made.add_row(Text(output.name), f"{difference:.3g}", f"{value:.3g}", agrees)
    return made


def scores_table(summaries: Sequence[InputSummary]) -> Table:
    """One line a column of each input; ``<`` marks the column of the highest mean."""
    made = table("input", "column", "mean", "max", "at frame", "at time", "leads", text=2)
    for summary in summaries:
        for index, column in enumerate(summary.columns):
            made.add_row(
                Text("" if index else summary.input),
                Text(f"{column.name} <" if column.name == summary.top else column.name),
                f"{column.mean:.4f}",
                f"{column.maximum:.4f}",
                "-" if column.peak_frame is None else str(column.peak_frame),
                "-" if column.peak_time_s is None else f"{column.peak_time_s:.2f} s",
                f"{column.leads:.0%}",
            )
    return made


def demo_table(demo: Demo) -> Table:
    """One line a genre: its true share, its mean scores, and how much of it was found."""
    made = table("genre", "true share", "mean in its scenes", "elsewhere", "found")
    for genre in demo.genres():
        made.add_row(
            genre.name,
            f"{genre.share:.0%}",
            _number(genre.mean_inside, ".2f"),
            _number(genre.mean_outside, ".2f"),
            _number(genre.found, ".0%"),
        )
    return made


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def timeline(demo: Demo, width: int, encoding: str) -> list[Text]:
    """One line a genre, its score over time as blocks from 0 to 1, and the true scenes beneath.

    ``width`` is in characters; ``encoding`` decides between block characters and ASCII.
    """
    categories = demo.trailer.categories
    margin = max(map(len, categories)) + 1
    columns = max(min(width - margin, len(demo.scores)), 1)
    blocks = BLOCKS if _can_encode(BLOCKS, encoding) else ASCII_BLOCKS
    # The network was trained towards 1 in a genre's scenes and 0 elsewhere.
    levels = np.clip(demo.scores, 0, 1) * (len(blocks) - 1)
    lines = []
    for index, (name, style) in enumerate(zip(categories, GENRE_STYLES, strict=True)):
        cells = "".join(blocks[round(level)] for level in _resampled(levels[:, index], columns))
        lines.append(Text(name.ljust(margin)).append(cells, style))
    return [*lines, _scenes_line(demo, margin, columns)]


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _resampled(values: NDArray[np.float32], columns: int) -> list[float]:
    """Means over ``columns`` stretches of ``values``, which are at least as many."""
    edges = np.linspace(0, len(values), columns + 1).astype(int)
    return [float(np.mean(values[a:b])) for a, b in itertools.pairwise(edges)]


def _scenes_line(demo: Demo, margin: int, columns: int) -> Text:
    line = Text("true".ljust(margin))
    frames = len(demo.scores)
    for scene in demo.trailer.scenes:
        start, stop = scene.start * columns // frames, scene.stop * columns // frames
        style = GENRE_STYLES[demo.trailer.categories.index(scene.genre)]
        line.append(f"|{scene.genre}".ljust(stop - start)[: stop - start], style)
    return line
