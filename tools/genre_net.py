"""The genre net of "An introduction to ConvLSTM" in Keras, and the trailers that it is trained on."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from convlstm_native.trailers import CATEGORIES
from numpy.typing import NDArray

# Keras chooses its backend once, when it is imported, so the other tools take it from here. JAX
# compiles the whole training step for the CPU.
os.environ.setdefault("KERAS_BACKEND", "jax")

import fast_layers
import keras
from make_trailers import labels_path

__all__ = ["PIXEL_SCALE", "TrailerSequence", "build_genre_net", "keras", "trailer_ids"]

Floats = NDArray[np.float32]

PIXEL_SCALE = 1 / 255


def build_genre_net(
    rows: int,
    cols: int,
    frames: int | None = None,
    channels: int = 3,
    dense: Sequence[int] = (512, 32),
    categories: Sequence[str] = CATEGORIES,
    fast: bool = False,
) -> keras.Model:
    """The article's network: (N, frames, channels, rows, cols) in, one (N, frames, 1) a category out.

    Any number of frames when ``frames`` is None. ``dense`` holds the widths of the hidden dense
    layers. Only the name is not the article's: it ends in a space, and Keras on TensorFlow refuses
    to run such a model. With ``fast`` the layers are those of ``fast_layers``; both kinds take the
    same weights.
    """
    layers = keras.layers
    recurrent, distributed = (
        (fast_layers.ConvLSTM2D, fast_layers.TimeDistributed)
        if fast
        else (layers.ConvLSTM2D, layers.TimeDistributed)
    )

    def conv_lstm(filters: int, **arguments: Any) -> keras.Layer:
        return recurrent(
            filters=filters,
            kernel_size=(3, 3),
            data_format="channels_first",
            padding="same",
            return_sequences=True,
            **arguments,
        )

    def pool(size: int) -> keras.Layer:
        # To this layer time is the channel axis: it pools over (channels, rows, cols) of each frame.
        return layers.MaxPooling3D(
            pool_size=(1, size, size), padding="same", data_format="channels_first"
        )

    trailer = keras.Input(shape=(frames, channels, rows, cols), name="trailer_input")
    x = conv_lstm(20, activation="tanh", recurrent_activation="hard_sigmoid")(trailer)
    # Without arguments the axis is -1: one scale and shift for each column of the picture.
    x = layers.BatchNormalization()(x)
    x = pool(2)(x)
    x = conv_lstm(10)(x)
    x = layers.BatchNormalization()(x)
    x = pool(3)(x)
    outputs = []
    for category in categories:
        y = conv_lstm(5, stateful=False, kernel_initializer="random_uniform")(x)
        y = pool(2)(y)
        y = distributed(layers.Flatten())(y)
        for width in dense:
            y = distributed(layers.Dense(width))(y)
        outputs.append(distributed(layers.Dense(1), name=f"cat_{category}")(y))
    return keras.Model(trailer, outputs, name="genre_net")


def trailer_ids(folder: Path) -> list[int]:
    """Ids of the trailers in ``folder`` that have both their frames and their labels, in order."""
    ids = (re.fullmatch(r"trailer_(\d+)\.npy", path.name) for path in folder.iterdir())
    found = sorted(int(match[1]) for match in ids if match)
    return [i for i in found if labels_path(folder, i).exists()]


class TrailerSequence(keras.utils.PyDataset):  # type: ignore[misc]
    """Trailers in batches of one, in a new order each epoch; only the one asked for is in memory.

    An item is ``(frames, labels)``: frames float32 (1, T, 3, rows, cols) in 0 to 1, labels a tuple
    with one float32 (1, T, 1) for each category. The order of an epoch depends on ``seed`` and the
    epoch alone, so a resumed training goes on as if it had never stopped. ``shuffle=False`` keeps
    the order of ``ids``.
    """

    def __init__(
        self, folder: Path, ids: Sequence[int], seed: int = 0, epoch: int = 0, shuffle: bool = True
    ) -> None:
        super().__init__()
        self.folder = folder
        self.ids = tuple(ids)
        self.seed = seed
        self.epoch = epoch
        self.shuffle = shuffle

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[Floats, tuple[Floats, ...]]:
        order = np.arange(len(self.ids))
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        trailer = self.ids[order[index]]
        frames = np.load(self.folder / f"trailer_{trailer}.npy", mmap_mode="r")
        labels = np.load(labels_path(self.folder, trailer)).astype(np.float32)
        pixels = np.multiply(frames, np.float32(PIXEL_SCALE), dtype=np.float32)
        return pixels[np.newaxis], tuple(labels.T[:, np.newaxis, :, np.newaxis])

    def on_epoch_end(self) -> None:
        """Moves on to the order of the next epoch."""
        self.epoch += 1
