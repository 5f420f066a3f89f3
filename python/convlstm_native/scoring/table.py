"""The score table: its columns, and its three file formats, written and read.

A row is ``input, frame, time_s`` and one column an output; an output of more than one value takes a
column each, ``name_0, name_1, ...`` in row-major order. What does not apply is empty (null):
``time_s`` where nothing states the time, and the columns of outputs that score a whole clip, which
stand in one row of their own at the end of the clip, without ``frame`` and ``time_s``.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convlstm_native.errors import InputError, UnsupportedModelError
from convlstm_native.spec import NetworkSpec

KEYS = ("input", "frame", "time_s")
MAX_COLUMNS = 10_000

# Rows of one clip: dtype `row_type`. A missing frame is -1, missing numbers are NaN: scores never
# are.
Rows = NDArray[np.void]
Record = list[str | int | float | None]


def row_type(columns: int) -> np.dtype[np.void]:
    """The type of one row with that many score columns."""
    return np.dtype(
        [("frame", np.int64), ("time_s", np.float64), ("scores", np.float32, (columns,))]
    )


@dataclass(frozen=True)
class Columns:
    """Names of the score columns, each output's place in them, and the outputs of whole clips."""

    names: tuple[str, ...]
    places: Mapping[str, slice]
    per_clip: frozenset[str]

    @classmethod
    def of(cls, spec: NetworkSpec) -> Columns:
        """The columns for the outputs of ``spec``.

        Raises :class:`UnsupportedModelError` where the table would be absurdly wide or name a
        column twice.
        """
        values = spec.values()
        names: list[str] = []
        places: dict[str, slice] = {}
        for output in spec.outputs:
            size = math.prod(values[output.value].shape)
            places[output.name] = slice(len(names), len(names) + size)
            if len(names) + size > MAX_COLUMNS:
                raise UnsupportedModelError(
                    f"output {output.name!r}: expected at most {MAX_COLUMNS} score columns in all, "
                    f"found {size} more values a frame"
                )
            names += [output.name] if size == 1 else [f"{output.name}_{i}" for i in range(size)]
        if twice := [n for n in names if n in KEYS or names.count(n) > 1]:
            raise UnsupportedModelError(
                f"score column {twice[0]!r}: expected names that differ from each other and from "
                f"{', '.join(KEYS)}, found outputs {[o.name for o in spec.outputs]}"
            )
        per_clip = frozenset(o.name for o in spec.outputs if not values[o.value].sequence)
        return cls(tuple(names), places, per_clip)


class Writer(Protocol):
    """Writes rows into an open file, which it does not close."""

    def write(self, name: str, rows: Rows) -> None:
        """Append ``rows`` of the input ``name``."""

    def close(self) -> None:
        """Write what the format needs at its end."""


def _records(name: str, rows: Rows) -> Iterator[Record]:
    for frame, time, scores in zip(rows["frame"], rows["time_s"], rows["scores"], strict=True):
        yield [
            name,
            None if frame < 0 else int(frame),
            None if np.isnan(time) else round(float(time), 6),
            # The shortest text that reads back as the same float32.
            *(None if np.isnan(score) else float(str(score)) for score in scores),
        ]


class _CsvWriter:
    def __init__(self, file: IO[bytes], names: tuple[str, ...]) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        self._csv = csv.writer(self._text, lineterminator="\n")
        self._csv.writerow([*KEYS, *names])

    def write(self, name: str, rows: Rows) -> None:
        self._csv.writerows(_records(name, rows))

    def close(self) -> None:
        self._text.detach()


class _JsonlWriter:
    def __init__(self, file: IO[bytes], names: tuple[str, ...]) -> None:
        self._file = file
        self._keys = (*KEYS, *names)

    def write(self, name: str, rows: Rows) -> None:
        for record in _records(name, rows):
            line = json.dumps(dict(zip(self._keys, record, strict=True)), ensure_ascii=False)
            self._file.write(line.encode() + b"\n")

    def close(self) -> None:
        pass


