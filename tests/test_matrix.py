"""Every row of the matrix: a file of the installed Keras, loaded and run, against its ``predict``.

The same file as ONNX is read back unchanged, and ONNX Runtime gives the same numbers.
"""

from __future__ import annotations

import functools
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matrix
import numpy as np
import pytest
from convlstm_native import Model
from convlstm_native.onnx_writer import to_onnx
from convlstm_native.readers.onnx_files import parse_onnx, read_onnx
from convlstm_native.spec import NetworkSpec
from onnx_files import run_in_onnx_runtime
from same_spec import assert_same_spec
from tolerances import check

keras = pytest.importorskip("keras")

# Keras 3.15 itself, when it saves or copies a variable with NumPy 2.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # JAX has no int64, which some of Keras' preprocessing layers ask for.
    pytest.mark.filterwarnings("ignore:.*Explicitly requested dtype:UserWarning"),
    pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning"),
    # Keras tells again in every call what it told when the layer was made.
    pytest.mark.filterwarnings("ignore:.*You passed `rms_scaling=True`:UserWarning"),
]

GROUPS = matrix.groups()
PLACES = {one.id: (g, i) for g, group in enumerate(GROUPS) for i, one in enumerate(group)}


@dataclass
class Outcome:
    """What Keras predicts, output by output, row by row, beside what we find."""

    spec: NetworkSpec
    given: dict[str, Any]
    expected: list[list[Any]]
    found: list[list[Any]]


@functools.cache
def outcome(group: int) -> Outcome:
    keras_model, counts = matrix.model(keras, GROUPS[group])
    matrix.randomize(keras_model)
    given = matrix.data(GROUPS[group])
    expected = keras_model.predict_on_batch([given[i.name] for i in keras_model.inputs])
    expected = list(expected) if isinstance(expected, (list, tuple)) else [expected]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.keras"
        keras_model.save(path)
        model = Model.load(path)
    found = list(model.predict(given).values())
    expected = [np.asarray(array, np.float64) for array in expected]
    assert len(found) == len(expected)
    return Outcome(model.spec, given, by_row(expected, counts), by_row(found, counts))


@functools.cache
def in_onnx_runtime(group: int) -> list[list[Any]]:
    spec = outcome(group).spec
    model = to_onnx(spec)
    assert_same_spec(read_onnx(parse_onnx(model.SerializeToString(), "memory")), spec)
    found = run_in_onnx_runtime(model, outcome(group).given)
    return by_row(list(found.values()), [len(row) for row in outcome(group).expected])


def by_row(outputs: list[Any], counts: list[int]) -> list[list[Any]]:
    rest = iter(outputs)
    return [list(itertools.islice(rest, count)) for count in counts]


@pytest.mark.parametrize("name", PLACES)
def test_row(name: str) -> None:
    group, place = PLACES[name]
    expected = outcome(group).expected[place]
    for have, want in zip(outcome(group).found[place], expected, strict=True):
        assert np.isfinite(want).all()
        check(have, want, GROUPS[group][place].tolerance)


@pytest.mark.parametrize("name", PLACES)
def test_row_in_onnx_runtime(name: str) -> None:
    group, place = PLACES[name]
    expected = outcome(group).expected[place]
    for have, want in zip(in_onnx_runtime(group)[place], expected, strict=True):
        check(have, want, GROUPS[group][place].tolerance)


def test_names_differ() -> None:
    assert len(PLACES) == sum(map(len, GROUPS))
