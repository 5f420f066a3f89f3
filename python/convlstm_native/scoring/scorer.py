"""The batch scorer: many files through one model into one score table."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from convlstm_native.errors import InputError
from convlstm_native.media import FrameFormat, read_frames
from convlstm_native.scoring.atomic import replacing
from convlstm_native.scoring.table import Columns, Rows, check_format, open_writer, row_type
from convlstm_native.spec import Array

if TYPE_CHECKING:
    from convlstm_native.model import Model

# Rows of the current input stay in memory up to this size, then go to an unnamed file beside the
# output.
SPOOL_BYTES = 4 << 20
BATCH_ROWS = 4096


@dataclass(frozen=True)
class InputResult:
    """What became of one input: its frames in the table, or the ``reason`` why it has none."""

    input: str
    frames: int
    seconds: float
    reason: str | None = None

    @property
    def frames_per_second(self) -> float:
        """Speed, reading of the file included."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class ScoreReport:
    """What ``score_files`` wrote and what it could not."""

    output: str
    columns: tuple[str, ...]
    results: tuple[InputResult, ...]

    @property
    def failed(self) -> tuple[InputResult, ...]:
        """The inputs without rows in the table."""
        return tuple(r for r in self.results if r.reason is not None)

    @property
    def frames(self) -> int:
        """Frames in the table."""
        return sum(r.frames for r in self.results)


def score_files(
    model: Model,
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    on_frame: Callable[[str, int], None] | None = None,
    on_result: Callable[[InputResult], None] | None = None,
) -> ScoreReport:
    """Score every frame of ``inputs`` with ``model`` and write one table, ``output``.

    ``inputs`` are what :func:`convlstm_native.media.read_frames` reads; ``output`` is ``.csv``,
    ``.jsonl`` or ``.parquet``, see :mod:`convlstm_native.scoring.table`. An input that fails leaves
    no row in the table and is in the report with the reason; the others go on. ``output`` appears
    when all is done, or not at all. ``on_frame(input, frames so far)`` and ``on_result`` are called
    as the work goes on.

    Raises :class:`InputError` for wrong arguments, :class:`UnsupportedModelError` for a network
    without one input of frames, ``OSError`` where the output cannot be written.

    Example::

        report = score_files(cn.Model.load("genre.onnx"), ["a.npy", "clip.mp4"], "scores.csv")
        for failure in report.failed:
            ...
    """
    check_format(output)
    _check_paths(inputs, output)
    scorer = _Scorer(model, on_frame or (lambda name, frames: None))
    results = []
    with (
        replacing(output) as file,
        contextlib.closing(open_writer(output, file, scorer.columns.names)) as writer,
    ):
        for path in inputs:
            # The rows of one input, until it is known to be sound.
            with tempfile.SpooledTemporaryFile(
                SPOOL_BYTES, dir=str(Path(file.name).parent)
            ) as spool:
                result = scorer.score(path, spool)
                if result.reason is None:
                    for rows in _batches(spool, scorer.row_type):
                        writer.write(result.input, rows)
            results.append(result)
            if on_result is not None:
                on_result(result)
    return ScoreReport(_display_name(output), scorer.columns.names, tuple(results))


def _check_paths(inputs: Sequence[str | Path], output: str | Path) -> None:
    if not inputs:
        raise InputError("expected at least one input, found none")
    seen: dict[str, str | Path] = {}
    for path in inputs:
        real = os.path.realpath(path)
        if real in seen:
            raise InputError(f"input {str(path)!r}: given twice, first as {str(seen[real])!r}")
        seen[real] = path
    if os.path.realpath(output) in seen:
        raise InputError(f"output {str(output)!r}: expected a file that is not one of the inputs")


def _display_name(path: str | Path) -> str:
    """The path as text that can be written: bytes that are not UTF-8 are shown as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _batches(spool: IO[bytes], kind: np.dtype[np.void]) -> Iterator[Rows]:
    spool.seek(0)
    while data := spool.read(BATCH_ROWS * kind.itemsize):
        yield np.frombuffer(data, kind)


class _Scorer:
    """One model, one stream, any number of inputs."""

    def __init__(self, model: Model, on_frame: Callable[[str, int], None]) -> None:
        self.columns = Columns.of(model.spec)
        self.row_type = row_type(len(self.columns.names))
        self._per_frame = self.columns.places.keys() - self.columns.per_clip
        self._form = FrameFormat.of(model.spec)
        self._stream = model.stream()
        self._on_frame = on_frame

    def score(self, path: str | Path, spool: IO[bytes]) -> InputResult:
        """Put the rows of one input into ``spool``; on failure what is in it is worthless."""
        name = _display_name(path)
        started = time.perf_counter()
        reason = None
        rows = self._rows(path, name)
        while True:
            # Only reading and scoring may fail for the input; writing the spool fails for all.
            try:
                row = next(rows, None)
            except InputError as error:
                reason = str(error)
                break
            if row is None:
                break
            spool.write(row.tobytes())
        frames = self._stream.frames if reason is None else 0
        return InputResult(name, frames, time.perf_counter() - started, reason)

    def _rows(self, path: str | Path, name: str) -> Iterator[Rows]:
        """Rows as they come: one a frame, then one of the clip where the network scores clips."""
        self._stream.reset()
        held = []  # Rows that wait for outputs which need the whole clip.
        with contextlib.closing(read_frames(path, self._form)) as frames:
            for index, frame in enumerate(frames):
                scores = self._stream.push(frame.pixels) or {}
                self._on_frame(name, index + 1)
                row = self._row(scores, index, frame.time)
                if not self._per_frame <= scores.keys():
                    held.append(row)
                elif self._per_frame:
                    yield row
        late = self._stream.flush() or {}
        for index, row in enumerate(held):
            self._fill(row, {k: late[k][index] for k in self._per_frame & late.keys()})
            yield row
        if self.columns.per_clip:
            yield self._row({k: late[k] for k in self.columns.per_clip})

    def _row(
        self, scores: Mapping[str, Array], frame: int = -1, time_s: float | None = None
    ) -> Rows:
        row = np.zeros((), self.row_type)
        row["frame"] = frame
        row["time_s"] = np.nan if time_s is None else time_s
        row["scores"] = np.nan
        self._fill(row, scores)
        return row

    def _fill(self, row: Rows, scores: Mapping[str, Array]) -> None:
        for name, values in scores.items():
            if not np.isfinite(values).all():
                where = "of the clip" if row["frame"] < 0 else f"at frame {row['frame']}"
                raise InputError(
                    f"output {name!r} {where}: expected finite scores, found NaN or infinity"
                )
            row["scores"][self.columns.places[name]] = values.ravel()
