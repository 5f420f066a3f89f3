"""Pictures of scores over time. They need matplotlib (the extra ``plot``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convlstm_native.errors import InputError
from convlstm_native.scoring.atomic import replacing
from convlstm_native.scoring.table import InputScores

if TYPE_CHECKING:
    from convlstm_native.demo import Demo

Curves = Mapping[str, NDArray[np.float32]]
DPI = 120
MAX_INPUTS = 24


def draw_demo(demo: Demo, path: str | Path) -> None:
    """Draw the curves of all genres over time with the true scenes beneath.

    Raises :class:`InputError` where matplotlib is missing or ``path`` has no suffix of a picture.
    """
    figure = _figure(path, rows=2, heights=(5, 1))
    curves_axes, scenes_axes = figure.axes
    trailer = demo.trailer
    times = np.arange(len(demo.scores)) / trailer.fps
    curves = dict(zip(trailer.categories, demo.scores.T, strict=True))
    colors = _draw_curves(curves_axes, times, curves)
    for scene in trailer.scenes:
        start, stop = scene.start / trailer.fps, scene.stop / trailer.fps
        scenes_axes.axvspan(start, stop, color=colors[scene.genre])
        scenes_axes.text(
            (start + stop) / 2, 0.5, scene.genre, ha="center", va="center", fontsize=7, clip_on=True
        )
    curves_axes.set_ylabel("score")
    scenes_axes.set(
        yticks=[], ylabel="true", xlabel="time [s]", xlim=(0, times[-1] + 1 / trailer.fps)
    )
    scenes_axes.sharex(curves_axes)
    _save(figure, path)


def draw_scores(inputs: Sequence[InputScores], path: str | Path) -> None:
    """Draw every input's columns over time, or over frames where no time is known.

    Raises :class:`InputError` where matplotlib is missing, ``path`` has no suffix of a picture, or
    there is nothing or too much to draw.
    """
    if not 1 <= len(inputs) <= MAX_INPUTS:
        raise InputError(
            f"picture: expected 1 to {MAX_INPUTS} inputs in the score file, found {len(inputs)}"
        )
    figure = _figure(path, rows=len(inputs), heights=(1,) * len(inputs))
    for axes, scores in zip(figure.axes, inputs, strict=True):
        timed = scores.frames >= 0
        known = not np.isnan(scores.times[timed]).any()
        at = scores.times[timed] if known else scores.frames[timed]
        _draw_curves(axes, at, {name: column[timed] for name, column in scores.columns.items()})
        axes.set_title(scores.input, fontsize=9)
        axes.set_xlabel("time [s]" if known else "frame")
    _save(figure, path)


def _figure(path: str | Path, rows: int, heights: tuple[int, ...]) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "expected matplotlib, to draw: pip install 'convlstm-native[plot]'"
        ) from error
    known = Figure().canvas.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in known:
        raise InputError(
            f"picture {str(path)!r}: expected a suffix among {', '.join(sorted(known))}"
        )
    figure = Figure(figsize=(10, 2 + 2 * rows), layout="constrained")
    figure.subplots(rows, 1, height_ratios=heights)
    return figure


def _draw_curves(axes: Any, at: NDArray[Any], curves: Curves) -> dict[str, Any]:
    """Draw, and return the colour of each curve."""
    colors = {}
    for name, curve in curves.items():
        (line,) = axes.plot(at, curve, label=name, linewidth=1.2)
        colors[name] = line.get_color()
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    axes.margins(x=0)
    return colors


def _save(figure: Any, path: str | Path) -> None:
    with replacing(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=DPI)
