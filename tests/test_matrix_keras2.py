"""Rows of the matrix in files that Keras 2 wrote, against what Keras 2 predicted from them.

``tools/make_matrix_goldens.py`` writes them; it must run again whenever such a row is new or changed.
"""

from __future__ import annotations

import functools
import gzip
from pathlib import Path
from typing import Any

import matrix
import numpy as np
import pytest
from convlstm_native import Model
from keras_files import GOLDEN
from test_matrix import by_row
from tolerances import check

FOLDER = GOLDEN / "matrix"
STEPS = 8  # of an input between two integers
FILES = sorted(FOLDER.glob("*.gz"))
ROWS = {one.id: one for one in matrix.rows() if one.keras2}


def arrays(file: Path) -> dict[str, Any]:
    with np.load(FOLDER / f"{file.name.split('.')[0]}.npz") as stored:
        return dict(stored)


PLACES = {str(name): (file, i) for file in FILES for i, name in enumerate(arrays(file)["row"])}


@functools.cache
def outcome(file: Path) -> tuple[list[list[Any]], list[list[Any]]]:
    """What we find and what Keras 2 predicted, row by row."""
    stored = arrays(file)
    given = {
        name.split(":")[1]: value.astype(np.float32) / STEPS
        for name, value in stored.items()
        if name.startswith("input:")
    }
    found = list(Model.load(gzip.decompress(file.read_bytes())).predict(given).values())
    expected = [stored[f"output:{i}"] for i in range(len(found))]
    assert f"output:{len(found)}" not in stored
    counts = stored["count"].tolist()
    return by_row(found, counts), by_row(expected, counts)


@pytest.mark.parametrize("name", PLACES)
def test_row_of_keras_2(name: str) -> None:
    file, place = PLACES[name]
    found, expected = outcome(file)
    for have, want in zip(found[place], expected[place], strict=True):
        assert np.isfinite(want).all()
        check(have, want, ROWS[name].tolerance)


def test_goldens_are_those_of_the_matrix() -> None:
    """The largest models are not kept, but rows of every family and far more than a few are."""
    assert set(PLACES) <= set(ROWS)
    assert len(PLACES) >= 500
    assert {name.split()[0] for name in PLACES} == set(matrix.FAMILIES)


def test_both_kinds_of_file_are_there() -> None:
    assert {file.suffixes[0] for file in FILES} == {".h5", ".keras"}
