"""Progress of the batch scorer on stderr: a bar on a terminal, else a plain line an input."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from convlstm_native.errors import ConvLSTMError
from convlstm_native.media import FrameFormat, expected_frames
from convlstm_native.scoring import InputResult


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.1f} frames/s")


class ScoreProgress:
    """Callbacks for ``score_files``; without a ``bar`` only the results are shown."""

    def __init__(
        self, console: Console, expected: Sequence[int] = (), bar: Progress | None = None
    ) -> None:
        """``expected`` are the frames of each input as far as known, for the ``bar``."""
        self._console = console
        self._expected = expected
        self._bar = bar
        self._task = bar.add_task("", total=sum(expected) or None) if bar else None
        self._inputs_done = 0

    def on_frame(self, name: str, frames: int) -> None:
        """Move the bar; ``frames`` counts within the current input."""
        if self._bar is not None and self._task is not None:
            before = sum(self._expected[: self._inputs_done])
            self._bar.update(self._task, completed=before + frames, description=Path(name).name)

    def on_result(self, result: InputResult) -> None:
        """Show what became of an input."""
        if result.reason is None:
            line = (
                f"{result.input}: {result.frames} frames, {result.frames_per_second:.1f} frames/s"
            )
        else:
            line = f"{result.input}: failed: {result.reason}"
        self._console.print(line, markup=False, soft_wrap=True)
        self._inputs_done += 1


@contextlib.contextmanager
def score_progress(form: FrameFormat, inputs: Sequence[Path]) -> Iterator[ScoreProgress]:
    """Show progress over ``inputs`` until the block ends; ``form`` is the network's."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield ScoreProgress(console)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, _Speed(), TimeRemainingColumn(), console=console, transient=True
    ) as bar:
        yield ScoreProgress(console, [_expected(path, form) for path in inputs], bar)


def _expected(path: Path, form: FrameFormat) -> int:
    """For the bar alone; a file that cannot be read is reported when its turn comes."""
    try:
        return expected_frames(path, form) or 0
    except ConvLSTMError:
        return 0
