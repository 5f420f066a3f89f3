"""Write the golden models of one Keras version: its files, inputs, and its own outputs.

Run it with the Python of an environment that holds the Keras in question (2.12 or newer):

    python tools/make_goldens.py tests/golden

Three small networks with seeded weights are saved as ``<net>-keras-<version>.keras`` (the genre net
as ``.h5`` too, when asked by ``--h5``; a fourth one, of nested models, by ``--nested``), next to
``<net>-keras-<version>.npz`` with the arrays ``input:<name>`` and ``output:<place>``. The outputs come
from ``predict`` of the same Keras that wrote the files.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")  # Keras 2 knows TensorFlow alone and ignores it

import keras
import numpy as np
from keras import layers

CATEGORIES = ("comedy", "action", "terror", "thriller", "musical", "other")
SEED = 20170


def genre_net() -> tuple[list[Any], list[Any]]:
    """The article's network, channels_first: 4 frames of 3x24x28, narrow dense layers."""
    trailer = keras.Input(shape=(4, 3, 24, 28), name="trailer_input")
    x = layers.ConvLSTM2D(
        filters=20,
        kernel_size=(3, 3),
        data_format="channels_first",
        activation="tanh",
        recurrent_activation="hard_sigmoid",
        padding="same",
        return_sequences=True,
    )(trailer)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling3D(pool_size=(1, 2, 2), padding="same", data_format="channels_first")(x)
    x = layers.ConvLSTM2D(
        filters=10,
        kernel_size=(3, 3),
        data_format="channels_first",
        padding="same",
        return_sequences=True,
    )(x)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling3D(pool_size=(1, 3, 3), padding="same", data_format="channels_first")(x)
    return [trailer], [branch(x, f"cat_{category}") for category in CATEGORIES]


def branch(x: Any, name: str) -> Any:
    """One category's scores for each frame."""
    x = layers.ConvLSTM2D(
        filters=5,
        kernel_size=(3, 3),
        data_format="channels_first",
        stateful=False,
        kernel_initializer="random_uniform",
        padding="same",
        return_sequences=True,
    )(x)
    x = layers.MaxPooling3D(pool_size=(1, 2, 2), padding="same", data_format="channels_first")(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    x = layers.TimeDistributed(layers.Dense(16))(x)
    x = layers.TimeDistributed(layers.Dense(8))(x)
    return layers.TimeDistributed(layers.Dense(1), name=name)(x)


def states_net() -> tuple[list[Any], list[Any]]:
    """Initial states in, final states out, backwards, channels_last; shared and idle layers."""
    frames = keras.Input(shape=(None, 7, 6, 3), name="frames")
    h, c = (keras.Input(shape=(7, 6, 2), name=name) for name in ("start_h", "start_c"))
    cell = layers.ConvLSTM2D(
        2,
        (2, 3),
        padding="same",
        dilation_rate=(2, 1),
        activation="relu",
        recurrent_activation="hard_sigmoid",
        dropout=0.2,
        return_sequences=True,
        return_state=True,
        go_backwards=True,
        name="cell",
    )
    y, last_h, last_c = cell(frames, initial_state=[h, c])
    y = layers.Dropout(0.3, name="drop")(y)
    shared = layers.LeakyReLU(name="leaky")
    y = layers.BatchNormalization(axis=2, scale=False, epsilon=0.01, name="rows")(shared(y))
    y = layers.TimeDistributed(layers.Dense(3, activation="softmax", use_bias=False), name="mix")(y)
    return [frames, h, c], [y, shared(last_h), last_c]


def chain_net() -> tuple[list[Any], list[Any]]:
    """What becomes the Sequential golden: frames to one answer a sample."""
    frames = keras.Input(shape=(5, 9, 8, 2), name="clip")
    x = layers.ConvLSTM2D(3, 3, strides=2, use_bias=False, recurrent_activation="sigmoid")(frames)
    x = layers.BatchNormalization(center=False)(x)
    x = layers.MaxPooling2D((2, 2), strides=1)(x)
    x = layers.ReLU(max_value=0.4, negative_slope=0.1, threshold=0.02)(x)
    x = layers.Flatten()(x)
    return [frames], [layers.Dense(2, activation="sigmoid", name="answer")(x)]


def nested_net() -> tuple[list[Any], list[Any]]:
    """One model around each frame of two clips, a Sequential within it, and a model called twice."""
    picture = keras.Input(shape=(6, 4, 2), name="picture")
    pixels = keras.Sequential(
        [
            keras.Input(shape=(6, 4, 2)),
            layers.Dense(3, activation="relu", name="pixel_mix"),
            layers.BatchNormalization(name="pixel_norm"),
            layers.Dense(2, name="pixel_last"),
        ],
        name="pixels",
    )
    x = layers.BatchNormalization(scale=False, name="norm")(pixels(picture))
    x = layers.Flatten(name="flat")(layers.MaxPooling2D(name="pool")(x))
    features = layers.TimeDistributed(
        keras.Model(picture, layers.Dense(4, name="mix")(x), name="features"), name="each"
    )
    clip = keras.Input(shape=(5, 6, 4, 2), name="any")
    cell = layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True, name="cell")
    moves = keras.Model(clip, layers.BatchNormalization(name="move_norm")(cell(clip)), name="moves")
    a, b = (keras.Input(shape=(5, 6, 4, 2), name=name) for name in "ab")
    score = layers.Dense(2, activation="tanh", name="score")
    return [a, b], [score(features(a)), score(features(moves(b))), moves(moves(a))]


