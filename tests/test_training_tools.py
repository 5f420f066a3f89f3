"""The tools around training: trailers on disk, the network, an interrupted training, the figures."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path
from types import ModuleType

import convlstm_native as cn
import numpy as np
import pytest
from convlstm_native.spec import Preprocessing
from convlstm_native.trailers import CATEGORIES, Scene, Trailer, render, scene_labels

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import evaluate_genre_net
import make_trailers

# Keras 3 on NumPy 2: how its variables become arrays.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# --- Trailers on disk -----------------------------------------------------------------------------


def test_trailers_on_disk_are_the_rendered_ones(tmp_path: Path) -> None:
    make_trailers.main([str(tmp_path), "--count=2", "--frames=30", "--size=12x20", "--seed=5"])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.npy")) == [
        "labels/5.npy",
        "labels/6.npy",
        "trailer_5.npy",
        "trailer_6.npy",
    ]
    for seed in (5, 6):
        expected = render(seed, 30, 12, 20)
        frames = np.load(tmp_path / f"trailer_{seed}.npy")
        assert frames.dtype == np.uint8
        np.testing.assert_array_equal(frames, expected.frames)
        np.testing.assert_array_equal(np.load(tmp_path / f"labels/{seed}.npy"), expected.labels)


def test_interrupted_trailer_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> object:
        yield np.zeros((3, 8, 8), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(make_trailers, "iter_frames", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_trailers.write_trailer(tmp_path, 0, 5, 8, 8)
    assert [path.name for path in tmp_path.rglob("*.*")] == ["0.npy"]


def test_long_trailer_is_written_in_little_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        make_trailers.write_trailer(tmp_path, 0, 300, 64, 64)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "trailer_0.npy").stat().st_size > 300 * 3 * 64 * 64
    assert peak < 1_000_000  # the trailer has 3.7 MB


def test_video_shows_the_trailer(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    make_trailers.main([str(tmp_path), "--count=1", "--frames=40", "--size=64x96", "--mp4"])
    expected = np.load(tmp_path / "trailer_0.npy").transpose(0, 2, 3, 1)
    with av.open(str(tmp_path / "trailer_0.mp4")) as container:
        assert container.streams.video[0].average_rate == 12
        shown = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    assert np.stack(shown).shape == expected.shape
    # Halved colour resolution and lossy coding; another frame of the trailer differs by far more.
    assert np.abs(np.stack(shown).astype(int) - expected).mean() < 10


@pytest.mark.parametrize(
    "arguments",
    [["--size=3x4x5"], ["--size=0"], ["--count=0"], ["--seed=-1"], ["--size=7", "--mp4"]],
)
def test_wrong_arguments(tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        make_trailers.main([str(tmp_path), *arguments])
    assert caught.value.code == 2
    assert not list(tmp_path.iterdir())


# --- The network and its training -----------------------------------------------------------------


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The training tool, where what it needs is installed."""
    for package in ("keras", "jax", "matplotlib"):
        pytest.importorskip(package)
    import train_genre_net

    return train_genre_net


def options(tool: ModuleType, work: Path, **changes: object) -> object:
    """A training of two short epochs on the smallest trailers."""
    tiny = {"count": 4, "validation": 1, "frames": 3, "size": (6, 6), "dense": (4, 3), "epochs": 2}
    return tool.Options(work=work, **{**tiny, **changes})


