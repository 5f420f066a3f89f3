"""Published networks, rebuilt from their description with seeded weights: as the installed Keras does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convlstm_native import Model
from keras_files import ZEROS, saved
from tolerances import check

keras = pytest.importorskip("keras")
layers = keras.layers

# Keras 3.15 itself, when it saves or copies a variable with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def moving_squares() -> Any:
    """The next-frame example of Keras 2: four layers of 40 filters and a Conv3D; here of 8 filters."""
    model = keras.Sequential([keras.Input((None, 40, 40, 1))])
    for _ in range(4):
        model.add(layers.ConvLSTM2D(8, 3, padding="same", return_sequences=True, **ZEROS))
        model.add(layers.BatchNormalization())
    model.add(layers.Conv3D(1, 3, activation="sigmoid", padding="same"))
    return model


def human_activity() -> Any:
    """ConvLSTM over whole clips: 4, 8, 14 and 16 filters with pools between, Flatten over time."""
    model = keras.Sequential([keras.Input((6, 64, 64, 3))])
    for place, filters in enumerate((4, 8, 14, 16)):
        model.add(
            layers.ConvLSTM2D(
                filters,
                (3, 3),
                activation="tanh",
                recurrent_dropout=0.2,
                return_sequences=True,
                **ZEROS,
            )
        )
        model.add(layers.MaxPooling3D((1, 2, 2), padding="same"))
        if place < 3:
            model.add(layers.TimeDistributed(layers.Dropout(0.2)))
    model.add(layers.Flatten())
    model.add(layers.Dense(5, activation="softmax"))
    return model


@pytest.mark.parametrize("build", [moving_squares, human_activity])
def test_published_network(build: Callable[[], Any], tmp_path: Path) -> None:
    keras_model = build()
    model = Model.load(saved(keras_model, tmp_path))
    (given,) = keras_model.inputs
    shape = (2, *(n or 7 for n in given.shape[1:]))
    frames = np.random.default_rng(7).random(shape, np.float32)
    (found,) = model.predict(frames).values()
    check(found, np.asarray(keras_model.predict_on_batch(frames)), "keras network")
