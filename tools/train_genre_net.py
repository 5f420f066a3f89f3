"""Train the genre net on a folder of trailers, from nothing to a genre.onnx.

    python tools/train_genre_net.py

renders its own small trailers, trains for some minutes and leaves in build/genre_net:
genre.keras and genre.onnx, the network of the epoch with the lowest validation loss; loss.png, the loss of
every epoch; and checkpoints/, from which --resume goes on after an interruption.

--trailers takes a folder of trailer_{id}.npy, uint8 (frames, 3, rows, cols), and labels/{id}.npy,
(frames, 6), in place of rendered ones. The last --validation trailers are never trained on.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import convlstm_native as cn
import numpy as np
from convlstm_native.scoring.atomic import replacing
from convlstm_native.trailers import CATEGORIES, FPS
from genre_net import PIXEL_SCALE, TrailerSequence, build_genre_net, keras, trailer_ids
from make_trailers import make_trailers, parse_size
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@dataclass(frozen=True)
class Options:
    """What a training run depends on."""

    work: Path = Path("build/genre_net")
    trailers: Path | None = None
    count: int = 136
    validation: int = 8
    frames: int = 72
    size: tuple[int, int] = (24, 24)
    fps: float = FPS
    dense: tuple[int, ...] = (512, 32)
    epochs: int = 12
    rate: float = 2e-3
    seed: int = 0
    resume: bool = False

    def recipe(self) -> dict[str, Any]:
        """All that the trained network depends on, as JSON knows it."""
        fields = {k: v for k, v in vars(self).items() if k not in ("work", "resume")}
        recipe: dict[str, Any] = json.loads(json.dumps(fields, default=str))
        return recipe


@dataclass
class Journal:
    """The finished epochs of a run, kept in ``checkpoints/training.json``.

    A checkpoint becomes valid when the journal that names it takes its place, so a run may be killed
    at any moment.
    """

    folder: Path
    recipe: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def open(cls, options: Options) -> Journal:
        """The journal of a new run, or that of the run to go on with, which must have the same recipe."""
        folder = options.work / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "training.json"
        recipe = options.recipe()
        if not path.exists():
            return cls(folder, recipe)
        stored = json.loads(path.read_text())
        if not options.resume:
            raise SystemExit(
                f"{path}: a training is here; --resume continues it, or choose another --work"
            )
        differences = [
            f"{name}: expected {stored['recipe'][name]}, found {value}"
            for name, value in recipe.items()
            if value != stored["recipe"][name]
        ]
        if differences:
            raise SystemExit("\n".join([f"{path}: it was started otherwise", *differences]))
        return cls(folder, recipe, stored["history"])

    @property
    def best(self) -> int:
        """The epoch with the lowest validation loss."""
        return min(range(len(self.history)), key=lambda epoch: self.history[epoch]["val_loss"])

    def checkpoint(self, epoch: int) -> Path:
        """Where the model is after ``epoch``, with the state of its optimizer."""
        return self.folder / f"epoch_{epoch:04}.keras"

    def record(self, model: keras.Model, losses: dict[str, float]) -> None:
        """Save ``model`` as the next epoch; keep the best one before it and no other."""
        last = len(self.history)
        self.history.append(losses)
        model.save(self.checkpoint(last))
        with replacing(self.folder / "training.json") as file:
            journal = {"recipe": self.recipe, "history": self.history}
            file.write(json.dumps(journal, indent=1).encode())
        kept = {self.checkpoint(last), self.checkpoint(self.best)}
        for path in self.folder.glob("epoch_*.keras"):
            if path not in kept:
                path.unlink()


class Bookkeeper(keras.callbacks.Callback):  # type: ignore[misc]
    """Moves the progress bar; records every epoch and plots the loss so far."""

    def __init__(self, journal: Journal, plot: Path, bar: Progress) -> None:
        super().__init__()
        self.journal = journal
        self.plot = plot
        self.bar = bar

    def on_train_begin(self, logs: Any = None) -> None:
        """Adds a task over the trailers of all epochs, those done earlier included."""
        steps, epochs = self.params["steps"], self.params["epochs"]
        done = steps * len(self.journal.history)
        self.task = self.bar.add_task("training", total=steps * epochs, completed=done)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts a trailer."""
        self.bar.update(self.task, advance=1, description=f"loss {logs['loss']:.4f}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Makes the epoch final."""
        losses = {name: float(logs[name]) for name in ("loss", "val_loss")}
        self.journal.record(self.model, losses)
        plot_loss(self.journal.history, self.plot)
        self.bar.console.print(
            f"epoch {epoch + 1}/{self.params['epochs']}: "
            f"loss {losses['loss']:.4f}, validation {losses['val_loss']:.4f}"
        )


def progress_bar(console: Console) -> Progress:
    """A bar with the trailers done and the time left; nothing where there is no terminal."""
    text = TextColumn("{task.description}")
    columns = text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, disable=not console.is_terminal)


