"""Which axis of a Keras model is time, and whether a fixed number of frames is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from convlstm_native.readers import read
from convlstm_native.readers.keras_files import parse_config
from convlstm_native.readers.keras_nesting import flatten
from convlstm_native.readers.keras_time import sequence_inputs
from keras_files import ZEROS, saved

keras = pytest.importorskip("keras")
layers = keras.layers

# Keras 3.15 itself, when it saves or copies a variable with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def cell(return_sequences: bool = True, **more: Any) -> Any:
    return layers.ConvLSTM2D(
        2, 1, return_sequences=return_sequences, data_format="channels_last", **more, **ZEROS
    )


def each(layer: Any) -> Any:
    return layers.TimeDistributed(layer)


def nested(shape: tuple[int, ...], *inner: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *inner])


CLIP = (4, 6, 6, 2)
# Shapes of the inputs, what is built on them, and which of them are sequences.
CASES: dict[str, tuple[list[tuple[int | None, ...]], Callable[..., Any], list[bool]]] = {
    "five axes": ([CLIP], lambda x: layers.Dense(1)(x), [True]),
    "open time": ([(None, 3)], lambda x: layers.Dense(1)(x), [True]),
    "read by a recurrent layer": ([CLIP], lambda x: cell()(x), [True]),
    "read by TimeDistributed": ([(4, 3)], lambda x: each(layers.Dense(1))(x), [True]),
    "read through frame-wise layers": (
        [(4, 6, 3)],
        lambda x: each(layers.Flatten())(layers.ReLU()(layers.Dense(2)(x))),
        [True],
    ),
    "read within a nested model": (
        [(4, 6, 3)],
        lambda x: nested((4, 6, 3), layers.Dense(2), each(layers.Flatten()))(x),
        [True],
    ),
    "read behind a nested model": (
        [(4, 6, 3)],
        lambda x: each(layers.Flatten())(nested((4, 6, 3), layers.Dense(2))(x)),
        [True],
    ),
    "added to a sequence": (
        [(4, 3), (4, 3), (4, 2)],
        lambda x, y, z: layers.Concatenate()([layers.Add()([each(layers.Dense(3))(x), y]), z]),
        [True, True, True],
    ),
    "a picture beside a clip": (
        [CLIP, (6, 6, 2)],
        lambda x, y: layers.Concatenate()(
            [layers.Flatten()(cell(False)(x)), layers.Flatten()(layers.Dense(1)(y))]
        ),
        [True, False],
    ),
    "initial states": (
        [CLIP, (6, 6, 2), (6, 6, 2)],
        lambda x, h, c: cell()(x, initial_state=[layers.Dense(2)(h), c]),
        [True, False, False],
    ),
    "a picture through the TimeDistributed model of a clip": (
        [CLIP, (6, 6, 2)],
        lambda x, y: (lambda net: [each(net)(x), net(y)])(
            nested((6, 6, 2), layers.Flatten(), layers.Dense(1))
        ),
        [True, False],
    ),
    "a vector": ([CLIP, (3,)], lambda x, y: [cell()(x), layers.Dense(2)(y)], [True, False]),
    "a matrix that no layer goes through": (
        [(4, 3)],
        lambda x: layers.Flatten()(layers.Dense(2)(x)),
        [False],
    ),
    "windows over the first axis, before a layer that goes through time or not": (
        [(4, 3), (4, 3), (6, 6, 2)],
        lambda x, y, z: [
            each(layers.Dense(1))(layers.MaxPooling1D()(x)),
            layers.AveragePooling1D(2)(y),
            layers.MaxPooling2D()(z),
        ],
        [True, False, False],
    ),
    "time that was flattened and made anew": (
        [CLIP, (72, 2)],
        lambda x, y: [
            each(layers.Dense(1))(layers.Reshape((8, 9))(layers.Flatten()(cell(False)(x)))),
            layers.Flatten()(y),
        ],
        [True, False],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_sequence_inputs(name: str) -> None:
    shapes, build, expected = CASES[name]
    inputs = [keras.Input(shape, name=f"in{i}") for i, shape in enumerate(shapes)]
    model = keras.Model(inputs, build(*inputs))
    graph = flatten(parse_config(model.to_json(), "memory").graph, "memory")
    found = sequence_inputs(graph)
    assert [f"in{i}" in found for i in range(len(inputs))] == expected


def lengths(build: Callable[[Any], Any], shape: tuple[int | None, ...], folder: Path) -> Any:
    frames = keras.Input(shape, name="frames")
    network = read(saved(keras.Model(frames, build(frames)), folder))
    return [i.length for i in network.inputs]


@pytest.mark.parametrize(
    "build",
    [
        lambda x: cell()(x),
        lambda x: layers.Flatten()(cell(False)(x)),
        lambda x: each(nested(CLIP[1:], layers.Flatten(), layers.Dense(1)))(x),
        lambda x: layers.Concatenate()([cell()(x), x]),
    ],
)
def test_a_fixed_number_of_frames_is_dropped_where_nothing_needs_it(
    build: Callable[[Any], Any], tmp_path: Path
) -> None:
    assert lengths(build, CLIP, tmp_path) == [None]


@pytest.mark.parametrize(
    "build",
    [
        lambda x: layers.Flatten()(cell()(x)),
        lambda x: layers.Permute((2, 1, 3, 4))(cell()(x)),
        # Four copies of one vector: added to a clip, it must have four frames too.
        lambda x: layers.Add()(
            [
                each(layers.Flatten())(cell()(x)),
                layers.RepeatVector(4)(layers.Flatten()(cell(False)(x))),
            ]
        ),
    ],
)
def test_a_fixed_number_of_frames_is_kept_where_a_layer_mixes_them(
    build: Callable[[Any], Any], tmp_path: Path
) -> None:
    assert lengths(build, CLIP, tmp_path) == [4]
