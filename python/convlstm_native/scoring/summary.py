"""What a score table says of each input: means, peaks, and which column leads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from convlstm_native.scoring.table import InputScores


@dataclass(frozen=True)
class ColumnSummary:
    """One score column of one input.

    ``peak_frame`` and ``peak_time_s`` say where ``maximum`` first stands; ``leads`` is the share
    of its rows in which no other column is higher.
    """

    name: str
    mean: float
    maximum: float
    peak_frame: int | None
    peak_time_s: float | None
    leads: float


@dataclass(frozen=True)
class InputSummary:
    """One input: its rows, its columns as in the table, and ``top``, the one of highest mean."""

    input: str
    rows: int
    columns: tuple[ColumnSummary, ...]
    top: str | None


def summarize(inputs: Iterable[InputScores]) -> list[InputSummary]:
    """Summarize every input. Empty cells count for nothing, and an empty column is left out."""
    return [_summary(scores) for scores in inputs]


def _summary(scores: InputScores) -> InputSummary:
    filled = {name: column for name, column in scores.columns.items() if not np.isnan(column).all()}
    table = np.array(list(filled.values()))
    highest = np.fmax.reduce(table, axis=0) if filled else table
    columns = []
    for name, column in filled.items():
        at = int(np.nanargmax(column))
        frame, time = int(scores.frames[at]), float(scores.times[at])
        columns.append(
            ColumnSummary(
                name,
                mean=float(np.nanmean(column, dtype=np.float64)),
                maximum=float(column[at]),
                peak_frame=None if frame < 0 else frame,
                peak_time_s=None if np.isnan(time) else time,
                leads=float(np.mean((column == highest)[~np.isnan(column)])),
            )
        )
    top = max(columns, key=lambda c: c.mean).name if columns else None
    return InputSummary(scores.input, len(scores.frames), tuple(columns), top)