def plot_loss(history: Sequence[dict[str, float]], path: Path) -> None:
    """A picture of the training and validation loss over the epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    epochs = np.arange(1, len(history) + 1)
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        axes.plot(epochs, [losses[name] for losses in history], marker=".", label=label)
    axes.set(xlabel="epoch", ylabel="squared error, sum of six outputs", yscale="log")
    axes.legend()
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=120)


def find_trailers(options: Options, console: Console) -> tuple[Path, list[int], list[int]]:
    """The folder of trailers, and the ids in it to train on and to validate with."""
    if options.trailers is None:
        folder, ids = options.work / "trailers", list(range(options.count))
        console.print(f"{folder}: {options.count} trailers of {options.frames} frames")
        make_trailers(folder, range(options.count), options.frames, *options.size, options.fps)
    else:
        folder = options.trailers
        ids = trailer_ids(folder) if folder.is_dir() else []
    if not 0 < options.validation < len(ids):
        raise SystemExit(
            f"{folder}: expected trailers with labels, more than the {options.validation} to validate "
            f"with, of which there is at least one; found {len(ids)}"
        )
    return folder, ids[: -options.validation], ids[-options.validation :]


def new_model(rows: int, cols: int, dense: Sequence[int], seed: int) -> keras.Model:
    """An untrained network that trains fast, ready for ``fit``.

    The outputs are linear and the loss is the squared error to the labels, so that a score reads as it
    is: about 1 where the genre holds, about 0 where it does not.
    """
    keras.utils.set_random_seed(seed)
    model = build_genre_net(rows, cols, dense=dense, fast=True)
    # Dense layers in a row without activation multiply their gradients: bound the steps.
    model.compile(optimizer=keras.optimizers.Adam(clipnorm=1.0), loss=["mse"] * len(CATEGORIES))
    return model


def train(options: Options, callbacks: Sequence[keras.callbacks.Callback] = ()) -> Path:
    """Run or resume a training; returns the path of its ``genre.onnx``."""
    console = Console(stderr=True)
    journal = Journal.open(options)
    folder, training, validation = find_trailers(options, console)
    frame = np.load(folder / f"trailer_{training[0]}.npy", mmap_mode="r")[0]
    rows, cols = frame.shape[1:]
    done = len(journal.history)
    if done:
        model = keras.models.load_model(journal.checkpoint(done - 1))
        console.print(f"resuming after epoch {done}")
    else:
        model = new_model(rows, cols, options.dense, options.seed)

    def rate(epoch: int, _: float) -> float:
        """Half a cosine from ``options.rate`` to 0: a function of the epoch, so it needs no saved state."""
        return options.rate * (1 + math.cos(math.pi * epoch / options.epochs)) / 2

    with progress_bar(console) as bar:
        model.fit(
            TrailerSequence(folder, training, options.seed, epoch=done),
            validation_data=TrailerSequence(folder, validation, shuffle=False),
            initial_epoch=done,
            epochs=options.epochs,
            shuffle=False,  # the sequence shuffles, by its own seed
            verbose=0,
            callbacks=[
                keras.callbacks.LearningRateScheduler(rate),
                Bookkeeper(journal, options.work / "loss.png", bar),
                *callbacks,
            ],
        )
    return export(journal, options, rows, cols, console)


def export(journal: Journal, options: Options, rows: int, cols: int, console: Console) -> Path:
    """Write ``genre.keras``, made of Keras' own layers alone, and ``genre.onnx`` of the best epoch."""
    trained = keras.models.load_model(journal.checkpoint(journal.best), compile=False)
    weights = trained.get_weights()
    keras.utils.clear_session()  # layers are named by counters: start them anew
    model = build_genre_net(rows, cols, dense=options.dense)
    model.set_weights(weights)
    saved, target = options.work / "genre.keras", options.work / "genre.onnx"
    model.save(saved)
    cn.convert(saved, target, CATEGORIES, scale=PIXEL_SCALE, color="rgb", fps=options.fps)
    console.print(f"{target}: epoch {journal.best + 1}, {target.stat().st_size / 1e6:.2f} MB")
    return target


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this tool."""
    default = Options()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--work", type=Path, default=default.work, help="folder of all results")
    add("--trailers", type=Path, help="folder of trailers; none: render them")
    add("--count", type=int, default=default.count, help="trailers to render")
    add("--validation", type=int, default=default.validation, help="trailers held back of them")
    add("--frames", type=int, default=default.frames, help="frames of a rendered trailer")
    add("--size", type=parse_size, default=default.size, help="ROWSxCOLS of a rendered trailer")
    add("--fps", type=float, default=default.fps, help="frame rate, kept in the model file")
    add("--dense", type=int, nargs="+", default=default.dense, help="widths of the dense layers")
    add("--epochs", type=int, default=default.epochs, help="rounds over all trailers")
    add("--rate", type=float, default=default.rate, help="learning rate at the start")
    add("--seed", type=int, default=default.seed, help="of the first weights and the order")
    add("--resume", action="store_true", help="go on after the last finished epoch in WORK")
    train(Options(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
