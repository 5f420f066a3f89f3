"""How fast a model runs here, beside what this machine could do at most."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import convlstm_native as cn
from convlstm_native.errors import InputError
from convlstm_native.media import FrameFormat

if TYPE_CHECKING:
    from convlstm_native.model import Model
    from convlstm_native.profile import Profile

WARM_UP_FRAMES = 2
_MOST_CLIP_FRAMES = 8


@dataclass(frozen=True)
class BenchResult:
    """Speed of a model.

    ``gflops`` counts direct work (a multiply-add is 2) whatever the kernels do.

    ``peak_gflops`` is the multiply-add rate of registers alone, measured in the same minute, with
    the same threads and instruction set.

    ``barriers_per_frame``: how often a frame makes all threads wait for each other. ``bytes_per_frame``: the
    least that a frame has to move; see :class:`ProfileRecord`.
    """

    frames: int
    repeats: int
    threads: int
    isa: str
    ms_per_frame: float
    gflop_per_frame: float
    peak_gflops: float
    barriers_per_frame: float
    bytes_per_frame: float

    @property
    def frames_per_second(self) -> float:
        """Frames a second."""
        return 1000 / self.ms_per_frame

    @property
    def gflops(self) -> float:
        """GFLOP/s of direct work."""
        return self.gflop_per_frame * self.frames_per_second

    @property
    def ratio(self) -> float:
        """Share of the measured peak."""
        return self.gflops / self.peak_gflops


def bench(model: Model, frames: int = 10, repeats: int = 5) -> BenchResult:
    """Time random frames through ``model``: the median of ``repeats`` runs of ``frames`` frames.

    Raises :class:`InputError` where ``frames`` or ``repeats`` is below 1,
    :class:`UnsupportedModelError` where the network takes anything but one input of frames.
    """
    if frames < 1 or repeats < 1:
        raise InputError(f"expected frames and repeats of at least 1, found {frames} and {repeats}")
    clip = _clip(model, min(frames, _MOST_CLIP_FRAMES))
    stream = model.stream()
    for index in range(WARM_UP_FRAMES):
        stream.push(clip[index % len(clip)])
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        for index in range(frames):
            stream.push(clip[index % len(clip)])
        times.append((time.perf_counter() - started) / frames)
    summary = model.summary()
    counts = model.profile(clip)
    return BenchResult(
        frames=frames,
        repeats=repeats,
        threads=summary.threads,
        isa=summary.isa,
        ms_per_frame=1000 * statistics.median(times),
        gflop_per_frame=summary.flops / 1e9,
        peak_gflops=cn.fma_peak(threads=summary.threads, isa=summary.isa),
        barriers_per_frame=counts.barriers_per_frame,
        bytes_per_frame=counts.bytes_per_frame,
    )


def bench_threads(
    model: Model, threads: Sequence[int | None], frames: int = 10, repeats: int = 5
) -> list[BenchResult]:
    """:func:`bench` of the same network with each number of ``threads``; raises as that does."""
    return [bench(model.with_threads(count), frames, repeats) for count in threads]


def profile(model: Model, frames: int = 10) -> Profile:
    """Profile of random frames through ``model``; raises as :func:`bench` does."""
    if frames < 1:
        raise InputError(f"expected frames of at least 1, found {frames}")
    return model.profile(_clip(model, frames))


def _clip(model: Model, frames: int) -> NDArray[np.float32]:
    """Random frames (T, *frame) from 0 to 1."""
    shape = FrameFormat.of(model.spec).shape
    return np.random.default_rng(0).random((frames, *shape), dtype=np.float32)
