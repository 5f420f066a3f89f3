"""Published networks, from a file that Keras wrote: against Keras, streamed, and as ONNX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import architectures
import convlstm_native as cn
import matrix
import numpy as np
import pytest
from convlstm_native.onnx_writer import to_onnx
from convlstm_native.readers.onnx_files import parse_onnx, read_onnx
from onnx_files import run_in_onnx_runtime
from same_spec import assert_same_spec
from streaming import streamed
from tolerances import check

keras = pytest.importorskip("keras")

# Keras 3.15 itself, when it saves or copies a variable with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def saved(
    build: Callable[[Any], Any], folder: Path, suffix: str = ".keras"
) -> tuple[Any, cn.Model]:
    keras_model = build(keras)
    matrix.randomize(keras_model, 3)
    path = folder / f"model{suffix}"
    keras_model.save(path)
    return keras_model, cn.Model.load(path)


def inputs(model: cn.Model, samples: int = 2, frames: int = 5) -> dict[str, Any]:
    rng = np.random.default_rng(4)
    return {
        i.name: rng.standard_normal((samples, *(n or frames for n in i.shape[1:]))).astype(
            np.float32
        )
        for i in model.inputs
    }


@pytest.mark.parametrize("build", architectures.WHOLE, ids=lambda build: build.__name__)
def test_architecture(build: Callable[[Any], Any], tmp_path: Path) -> None:
    keras_model, model = saved(build, tmp_path)
    frames = next((i.shape[1] for i in keras_model.inputs if len(i.shape) == 5), None) or 5
    assert_agrees(keras_model, model, inputs(model, frames=frames))


def assert_agrees(keras_model: Any, model: cn.Model, given: dict[str, Any]) -> None:
    """Against Keras, in ONNX Runtime, through an ONNX file, and the first sample streamed."""
    values = list(given.values())
    expected = keras_model.predict_on_batch(values if len(values) > 1 else values[0])
    expected = list(expected) if isinstance(expected, (list, tuple)) else [expected]
    found = model.predict(given)
    in_runtime = run_in_onnx_runtime(to_onnx(model.spec), given)
    assert len(found) == len(expected)
    for (name, have), want in zip(found.items(), expected, strict=True):
        want = np.asarray(want, np.float64)
        check(have, want, "keras network")
        check(in_runtime[name], want, "keras network")
    proto = to_onnx(model.spec)
    assert_same_spec(read_onnx(parse_onnx(proto.SerializeToString(), "memory")), model.spec)
    if any(i.sequence for i in model.spec.inputs):
        one = streamed(model, {name: array[0] for name, array in given.items()})
        for name, array in one.items():
            np.testing.assert_array_equal(array, found[name][0])


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
def test_a_genre_net_passes_over_empty_frames(tmp_path: Path) -> None:
    keras_model, model = saved(architectures.masked_genre_net, tmp_path)
    # Keras on JAX gets masks of frames right for one sample at a time.
    given = inputs(model, samples=1, frames=8)
    (frames,) = given.values()
    frames[0, [0, 3, 4, 7]] = 0
    assert_agrees(keras_model, model, given)
    shown = model.predict(frames[0])
    without = model.predict(np.delete(frames[0], [0, 3, 4, 7], axis=0))
    for name, scores in shown.items():
        np.testing.assert_array_equal(scores[[3, 4]], scores[[2, 2]])
        np.testing.assert_array_equal(scores[[1, 2, 5, 6]], without[name])


def test_next_frame_goes_on_from_what_it_predicts(tmp_path: Path) -> None:
    """The example's loop: the last frame predicted joins the frames, and all run again."""
    keras_model, model = saved(architectures.next_frame, tmp_path)
    summary = model.summary()
    assert (summary.streams, summary.look_ahead) == (True, 1)
    frames = np.random.default_rng(0).random((4, 20, 20, 1), np.float32)
    ours = theirs = frames
    for _ in range(3):
        new = next(iter(model.predict(ours).values()))[-1:]
        ours = np.concatenate([ours, new])
        predicted = keras_model.predict_on_batch(theirs[np.newaxis])[0, -1:]
        theirs = np.concatenate([theirs, np.asarray(predicted)])
    check(ours[4:], theirs[4:].astype(np.float64), "keras network")


def test_a_stateful_network_sees_one_frame_a_call(tmp_path: Path) -> None:
    keras_model, model = saved(architectures.stateful_frame, tmp_path, ".h5")
    stream = model.stream()
    for t in range(4):
        frame = np.random.default_rng(t).standard_normal((1, 12, 12, 2)).astype(np.float32)
        want = np.asarray(keras_model(frame[np.newaxis]), np.float64)[0]
        (have,) = stream.predict(frame).values()
        check(have, want, "keras network")
