"""How well a genre net scores trailers it has never seen, and whether it needs their order in time.

    python tools/evaluate_genre_net.py build/genre_net/genre.onnx

prints Markdown tables. Every trailer is scored twice: as it is, and with the frames of each scene in
random order. The labels fit both alike and every single frame stays what it was; only motion is lost.
The genre of a frame is the one with the highest score.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import convlstm_native as cn
import numpy as np
from convlstm_native.media import FrameFormat
from convlstm_native.trailers import CATEGORIES, FPS, Trailer, render
from numpy.typing import NDArray

# The genres that share their pictures, so that only time separates them.
PAIRS = tuple(zip(CATEGORIES[::2], CATEGORIES[1::2], strict=True))


@dataclass(frozen=True, eq=False)
class Figures:
    """``truth`` (frames,) is the index of each frame's genre; the scores are (frames, 6)."""

    truth: NDArray[np.intp]
    scores: NDArray[np.float32]
    shuffled: NDArray[np.float32]

    def share(self, genre: str) -> float:
        """Part of the frames that are of ``genre``."""
        return float(np.mean(self.truth == CATEGORIES.index(genre)))

    def accuracy(self, genre: str, scores: NDArray[np.float32]) -> float:
        """Part of all frames in which "is it ``genre``?" is answered right."""
        index = CATEGORIES.index(genre)
        return float(np.mean((scores.argmax(axis=1) == index) == (self.truth == index)))

    def pair_accuracy(self, pair: tuple[str, str], scores: NDArray[np.float32]) -> float:
        """Part of the frames of two genres in which the right one of the two has the higher score."""
        columns = [CATEGORIES.index(genre) for genre in pair]
        frames = np.isin(self.truth, columns)
        chosen = scores[frames][:, columns].argmax(axis=1)
        return float(np.mean(np.take(columns, chosen) == self.truth[frames]))

    def overall(self, scores: NDArray[np.float32]) -> float:
        """Part of the frames whose genre has the highest score."""
        return float(np.mean(scores.argmax(axis=1) == self.truth))


def shuffle_scenes(trailer: Trailer, seed: int) -> NDArray[np.uint8]:
    """The frames of ``trailer``, those of each scene in random order."""
    rng = np.random.default_rng(seed)
    order = [rng.permutation(np.arange(scene.start, scene.stop)) for scene in trailer.scenes]
    frames: NDArray[np.uint8] = trailer.frames[np.concatenate(order)]
    return frames


def score(model: cn.Model, frames: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Scores (T, 6) in the order of ``CATEGORIES``; frames are scaled as the model file says."""
    form = FrameFormat.of(model.spec)
    predicted = model.predict(form.from_array(frame) for frame in frames)
    by_category = {output.category: predicted[output.name] for output in model.spec.outputs}
    return np.concatenate([by_category[category] for category in CATEGORIES], axis=1)


def measure(model: cn.Model, seeds: Iterable[int], frames: int) -> Figures:
    """Score the trailers of ``seeds``, in order and shuffled."""
    rows, cols = model.spec.inputs[0].shape[1:]
    fps = FrameFormat.of(model.spec).fps or FPS
    truth, in_order, shuffled = [], [], []
    for seed in seeds:
        trailer = render(seed, frames, rows, cols, fps)
        truth.append(trailer.labels.argmax(axis=1))
        in_order.append(score(model, trailer.frames))
        shuffled.append(score(model, shuffle_scenes(trailer, seed)))
    return Figures(*(np.concatenate(parts) for parts in (truth, in_order, shuffled)))


def tables(figures: Figures) -> str:
    """The figures as two Markdown tables."""

    def row(name: str, *numbers: float) -> str:
        return f"| {name} | " + " | ".join(f"{100 * number:.1f} %" for number in numbers) + " |"

    lines = ["| genre | majority class | accuracy | frames shuffled |", "|---|---|---|---|"]
    for genre in CATEGORIES:
        share = figures.share(genre)
        found = [figures.accuracy(genre, s) for s in (figures.scores, figures.shuffled)]
        lines.append(row(genre, max(share, 1 - share), *found))
    found = [figures.overall(s) for s in (figures.scores, figures.shuffled)]
    lines.append(row("which of the six", max(map(figures.share, CATEGORIES)), *found))
    lines += ["", "| pair with the same pictures | majority class | accuracy | frames shuffled |"]
    lines.append("|---|---|---|---|")
    for pair in PAIRS:
        shares = [figures.share(genre) for genre in pair]
        found = [figures.pair_accuracy(pair, s) for s in (figures.scores, figures.shuffled)]
        lines.append(row(" or ".join(pair), max(shares) / sum(shares), *found))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of this tool."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default=cn.demo_model(), help="the one in the package")
    parser.add_argument("--count", type=int, default=50, help="trailers (50)")
    parser.add_argument("--frames", type=int, default=120, help="frames a trailer (120)")
    parser.add_argument("--seed", type=int, default=1_000_000, help="first seed (1000000)")
    options = parser.parse_args(arguments)
    model = cn.Model.load(options.model)
    seeds = range(options.seed, options.seed + options.count)
    print(f"{options.count} trailers of {options.frames} frames, seeds from {options.seed}\n")
    print(tables(measure(model, seeds, options.frames)))


if __name__ == "__main__":
    main()
