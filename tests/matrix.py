"""The matrix of layers and arguments that are held against Keras, a row a case.

The rows of a family stand in ``matrix_<family>.py``. They import nothing but this file, so that Keras 2
can build them in an environment of its own; ``keras`` is handed in.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

FAMILIES = (
    "convolution",
    "dense",
    "merging",
    "normalization",
    "pooling",
    "recurrent",
    "resizing",
    "shaping",
)
# Rows of one group are branches of one Keras model, because compiling a model takes far longer than
# running a layer.
GROUP = 16


@dataclass(frozen=True)
class Row:
    """One layer with its arguments between inputs and outputs of a model.

    ``shapes`` are those of the inputs without the batch axis, time first where there is one; ``build``
    takes ``(keras, *inputs)`` and returns a tensor or a list of them. ``keras2`` tells whether Keras 2
    knows all of it. ``tolerance`` is a key of :data:`tolerances.TOLERANCES`.
    """

    id: str
    shapes: tuple[tuple[int | None, ...], ...]
    build: Callable[..., Any]
    tolerance: str = "keras layer"
    keras2: bool = True


def row(id: str, shape: tuple[int | None, ...], build: Callable[..., Any], **options: Any) -> Row:
    """A row with one input."""
    return Row(id, (shape,), build, **options)


def layer(
    id: str, shape: tuple[int | None, ...], kind: str, *, keras2: bool = True, **arguments: Any
) -> Row:
    """A row of one layer of ``keras.layers`` on one input."""

    def build(keras: Any, x: Any) -> Any:
        return getattr(keras.layers, kind)(**arguments)(x)

    return row(id, shape, build, keras2=keras2)


def distributed(
    id: str, shape: tuple[int | None, ...], kind: str, *, keras2: bool = True, **arguments: Any
) -> Row:
    """A row of one layer of ``keras.layers`` in TimeDistributed."""

    def build(keras: Any, x: Any) -> Any:
        return keras.layers.TimeDistributed(getattr(keras.layers, kind)(**arguments))(x)

    return row(id, shape, build, keras2=keras2)


def over_time(
    id: str, shape: tuple[int | None, ...], kind: str, *, keras2: bool = True, **arguments: Any
) -> Row:
    """A row of one layer of ``keras.layers`` on a sequence, whatever its rank."""

    def build(keras: Any, x: Any) -> Any:
        x = keras.layers.TimeDistributed(keras.layers.Activation("linear"))(x)
        return getattr(keras.layers, kind)(**arguments)(x)

    return row(id, shape, build, keras2=keras2)


def single(
    id: str, shape: tuple[int, ...], kind: str, *, keras2: bool = True, **arguments: Any
) -> Row:
    """A row of one layer of ``keras.layers`` on a single, beside the sequence that a model must have."""

    def build(keras: Any, clock: Any, x: Any) -> list[Any]:
        ticks = keras.layers.TimeDistributed(keras.layers.Activation("relu"))(clock)
        return [ticks, getattr(keras.layers, kind)(**arguments)(x)]

    return Row(id, ((5, 1), shape), build, keras2=keras2)


def rows() -> Iterator[Row]:
    """Every row of every family."""
    for family in FAMILIES:
        for one in importlib.import_module(f"matrix_{family}").ROWS:
            yield one if one.id.startswith(family) else _named(one, family)


def _named(one: Row, family: str) -> Row:
    return Row(f"{family} {one.id}", one.shapes, one.build, one.tolerance, one.keras2)


def frames(one: Row) -> int | None:
    """What the sequences of a row have in common: the first axis of its first input."""
    return one.shapes[0][0]


def groups(wanted: Callable[[Row], bool] = lambda _: True) -> list[list[Row]]:
    """Rows that can share a model: as many frames in each, at most :data:`GROUP` of them."""
    found: list[list[Row]] = []
    for one in filter(wanted, rows()):
        for group in found:
            if len(group) < GROUP and frames(group[0]) == frames(one):
                group.append(one)
                break
        else:
            found.append([one])
    return found


def model(keras: Any, group: list[Row]) -> tuple[Any, list[int]]:
    """A model of the rows side by side, and the number of outputs of each."""
    inputs, outputs, counts = [], [], []
    for i, one in enumerate(group):
        given = [keras.Input(shape, name=f"r{i}_{k}") for k, shape in enumerate(one.shapes)]
        made = one.build(keras, *given)
        made = list(made) if isinstance(made, (list, tuple)) else [made]
        inputs += given
        outputs += made
        counts.append(len(made))
    return keras.Model(inputs, outputs), counts


def randomize(keras_model: Any, seed: int = 0) -> None:
    """Weights that hide nothing: none is zero or one, variances are positive."""
    import numpy as np

    rng = np.random.default_rng(seed)
    for weight in keras_model.weights:
        shape = tuple(weight.shape)
        fan_in = max(int(np.prod(shape[:-1])), 1)
        values = rng.standard_normal(shape) / np.sqrt(fan_in)
        name = getattr(weight, "path", weight.name)
        if "variance" in name:
            values = 0.5 + np.abs(values)
        elif len(shape) <= 1 or "gamma" in name:
            values = rng.uniform(0.3, 1.2, shape) * rng.choice((-1, 1), shape)
        if getattr(weight, "dtype", "float32") == "float32":
            weight.assign(values.astype(np.float32))
    for keras_layer in keras_model.layers:
        # Normalization computes with copies of its weights.
        getattr(keras_layer, "finalize_state", lambda: None)()


def data(group: list[Row], samples: int = 2, seed: int = 1) -> dict[str, Any]:
    """Inputs for :func:`model`, by name; an open number of frames is 5."""
    import numpy as np

    rng = np.random.default_rng(seed)
    return {
        f"r{i}_{k}": rng.standard_normal((samples, *(n or 5 for n in shape))).astype(np.float32)
        for i, one in enumerate(group)
        for k, shape in enumerate(one.shapes)
    }
