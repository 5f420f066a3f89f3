"""The demonstration: a rendered trailer through the shipped network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlstm_native import trailers
from convlstm_native.media import FrameFormat
from convlstm_native.model import Model, demo_model

# Held out: far from the seeds of the trailers that the shipped network was trained on. The first one
# from 2,000,000 on whose trailer of 240 frames has all six genres.
SEED = 2_000_005


@dataclass(frozen=True)
class GenreFigures:
    """One genre of a scored trailer. Means are NaN where the trailer has no such frames.

    ``share`` is the part of the trailer it truly holds, ``found`` the part of that in which its
    score leads.
    """

    name: str
    share: float
    mean_inside: float
    mean_outside: float
    found: float


@dataclass(frozen=True, eq=False)
class Demo:
    """A trailer and its ``scores``, float32 (T, genres), ordered as ``trailer.categories``."""

    trailer: trailers.Trailer
    scores: NDArray[np.float32]

    @property
    def truth(self) -> NDArray[np.intp]:
        """The true genre of each frame."""
        genres: NDArray[np.intp] = self.trailer.labels.argmax(axis=1)
        return genres

    @property
    def accuracy(self) -> float:
        """Share of frames in which the score of the true genre leads."""
        return float(np.mean(self.scores.argmax(axis=1) == self.truth))

    @property
    def majority(self) -> float:
        """The accuracy of always saying the most frequent genre of this trailer."""
        return float(self.trailer.labels.mean(axis=0).max())

    def genres(self) -> list[GenreFigures]:
        """Figures of every genre."""
        leads = self.scores.argmax(axis=1)
        figures = []
        for index, name in enumerate(self.trailer.categories):
            inside = self.truth == index
            score = self.scores[:, index]
            figures.append(
                GenreFigures(
                    name,
                    share=float(np.mean(inside)),
                    mean_inside=_mean(score[inside]),
                    mean_outside=_mean(score[~inside]),
                    found=_mean(leads[inside] == index),
                )
            )
        return figures


def _mean(values: NDArray[Any]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def run(seed: int = SEED, frames: int = 240, threads: int | None = None) -> Demo:
    """Render a trailer of ``frames`` frames from ``seed`` and score it with the shipped network.

    Raises :class:`InputError` for a negative seed or less than one frame.

    Example::

        print(run(frames=60).accuracy)
    """
    model = Model.load(demo_model(), threads=threads)
    form = FrameFormat.of(model.spec)
    rows, cols = form.shape[1:]
    trailer = trailers.render(seed, frames, rows, cols, form.fps or trailers.FPS)
    predicted = model.predict(form.from_array(frame) for frame in trailer.frames)
    by_category = {output.category: predicted[output.name][:, 0] for output in model.spec.outputs}
    return Demo(trailer, np.stack([by_category[name] for name in trailer.categories], axis=1))
