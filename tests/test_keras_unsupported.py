"""Sound Keras files of networks that are not run here: every problem is listed by layer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers import read
from keras_files import arguments, edited, members, pack, saved

keras = pytest.importorskip("keras")
layers = keras.layers

# Keras 3.15 itself, when it saves or copies a variable with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def problems(source: bytes | Path) -> tuple[str, ...]:
    with pytest.raises(UnsupportedModelError) as caught:
        read(source)
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


def test_every_problem_is_listed_at_once() -> None:
    def edit(config: dict[str, Any]) -> None:
        cell = arguments(config, "cell")
        cell["padding"] = "causal"
        cell["activation"] = "sparsemax"
        cell["new_argument"] = 3
        config["config"]["layers"][-1]["class_name"] = "Conv4DTranspose"
        arguments(config, "rows")["axis"] = [1, 2]

    found = problems(edited(edit))
    assert len(found) == 5
    for what in ("padding", "'sparsemax'", "new_argument", "Conv4DTranspose 'mix'", "axis"):
        assert any(what in problem for problem in found), what


def test_problems_of_every_kind_are_listed_at_once(tmp_path: Path) -> None:
    """A layer, an argument, custom code, a call and a shape that are not supported, some nested."""
    frames = keras.Input((4, 6, 6, 2), name="frames")
    maps = keras.Input((4, None, 6, 2), name="maps")
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Lambda(lambda x: x * 2, output_shape=(6, 6, 2), name="double"),
            layers.Dense(2, name="mix"),
        ],
        name="inner",
    )
    x = layers.TimeDistributed(inner, name="each")(frames)
    x = layers.Dropout(0.5, name="drop")(x, training=True)
    y = layers.EinsumDense("abcde,ef->abcdf", (None, 6, 6, 2), name="einsum")(frames)
    z = layers.Dense(2, name="low")(frames)
    path = saved(keras.Model([frames, maps], [x, y, z, layers.ReLU()(maps)]), tmp_path)
    parts = members(path)
    config = json.loads(parts["config.json"])
    arguments(config, "low")["lora_rank"] = 2
    found = problems(pack({**parts, "config.json": json.dumps(config).encode()}))
    assert len(found) == 5
    for expected in (
        ("Lambda 'each/double'", "custom Python code", "never run"),
        ("Dropout 'drop'", "call arguments", "training"),
        ("EinsumDense 'einsum'", "expected one of", "ConvLSTM2D"),
        ("Dense 'low'", "lora_rank", "not supported"),
        ("input 'maps'", "every axis known but batch and time", "[2]"),
    ):
        assert any(all(word in problem for word in expected) for problem in found), expected


def test_lambda_and_custom_layers_are_named_and_never_run() -> None:
    def make_lambda(config: dict[str, Any]) -> None:
        config["config"]["layers"][4].update(class_name="Lambda")

    (problem,) = problems(edited(make_lambda))
    assert problem.startswith("Lambda 'drop'")
    assert "never run" in problem

    def register(config: dict[str, Any]) -> None:
        config["config"]["layers"][4].update(registered_name="mine>Dropout")

    assert "custom Python code" in problems(edited(register))[0]

    def other_module(config: dict[str, Any]) -> None:
        config["config"]["layers"][4].update(module="my.layers")

    assert "custom Python code" in problems(edited(other_module))[0]

    def function(config: dict[str, Any]) -> None:
        code = {"class_name": "__lambda__", "config": {"value": "4wAAAA"}}
        arguments(config, "cell")["activation"] = code

    (problem,) = problems(edited(function))
    assert "ConvLSTM2D 'cell': activation" in problem
    assert "never run" in problem


def test_subclassed_models_are_refused(tmp_path: Path) -> None:
    def subclass(config: dict[str, Any]) -> None:
        config["class_name"] = "Forecaster"

    (problem,) = problems(edited(subclass))
    assert "'Forecaster'" in problem
    assert "subclass of Model" in problem


def test_nested_models_of_custom_classes_are_refused(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((5,)), layers.Dense(1)], name="inner")
    frames = keras.Input((4, 5))
    path = saved(keras.Model(frames, layers.TimeDistributed(inner, name="it")(frames)), tmp_path)

    def edit(config: dict[str, Any]) -> None:
        arguments(config, "it")["layer"].update(module="my.models", registered_name="mine>Net")

    parts = members(path)
    config = json.loads(parts["config.json"])
    edit(config)
    (problem,) = problems(pack({**parts, "config.json": json.dumps(config).encode()}))
    assert problem.startswith("Sequential 'it'")
    assert "custom Python code" in problem


@pytest.mark.parametrize("axis", [0, 5, -5, -6])
def test_normalization_over_the_batch_is_refused(axis: int) -> None:
    def edit(config: dict[str, Any]) -> None:
        arguments(config, "rows")["axis"] = axis

    (problem,) = problems(edited(edit))
    assert problem.startswith("BatchNormalization 'rows': axis: expected")
    assert f"found {axis}" in problem


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: layers.Dropout(0.5)(x, training=True), "training"),
        (lambda x: layers.EinsumDense("abcde,ef->abcdf", (4, 6, 6, 3))(x), "EinsumDense 'it'"),
        (lambda x: layers.Activation("glu")(x), "'glu'"),
        (lambda x: layers.Softmax()(x, mask=x), "mask"),
        (lambda x: x**2, "Power 'it'"),
        (lambda x: 2.0 / x, "argument 0: expected a tensor"),
        (lambda x: x / (x + 1.0), "expected a tensor and numbers"),
        (lambda x: x * np.ones((6, 1), "float32"), "argument 1: expected a number"),
        (lambda x: keras.ops.average(x, axis=1), "Average 'it'"),
        (lambda x: x + layers.Dense(2)(layers.Flatten()(x)), "tensors of one rank"),
        (lambda x: layers.AdaptiveMaxPooling3D((2, 4, 3))(x), "output_size: expected a divisor"),
    ],
)
def test_unsupported_use_is_named(
    build: Callable[[Any], Any], message: str, tmp_path: Path
) -> None:
    frames = keras.Input((4, 6, 6, 2))
    y = build(frames)
    y._keras_history.operation.name = "it"
    (problem,) = problems(saved(keras.Model(frames, y), tmp_path))
    assert message in problem
    assert "'it'" in problem


@pytest.mark.parametrize(
    "build",
    [
        lambda x: layers.Flatten()(x),
        lambda x: layers.Reshape((-1, 2))(x),
        lambda x: layers.Permute((2, 1, 3, 4))(x),
        lambda x: layers.Concatenate(axis=1)([x, x]),
        lambda x: layers.MaxPooling3D(3, 2, padding="same")(x),
        lambda x: layers.AveragePooling3D(2, padding="same")(x),
        lambda x: layers.AveragePooling3D(3, 1, padding="same")(x),
        lambda x: layers.GlobalMaxPooling3D(data_format="channels_first")(x),
        lambda x: layers.AdaptiveAveragePooling3D(2)(x),
        lambda x: layers.Conv3D(1, 3, strides=2, padding="same")(x),
    ],
)
def test_mixing_an_open_number_of_frames_is_refused(
    build: Callable[[Any], Any], tmp_path: Path
) -> None:
    frames = keras.Input((None, 6, 6, 2))
    y = build(frames)
    y._keras_history.operation.name = "it"
    (problem,) = problems(saved(keras.Model(frames, y), tmp_path))
    assert "'it'" in problem
    assert "expected a known number of frames" in problem


def test_open_spatial_axes_are_refused(tmp_path: Path) -> None:
    frames = keras.Input((4, None, None, 2), name="frames")
    model = keras.Model(frames, layers.MaxPooling3D((1, 2, 2))(frames))
    (problem,) = problems(saved(model, tmp_path))
    assert problem.startswith("input 'frames'")
    assert "[2, 3]" in problem
