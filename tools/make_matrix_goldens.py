"""Write the golden models of the matrix of layers: files and predictions of Keras 2.

Run it with the Python of an environment that holds Keras 2 (``pip install tensorflow-cpu==2.15.1
"numpy<2"``, Python 3.11), from anywhere:

    python tools/make_matrix_goldens.py

All rows of ``tests/matrix.py`` that Keras 2 knows are built, several to a model, with seeded weights,
saved as ``.h5`` and ``.keras`` by turns, and predicted. ``tests/golden/matrix/`` is written anew: each
model as ``<place><suffix>.gz`` beside ``<place>.npz`` with ``row`` (the rows' names), ``count`` (outputs
of each), ``input:<name>`` (steps of 1/8 in int8) and ``output:<place>``. A row that says that Keras 2
knows it and cannot be built or predicted is an error that names all such rows; nothing is written then.
"""

from __future__ import annotations

import gzip
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
matrix: Any = importlib.import_module("matrix")

FOLDER = ROOT / "tests" / "golden" / "matrix"
# What the repository has room for: the largest models run here, and are not kept.
MOST_BYTES = 2_000_000
SUFFIXES = (".h5", ".keras")
STEPS = 8  # of an input between two integers
SEED = 20150


def main() -> None:
    """Write every group of rows, or name every row that fails."""
    if not keras.__version__.startswith("2."):
        sys.exit(f"expected Keras 2, found Keras {keras.__version__}")
    tf.get_logger().setLevel("ERROR")
    rows = [row for row in matrix.rows() if row.keras2]
    failures = _failures(rows, lambda row: matrix.model(keras, [row]))
    with tempfile.TemporaryDirectory() as made:
        groups = [] if failures else matrix.groups(lambda row: row.keras2)
        for place, group in enumerate(groups):
            print(f"model {place + 1} of {len(groups)}: {len(group)} rows", flush=True)
            try:
                _write(Path(made), place, group)
            except Exception:  # one row takes the whole model with it: find out which
                named = _failures(group, _predict_alone)
                if not named:
                    raise
                failures += named
        if failures:
            sys.exit(
                f"{len(failures)} rows fail in Keras {keras.__version__}:\n" + "\n".join(failures)
            )
        FOLDER.mkdir(parents=True, exist_ok=True)
        for old in FOLDER.iterdir():
            old.unlink()
        for new in Path(made).iterdir():
            shutil.copy(new, FOLDER)
    _keep_small(MOST_BYTES)
    size = sum(file.stat().st_size for file in FOLDER.iterdir())
    print(f"{len(rows)} rows ran, {size / 1e6:.2f} MB of them kept")


def _failures(rows: list[Any], run: Callable[[Any], Any]) -> list[str]:
    """A line for each row that cannot be run."""
    failures = []
    for row in rows:
        keras.backend.clear_session()
        try:
            run(row)
        except Exception as error:  # whatever Keras and TensorFlow raise
            reason = next(iter(str(error).splitlines()), "")
            failures.append(f"- {row.id}: {type(error).__name__}: {reason}")
    return failures


def _predict_alone(row: Any) -> None:
    _predict(matrix.model(keras, [row])[0], _inputs([row]))


def _write(folder: Path, place: int, group: list[Any]) -> None:
    keras.backend.clear_session()
    model, counts = matrix.model(keras, group)
    matrix.randomize(model, SEED + place)
    inputs = _inputs(group)
    arrays: dict[str, Any] = {"row": [row.id for row in group], "count": counts}
    arrays |= {f"input:{name}": (value * STEPS).astype(np.int8) for name, value in inputs.items()}
    arrays |= {f"output:{i}": value for i, value in enumerate(_predict(model, inputs))}
    np.savez_compressed(folder / f"{place:02}.npz", **arrays)
    file = folder / f"{place:02}{SUFFIXES[place % 2]}"
    model.save(str(file))
    (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))
    file.unlink()


def _keep_small(most: int) -> None:
    """Delete the largest models until the rest has at most so many bytes."""
    models: dict[str, list[Path]] = {}
    for file in FOLDER.iterdir():
        models.setdefault(file.name.split(".")[0], []).append(file)
    sizes = {name: sum(file.stat().st_size for file in pair) for name, pair in models.items()}
    total = sum(sizes.values())
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if total <= most:
            return
        total -= sizes[name]
        for file in models[name]:
            file.unlink()


def _inputs(group: list[Any]) -> dict[str, Any]:
    """Inputs by name that take a byte a number in the file."""
    data = matrix.data(group, samples=1)
    return {
        name: np.round(value * STEPS).astype(np.float32) / STEPS for name, value in data.items()
    }


def _predict(model: Any, inputs: dict[str, Any]) -> list[Any]:
    """The outputs in order. What TensorFlow's own kernels lack on a CPU (convolutions in
    channels_first), XLA has."""
    given = [inputs[tensor.name.split(":")[0]] for tensor in model.inputs]
    try:
        outputs = _listed(model.predict_on_batch(given))
    except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError):
        compiled: Callable[..., Any] = tf.function(model, jit_compile=True)
        outputs = _listed(compiled([tf.constant(array) for array in given], training=False))
    return [np.asarray(output) for output in outputs]


def _listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


if __name__ == "__main__":
    main()