class _ParquetWriter:
    def __init__(self, file: IO[bytes], names: tuple[str, ...]) -> None:
        self._arrow = _parquet().arrow
        fields = [("input", self._arrow.string()), ("frame", self._arrow.int64())]
        fields += [("time_s", self._arrow.float64())]
        fields += [(name, self._arrow.float32()) for name in names]
        self._schema = self._arrow.schema(fields)
        self._writer = _parquet().parquet.ParquetWriter(file, self._schema)

    def write(self, name: str, rows: Rows) -> None:
        arrays = [
            self._arrow.array([name] * len(rows), self._arrow.string()),
            self._arrow.array(rows["frame"], mask=rows["frame"] < 0),
            self._column(rows["time_s"].round(6)),
            *(self._column(column) for column in np.ascontiguousarray(rows["scores"].T)),
        ]
        self._writer.write_table(self._arrow.table(arrays, schema=self._schema))

    def _column(self, values: NDArray[Any]) -> Any:
        return self._arrow.array(values, mask=np.isnan(values))

    def close(self) -> None:
        self._writer.close()


@dataclass(frozen=True)
class _Arrow:
    arrow: Any
    parquet: Any


def _parquet() -> _Arrow:
    try:
        return _Arrow(
            importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
        )
    except ImportError as error:
        raise InputError(
            "expected pyarrow, to write and read .parquet: pip install 'convlstm-native[parquet]'"
        ) from error


_WRITERS: dict[str, Callable[[IO[bytes], tuple[str, ...]], Writer]] = {
    ".csv": _CsvWriter,
    ".jsonl": _JsonlWriter,
    ".parquet": _ParquetWriter,
}


def check_format(path: str | Path) -> str:
    """The format of a score file, by its suffix.

    Raises :class:`InputError` for an unknown suffix and where the package for the format is
    missing.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise InputError(
            f"score file {str(path)!r}: expected one of {', '.join(_WRITERS)}, found {suffix!r}"
        )
    if suffix == ".parquet":
        _parquet()
    return suffix


def open_writer(path: str | Path, file: IO[bytes], names: tuple[str, ...]) -> Writer:
    """A writer into ``file`` in the format that the suffix of ``path`` names."""
    return _WRITERS[check_format(path)](file, names)


@dataclass(frozen=True, eq=False)
class InputScores:
    """Scores of one input, read back: ``columns[name]`` is float32, NaN where the cell is empty.

    ``frames`` are -1 and ``times`` NaN where they are empty.
    """

    input: str
    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    columns: dict[str, NDArray[np.float32]]


def read_scores(path: str | Path) -> list[InputScores]:
    """Read a score file, one entry an input, in the order of the file.

    Raises :class:`InputError` where the file is not a score table, ``OSError`` where it cannot be
    read.
    """
    suffix = check_format(path)
    read = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}[suffix]
    try:
        names, columns = read(Path(path))
        if tuple(names[: len(KEYS)]) != KEYS:
            raise InputError(f"expected columns {', '.join(KEYS)}, ..., found {', '.join(names)}")
        return _by_input(names, columns)
    except (ValueError, TypeError, LookupError) as error:
        raise InputError(f"score file {str(path)!r}: {error}") from error


Table = tuple[list[str], list[list[Any]]]


def _read_csv(path: Path) -> Table:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    names = rows[0] if rows else []
    if any(len(row) != len(names) for row in rows):
        raise InputError(f"expected {len(names)} cells in every row")
    return names, [list(column) for column in zip(*rows[1:], strict=True)]


def _read_jsonl(path: Path) -> Table:
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    names = list(rows[0]) if rows else list(KEYS)
    return names, [[row[name] for row in rows] for name in names]


def _read_parquet(path: Path) -> Table:
    table = _parquet().parquet.read_table(path)
    return table.column_names, [column.to_pylist() for column in table.columns]


def _numbers(cells: list[Any], missing: float) -> NDArray[np.float64]:
    return np.array([missing if cell in (None, "") else cell for cell in cells], np.float64)


def _by_input(names: list[str], columns: list[list[Any]]) -> list[InputScores]:
    if not columns or not columns[0]:
        return []
    inputs = np.array(columns[0])
    frames = _numbers(columns[1], -1).astype(np.int64)
    times = _numbers(columns[2], math.nan)
    scores = {
        name: _numbers(cells, math.nan).astype(np.float32)
        for name, cells in zip(names[3:], columns[3:], strict=True)
    }
    found = []
    for name in dict.fromkeys(columns[0]):
        here = inputs == name
        found.append(
            InputScores(name, frames[here], times[here], {k: v[here] for k, v in scores.items()})
        )
    return found