def functional(ends: tuple[list[Any], list[Any]], name: str) -> Any:
    """A functional model over the ends of a network."""
    return keras.Model(inputs=ends[0], outputs=ends[1], name=name)


def sequential(ends: tuple[list[Any], list[Any]], name: str) -> Any:
    """The same layers as a Sequential model."""
    return keras.Sequential(functional(ends, name).layers, name=name)


def fill(model: Any, random: np.random.Generator) -> None:
    """Seeded weights of a size that keeps every gate in its working range, and true statistics."""
    for layer in model.layers:
        values = []
        for weight in layer.weights:
            # "conv_lstm2d/kernel:0" in Keras 2, "kernel" in Keras 3
            kind = weight.name.split("/")[-1].split(":")[0]
            shape = tuple(weight.shape)
            if kind in ("gamma", "moving_variance"):
                values.append(random.uniform(0.4, 1.6, shape))
            elif kind in ("beta", "moving_mean", "bias"):
                values.append(random.normal(0, 0.3, shape))
            else:
                values.append(random.normal(0, 1.5 / np.sqrt(np.prod(shape[:-1])), shape))
        layer.set_weights([value.astype(np.float32) for value in values])


def write(
    folder: Path,
    net: str,
    ends: tuple[list[Any], list[Any]],
    kind: Callable[..., Any],
    name: str,
    batch: int,
    suffixes: tuple[str, ...] = (".keras",),
) -> None:
    """Save one network under ``name`` with inputs and outputs.

    The outputs come from a twin without the trailing space of the name, which TensorFlow refuses to
    predict.
    """
    random = np.random.default_rng(SEED)
    model = kind(ends, name)
    fill(model, random)
    inputs = {}
    for tensor in ends[0]:
        frames = tuple(4 if size is None else size for size in tensor.shape[1:])
        inputs[tensor.name.split(":")[0]] = random.normal(0, 1, (batch, *frames)).astype(np.float32)
    twin = functional(ends, name.strip())
    outputs = twin.predict(list(inputs.values()), verbose=0)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    arrays = {f"input:{key}": value for key, value in inputs.items()}
    arrays |= {f"output:{i}": np.asarray(value) for i, value in enumerate(outputs)}
    stem = f"{net}-keras-{keras.__version__}"
    for suffix in suffixes:
        model.save(str(folder / (stem + suffix)))
    np.savez_compressed(folder / f"{stem}.npz", **arrays)  # type: ignore[arg-type]


def main() -> None:
    """Write the goldens of the installed Keras into the folder named on the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--h5", action="store_true", help="save the genre net as .h5 too")
    parser.add_argument("--nested", action="store_true", help="write the nested net as well")
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    suffixes = (".keras", ".h5") if arguments.h5 else (".keras",)
    write(folder, "genre", genre_net(), functional, "Model ", 1, suffixes)
    write(folder, "states", states_net(), functional, "states", 2)
    write(folder, "chain", chain_net(), sequential, "chain", 2)
    if arguments.nested:
        write(folder, "nested", nested_net(), functional, "nested", 2, (".keras", ".h5"))


if __name__ == "__main__":
    main()