@pytest.fixture(scope="module")
def trained(tool: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training."""
    work = tmp_path_factory.mktemp("trained")
    tool.train(options(tool, work))
    return work


def test_network_is_that_of_the_article(tool: ModuleType) -> None:
    model = tool.build_genre_net(400, 400)
    assert model.input_shape == (None, None, 3, 400, 400)
    assert model.output_shape == [(None, None, 1)] * 6
    assert model.output_names == [f"cat_{category}" for category in CATEGORIES]
    kinds = [type(layer).__name__ for layer in model.layers]
    trunk = ["ConvLSTM2D", "BatchNormalization", "MaxPooling3D"]
    assert kinds[:7] == ["InputLayer", *trunk, *trunk]
    assert kinds.count("ConvLSTM2D") == kinds.count("MaxPooling3D") == 8
    assert kinds.count("TimeDistributed") == 24
    first, second, *branches = [
        layer.get_config() for layer in model.layers if type(layer).__name__ == "ConvLSTM2D"
    ]
    assert [first["filters"], second["filters"]] == [20, 10]
    assert first["recurrent_activation"] == "hard_sigmoid"
    assert {branch["filters"] for branch in branches} == {5}
    assert {b["kernel_initializer"]["class_name"] for b in branches} == {"RandomUniform"}
    for config in (first, second, *branches):
        assert config["kernel_size"] == (3, 3)
        assert config["data_format"] == "channels_first"
        assert config["padding"] == "same"
        assert config["return_sequences"]
    pools = [layer for layer in model.layers if type(layer).__name__ == "MaxPooling3D"]
    assert [layer.pool_size[1] for layer in pools] == [2, 3, *[2] * 6]
    # Normalization by column: 400 of them in front, 200 behind the first pooling.
    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    assert [layer.gamma.shape for layer in norms] == [(400,), (200,)]
    dense = [weight.shape for weight in model.get_weights() if weight.ndim == 2]
    assert sorted(dense) == sorted([(5780, 512), (512, 32), (32, 1)] * 6)


def test_fast_layers_compute_the_same(tool: ModuleType) -> None:
    fast, exact = (
        tool.build_genre_net(9, 14, dense=(5, 4), categories=["one", "two"], fast=fast)
        for fast in (True, False)
    )
    rng = np.random.default_rng(0)
    # Small enough not to saturate the gates; vectors are positive, variances are among them.
    weights = [
        rng.uniform(0.1, 0.6, weight.shape)
        if weight.ndim == 1
        else rng.normal(0, 0.2, weight.shape)
        for weight in exact.get_weights()
    ]
    fast.set_weights(weights)
    exact.set_weights(weights)
    frames = rng.uniform(-1, 1, (2, 5, 3, 9, 14)).astype(np.float32)
    for found, expected in zip(fast(frames), exact(frames), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_one_trailer_is_read_at_a_time(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_trailers.make_trailers(tmp_path, range(3, 8), 6, 8, 10)
    (tmp_path / "labels/5.npy").unlink()
    ids = tool.trailer_ids(tmp_path)
    assert ids == [3, 4, 6, 7]
    read: list[str] = []
    load = np.load

    def recorded(path: Path, **arguments: object) -> np.ndarray:
        read.append(path.name)
        return load(path, **arguments)

    monkeypatch.setattr(np, "load", recorded)
    sequence = tool.TrailerSequence(tmp_path, ids, shuffle=False)
    assert read == []
    frames, labels = sequence[2]
    assert read == ["trailer_6.npy", "6.npy"]
    expected = render(6, 6, 8, 10)
    np.testing.assert_allclose(frames, expected.frames[np.newaxis] / 255, rtol=1e-6)
    assert frames.dtype == np.float32
    assert [label.shape for label in labels] == [(1, 6, 1)] * 6
    np.testing.assert_array_equal(np.concatenate(labels, axis=2)[0], expected.labels)


def test_order_changes_each_epoch_and_repeats_with_the_seed(
    tool: ModuleType, tmp_path: Path
) -> None:
    make_trailers.make_trailers(tmp_path, range(6), 1, 4, 4)
    pictures = [render(seed, 1, 4, 4).frames.tobytes() for seed in range(6)]

    def order(sequence: object) -> list[int]:
        items = [np.rint(sequence[i][0][0] * 255).astype(np.uint8) for i in range(len(sequence))]
        return [pictures.index(item.tobytes()) for item in items]

    sequence = tool.TrailerSequence(tmp_path, range(6), seed=1)
    epochs = []
    for _ in range(3):
        epochs.append(order(sequence))
        sequence.on_epoch_end()
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    # A training that is resumed before its third epoch goes on with the same order.
    assert order(tool.TrailerSequence(tmp_path, range(6), seed=1, epoch=2)) == epochs[2]


def test_training_ends_in_an_onnx_file(tool: ModuleType, trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names == {"trailers", "checkpoints", "genre.keras", "genre.onnx", "loss.png"}
    assert (trained / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert len(tool.Journal.open(options(tool, trained, resume=True)).history) == 2
    model = cn.Model.load(trained / "genre.onnx")
    assert [output.category for output in model.spec.outputs] == list(CATEGORIES)
    rules = Preprocessing((6, 6), "channels_first", "rgb", 1 / 255, (0.0,), 12.0)
    assert model.spec.inputs[0].preprocessing == rules
    frames = render(9, 4, 6, 6).frames[np.newaxis] / np.float32(255)
    expected = tool.keras.models.load_model(trained / "genre.keras")(frames)
    found = model.predict(frames)
    for output, value in zip(model.outputs, expected, strict=True):
        np.testing.assert_allclose(found[output.name], value, atol=1e-5)


def test_saved_network_has_no_layers_of_our_own(tool: ModuleType, trained: Path) -> None:
    saved = tool.keras.models.load_model(trained / "genre.keras")
    assert {type(layer).__module__.split(".")[0] for layer in saved.layers} == {"keras"}


def test_resumed_training_is_the_uninterrupted_one(
    tool: ModuleType, trained: Path, tmp_path: Path
) -> None:
    class Interrupt(tool.keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
            if self.model.optimizer.iterations == 4:  # in the middle of the second epoch
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tool.train(options(tool, tmp_path), callbacks=[Interrupt()])
    checkpoints = tmp_path / "checkpoints"
    assert [path.name for path in checkpoints.glob("*.keras")] == ["epoch_0000.keras"]
    assert not (tmp_path / "genre.onnx").exists()

    tool.train(options(tool, tmp_path, resume=True))
    journal, reference = (
        tool.Journal.open(options(tool, work, resume=True)) for work in (tmp_path, trained)
    )
    assert journal.history == reference.history
    last, expected = (tool.keras.models.load_model(j.checkpoint(1)) for j in (journal, reference))
    assert last.optimizer.iterations == 6
    for found, weight in zip(last.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(found, weight)


def test_journal_keeps_the_best_and_the_last_epoch(tool: ModuleType, tmp_path: Path) -> None:
    class Model:
        def save(self, path: Path) -> None:
            path.write_text("weights")

    journal = tool.Journal(tmp_path, {})
    for loss in (0.5, 0.2, 0.3, 0.4):
        journal.record(Model(), {"loss": 0.1, "val_loss": loss})
    assert journal.best == 1
    kept = sorted(path.name for path in tmp_path.glob("*.keras"))
    assert kept == ["epoch_0001.keras", "epoch_0003.keras"]


def test_finished_training_is_not_overwritten(tool: ModuleType, trained: Path) -> None:
    before = (trained / "genre.onnx").read_bytes()
    with pytest.raises(SystemExit, match="--resume continues it"):
        tool.train(options(tool, trained))
    with pytest.raises(SystemExit, match=r"rate: expected 0\.002, found 0\.5"):
        tool.train(options(tool, trained, rate=0.5, resume=True))
    # Going on with it adds nothing, and the files come out as they were.
    tool.train(options(tool, trained, resume=True))
    assert (trained / "genre.onnx").read_bytes() == before


def test_too_few_trailers(tool: ModuleType, tmp_path: Path) -> None:
    make_trailers.make_trailers(tmp_path, range(2), 2, 6, 6)
    for folder, found in ((tmp_path, 2), (tmp_path / "none", 0)):
        run = options(tool, tmp_path / "work", trailers=folder, validation=2)
        with pytest.raises(SystemExit, match=rf"more than the 2 .* found {found}"):
            tool.train(run)


# --- The figures ----------------------------------------------------------------------------------


def test_figures_of_known_scores() -> None:
    truth = np.array([0, 0, 1, 3])
    right = np.eye(6, dtype=np.float32)[truth]
    confused = np.eye(6, dtype=np.float32)[[0, 1, 1, 2]]
    figures = evaluate_genre_net.Figures(truth, right, confused)
    assert figures.share("comedy") == 0.5
    assert figures.overall(right) == 1
    assert figures.overall(confused) == 0.5
    assert figures.accuracy("comedy", confused) == 0.75
    assert figures.accuracy("musical", confused) == 1
    assert figures.pair_accuracy(("comedy", "action"), right) == 1
    assert figures.pair_accuracy(("comedy", "action"), confused) == pytest.approx(2 / 3)
    assert figures.pair_accuracy(("terror", "thriller"), confused) == 0


def test_shuffling_keeps_every_frame_in_its_scene() -> None:
    scenes = (Scene("comedy", 0, 40), Scene("other", 40, 100))
    frames = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
    trailer = Trailer(frames, scene_labels(scenes), scenes, CATEGORIES, 12.0)
    shuffled = evaluate_genre_net.shuffle_scenes(trailer, seed=0).ravel()
    assert (shuffled != frames.ravel()).mean() > 0.8
    np.testing.assert_array_equal(np.sort(shuffled[:40]), np.arange(40))
    np.testing.assert_array_equal(np.sort(shuffled[40:]), np.arange(40, 100))


@pytest.fixture(scope="module")
def shipped() -> evaluate_genre_net.Figures:
    """Figures of the network in the package, on trailers that it has never seen."""
    model = cn.Model.load(cn.demo_model())
    return evaluate_genre_net.measure(model, range(2_000_000, 2_000_012), 120)


def test_shipped_network_is_small() -> None:
    assert Path(cn.demo_model()).stat().st_size < 1_000_000


@pytest.mark.parametrize("genre", CATEGORIES)
def test_shipped_network_knows_every_genre(shipped: evaluate_genre_net.Figures, genre: str) -> None:
    # The errors of always saying "no" are as many as the genre has frames.
    assert 1 - shipped.accuracy(genre, shipped.scores) < shipped.share(genre) / 2
    assert shipped.accuracy(genre, shipped.scores) > 0.9


@pytest.mark.parametrize("pair", evaluate_genre_net.PAIRS)
def test_shipped_network_needs_time_for_every_pair(
    shipped: evaluate_genre_net.Figures, pair: tuple[str, str]
) -> None:
    in_order = shipped.pair_accuracy(pair, shipped.scores)
    assert in_order > 0.85
    assert shipped.pair_accuracy(pair, shipped.shuffled) < in_order - 0.1


def test_shipped_network_needs_time(shipped: evaluate_genre_net.Figures) -> None:
    assert shipped.overall(shipped.scores) > 0.85
    assert shipped.overall(shipped.shuffled) < shipped.overall(shipped.scores) - 0.2
