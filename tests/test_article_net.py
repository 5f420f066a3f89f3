"""The article's network at its full size: Keras file -> portable ONNX -> here and elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import convlstm_native as cn
import numpy as np
import onnx
import onnxruntime
import pytest
from convlstm_native.trailers import CATEGORIES

# Keras needs a minute on two idle cores.
pytestmark = pytest.mark.timeout(900)

FRAMES = 8
TOLERANCE = 1e-4  # absolute; the scores are of size 1

# Keras runs in a process of its own: the session's setting for tiny networks, no optimization by
# XLA, would take minutes at this size.
KERAS = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from genre_net import build_genre_net, keras

keras.utils.set_random_seed(5)
model = build_genre_net(400, 400)
random = np.random.default_rng(4)
for layer in model.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        width = layer.gamma.shape
        spread, shift = random.uniform(0.5, 1.5, width), random.normal(0, 0.2, width)
        layer.set_weights([spread, shift, -shift, spread[::-1]])
model.save("genre.keras")
np.savez("expected.npz", *model.predict(np.load("frames.npy"), verbose=0))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("article")
    frames = np.random.default_rng(3).random((1, FRAMES, 3, 400, 400), dtype=np.float32)
    np.save(folder / "frames.npy", frames)
    tools = str(Path(__file__).parents[1] / "tools")
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    subprocess.run(
        [sys.executable, "-c", KERAS, tools], cwd=folder, env=environment, check=True, timeout=600
    )
    cn.convert(folder / "genre.keras", folder / "genre.onnx")
    return folder


@pytest.mark.parametrize("file", ["genre.keras", "genre.onnx"])
def test_agrees_with_keras(folder: Path, file: str) -> None:
    scores = cn.Model.load(folder / file).predict(np.load(folder / "frames.npy"))
    assert list(scores) == [f"cat_{category}" for category in CATEGORIES]
    with np.load(folder / "expected.npz") as expected:
        for score, want in zip(scores.values(), expected.values(), strict=True):
            assert score.shape == (1, FRAMES, 1)
            assert np.abs(score).max() > 0.01
            np.testing.assert_allclose(score, want, rtol=0, atol=TOLERANCE)


def test_agrees_with_onnx_runtime(folder: Path) -> None:
    file = str(folder / "genre.onnx")
    onnx.checker.check_model(file, full_check=True)
    frames = np.load(folder / "frames.npy")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"trailer_input": frames})
    ours = cn.Model.load(file).predict(frames)
    for output, want in zip(session.get_outputs(), theirs, strict=True):
        np.testing.assert_allclose(ours[output.name], want, rtol=0, atol=TOLERANCE)
