"""Random Functional graphs: ours against Keras, streamed against whole, and as ONNX in ONNX Runtime."""

from __future__ import annotations

import functools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matrix
import numpy as np
import pytest
import random_graphs
from convlstm_native import Model
from convlstm_native.onnx_writer import to_onnx
from convlstm_native.readers.onnx_files import parse_onnx, read_onnx
from onnx_files import run_in_onnx_runtime
from same_spec import assert_same_spec
from streaming import streamed
from tolerances import check

keras = pytest.importorskip("keras")

pytestmark = [
    # Keras 3.15 itself, when it saves or copies a variable with NumPy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # A graph may end in one number.
    pytest.mark.filterwarnings("ignore:.*You are using a softmax over axis:UserWarning"),
]

GRAPHS = int(os.environ.get("RANDOM_GRAPHS", "60"))
# Graphs side by side in one Keras model: compiling a model takes far longer than running it.
SIDE_BY_SIDE = 15
FRAMES = 4


@dataclass
class Outcome:
    model: Model
    given: dict[str, Any]
    expected: dict[int, list[Any]]  # by seed
    found: dict[int, list[Any]]


@functools.cache
def outcome(group: int) -> Outcome:
    seeds = range(group * SIDE_BY_SIDE, min((group + 1) * SIDE_BY_SIDE, GRAPHS))
    inputs, outputs, counts = [], [], []
    # Every third model leaves the number of frames open.
    frames = None if group % 3 == 2 else FRAMES
    for seed in seeds:
        some_inputs, some_outputs = random_graphs.build(keras, seed, frames, f"g{seed}")
        inputs += some_inputs
        outputs += some_outputs
        counts.append(len(some_outputs))
    keras_model = keras.Model(inputs, outputs)
    matrix.randomize(keras_model, group)
    rng = np.random.default_rng(group)
    given = {
        i.name: rng.standard_normal((2, FRAMES, *i.shape[2:])).astype(np.float32)
        for i in keras_model.inputs
    }
    predicted = keras_model.predict_on_batch([given[i.name] for i in keras_model.inputs])
    predicted = list(predicted) if isinstance(predicted, (list, tuple)) else [predicted]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graphs.keras"
        keras_model.save(path)
        model = Model.load(path)
    found = list(model.predict(given).values())
    return Outcome(model, given, by_seed(seeds, predicted, counts), by_seed(seeds, found, counts))


def by_seed(seeds: range, outputs: list[Any], counts: list[int]) -> dict[int, list[Any]]:
    assert len(outputs) == sum(counts)
    rest = iter(outputs)
    return {seed: [next(rest) for _ in range(n)] for seed, n in zip(seeds, counts, strict=True)}


@pytest.mark.parametrize("seed", range(GRAPHS))
def test_against_keras(seed: int) -> None:
    result = outcome(seed // SIDE_BY_SIDE)
    for found, expected in zip(result.found[seed], result.expected[seed], strict=True):
        assert np.isfinite(expected).all()
        check(found, np.asarray(expected, np.float64), "keras network")


@pytest.mark.parametrize("group", range(-(-GRAPHS // SIDE_BY_SIDE)))
def test_streamed(group: int) -> None:
    result = outcome(group)
    one = {name: array[1] for name, array in result.given.items()}
    whole = [array for arrays in result.found.values() for array in arrays]
    found = streamed(result.model, one)
    for have, want in zip(found.values(), whole, strict=True):
        np.testing.assert_array_equal(have, want[1])


@pytest.mark.parametrize("group", range(-(-GRAPHS // SIDE_BY_SIDE)))
def test_in_onnx_runtime(group: int) -> None:
    result = outcome(group)
    model = to_onnx(result.model.spec)
    assert_same_spec(read_onnx(parse_onnx(model.SerializeToString(), "memory")), result.model.spec)
    found = run_in_onnx_runtime(model, result.given)
    whole = [array for arrays in result.found.values() for array in arrays]
    for have, want in zip(found.values(), whole, strict=True):
        check(have, want.astype(np.float64), "keras network")
