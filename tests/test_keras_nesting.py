"""Models within models, shared layers, several inputs and outputs: as the installed Keras does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convlstm_native import Model
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers import read
from keras_files import ZEROS, saved
from tolerances import check

keras = pytest.importorskip("keras")
layers = keras.layers

# Keras 3.15 itself, when it saves or copies a variable with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLIP = (4, 8, 6, 2)


def agrees(keras_model: Any, path: Path) -> Model:
    """The file gives what Keras predicts; checked through the engine."""
    model = Model.load(path)
    rng = np.random.default_rng(5)
    given = [rng.standard_normal((2, *i.shape[1:])).astype(np.float32) for i in keras_model.inputs]
    names = [i.name for i in model.inputs]
    by_name = dict(zip([i.name for i in keras_model.inputs], given, strict=True))
    one_or_all = given[0] if len(given) == 1 else given
    handed = by_name if keras_model.name == "by_name" else one_or_all
    expected = keras.tree.flatten(keras_model.predict_on_batch(handed))
    found = model.predict(dict(zip(names, given, strict=True)))
    assert len(found) == len(expected)
    for have, want in zip(found.values(), expected, strict=True):
        check(have, np.asarray(want), "keras layer")
    return model


def cnn(name: str, units: int = 3, shape: tuple[int, ...] = CLIP[1:]) -> Any:
    """A picture to features, with weights that train and weights that do not."""
    picture = keras.Input(shape, name=f"{name}_picture")
    x = layers.BatchNormalization(name=f"{name}_norm")(picture)
    x = layers.Dense(5, activation="relu", name=f"{name}_mix")(x)
    x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    x = layers.BatchNormalization(scale=False, name=f"{name}_norm2")(x)
    x = layers.Flatten(name=f"{name}_flat")(x)
    return keras.Model(picture, layers.Dense(units, name=f"{name}_out")(x), name=name)


def head(name: str, units: int) -> Any:
    return keras.Sequential(
        [
            keras.Input((units,)),
            layers.Dense(4, activation="tanh", name=f"{name}_1"),
            layers.BatchNormalization(name=f"{name}_norm"),
            layers.Dense(2, name=f"{name}_2"),
        ],
        name=name,
    )


def shared_cnn() -> Any:
    """One TimeDistributed CNN over two clips, behind it one head for both."""
    a, b = keras.Input(CLIP, name="a"), keras.Input(CLIP, name="b")
    features = layers.TimeDistributed(cnn("cnn"), name="each")
    scores = layers.TimeDistributed(head("head", 3), name="scores")
    return keras.Model([a, b], [scores(features(a)), scores(features(b))])


def deep() -> Any:
    """Functional in Sequential in Functional, the innermost with a ConvLSTM2D and a shared Dense."""
    clip = keras.Input(CLIP)
    x = layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True, name="cell", **ZEROS)(clip)
    mix = layers.Dense(2, activation="tanh", name="mix")
    innermost = keras.Model(clip, mix(mix(x)), name="innermost")
    middle = keras.Sequential(
        [keras.Input(CLIP), innermost, layers.BatchNormalization(name="norm")], name="middle"
    )
    frames = keras.Input(CLIP, name="frames")
    # A nested model of frames to frames called twice, once on its own output.
    return keras.Model(frames, [middle(middle(frames)), innermost(frames)], name="outer")


def sequential_of_models() -> Any:
    encoder = keras.Sequential(
        [keras.Input(CLIP), layers.ConvLSTM2D(3, 3, **ZEROS), layers.Flatten()], name="encoder"
    )
    return keras.Sequential([encoder, head("head", 72), layers.Softmax()])


def dicts() -> Any:
    """Inputs and outputs in dicts, whose order is that of the keys and not that of the layers."""
    one, two = keras.Input((4, 3), name="p"), keras.Input((4, 3), name="q")
    inner = keras.Model(
        {"p": one, "q": two},
        {"y": layers.Dense(2, name="dy")(one), "x": layers.Dense(2, name="dx")(two)},
        name="inner",
    )
    b, a = keras.Input((4, 3), name="b"), keras.Input((4, 3), name="a")
    made = inner({"q": b, "p": a})
    again = inner({"p": b, "q": b})
    times = layers.TimeDistributed(layers.Dense(1, name="last"), name="last")
    return keras.Model(
        {"b": b, "a": a}, {"second": times(made["y"]), "first": again["x"]}, name="by_name"
    )


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("build", [shared_cnn, deep, sequential_of_models, dicts])
def test_nested_models(build: Callable[[], Any], suffix: str, tmp_path: Path) -> None:
    keras_model = build()
    agrees(keras_model, saved(keras_model, tmp_path, suffix))


def test_layers_of_nested_models_are_named_by_their_path(tmp_path: Path) -> None:
    network = read(saved(deep(), tmp_path))
    names = [node.name for node in network.nodes]
    assert names[:4] == [
        "middle/innermost/cell",
        "middle/innermost/mix",
        "middle/innermost/mix#1",
        "middle/norm",
    ]
    assert "middle/innermost/mix#3" in names


def test_frozen_and_partly_frozen_models(tmp_path: Path) -> None:
    """HDF5 files list what trains before what does not: freezing changes the order, not the sum."""
    inner = cnn("cnn")
    inner.get_layer("cnn_mix").trainable = False
    frames = keras.Input(CLIP)
    keras_model = keras.Model(frames, layers.TimeDistributed(inner)(frames))
    agrees(keras_model, saved(keras_model, tmp_path, ".h5"))
    inner.trainable = False
    agrees(keras_model, saved(keras_model, tmp_path, ".h5"))


def test_a_model_shared_with_a_wrapper_has_its_weights_once(tmp_path: Path) -> None:
    inner = cnn("cnn")
    frames, still = keras.Input(CLIP, name="frames"), keras.Input(CLIP[1:], name="still")
    keras_model = keras.Model(
        [frames, still], [layers.TimeDistributed(inner)(frames), inner(still)]
    )
    agrees(keras_model, saved(keras_model, tmp_path))


def test_time_distributed_within_another_is_refused(tmp_path: Path) -> None:
    frames = keras.Input((4, 5, 3))
    inner = layers.TimeDistributed(layers.Dense(2), name="inner")
    keras_model = keras.Model(frames, layers.TimeDistributed(inner, name="outer")(frames))
    with pytest.raises(
        UnsupportedModelError, match=r"TimeDistributed 'outer': layer: expected one"
    ):
        read(saved(keras_model, tmp_path))


def test_recurrent_layer_within_time_distributed_is_refused(tmp_path: Path) -> None:
    frames = keras.Input((2, *CLIP))
    inner = keras.Sequential([keras.Input(CLIP), layers.ConvLSTM2D(1, 1, **ZEROS, name="cell")])
    keras_model = keras.Model(frames, layers.TimeDistributed(inner, name="each")(frames))
    with pytest.raises(UnsupportedModelError, match=r"ConvLSTM2D 'each/cell': .* on one frame"):
        read(saved(keras_model, tmp_path))


def test_nested_model_in_training_mode_is_refused(tmp_path: Path) -> None:
    frames = keras.Input(CLIP[1:], name="frames")
    keras_model = keras.Model(frames, cnn("cnn")(frames, training=True))
    with pytest.raises(
        UnsupportedModelError, match=r"Functional 'cnn': call arguments: .*training"
    ):
        read(saved(keras_model, tmp_path))
