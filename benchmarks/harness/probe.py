"""Our own engine in a child process, for measurements of time and memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import convlstm_native as cn
import networks
import numpy as np
from numpy.typing import NDArray

from harness.remote import peak_memory, resident_memory

# The generator hands out the same few frames: making new ones is not what is measured.
DISTINCT_FRAMES = 4


class Probe:
    """One model: a file, or a single ConvLSTM2D. ``options`` go to :class:`convlstm_native.Model`.

    The ConvLSTM2D shows its last h alone: copies of each to the caller are not its kernel's time.
    """

    def __init__(self, source: str | networks.CellShape, threads: int, **options: Any) -> None:
        self._source, self._options = source, {"threads": threads, **options}
        self._before = resident_memory()
        self._model: cn.Model
        self._frames: NDArray[np.float32]

    def load(self) -> float:
        """Read, rewrite, pack; seconds that it took."""
        started = time.perf_counter()
        if isinstance(self._source, networks.CellShape):
            self._model = cn.Model(
                networks.cell_network(self._source, sequences=False), **self._options
            )
        else:
            self._model = cn.Model.load(self._source, **self._options)
        took = time.perf_counter() - started
        shape = (DISTINCT_FRAMES, *self._model.inputs[0].shape[2:])
        self._frames = np.random.default_rng(0).random(shape, dtype=np.float32)  # type: ignore[arg-type]
        return took

    def predict(self, frames: int) -> float:
        """Seconds a frame of a ``predict`` fed from a generator."""
        started = time.perf_counter()
        self._model.predict(self._generator(frames))
        return (time.perf_counter() - started) / frames

    def stream(self, at_least: float) -> float:
        """Seconds a frame, frame by frame, over ``at_least`` seconds after a first frame."""
        stream = self._model.stream()
        stream.push(self._frames[0])
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < at_least or not count:
            stream.push(self._frames[count % DISTINCT_FRAMES])
            count += 1
        return (time.perf_counter() - started) / count

    def memory(self) -> tuple[float, float]:
        """Resident megabytes of the interpreter with its imports, and the peak of it all."""
        return self._before / 1e6, peak_memory() / 1e6

    def fma_peak(self) -> float:
        """Multiply-adds in registers alone with the kernels and threads of the model, in GFLOP/s."""
        return cn.fma_peak(threads=self._model.threads, isa=self._model.isa)

    def facts(self) -> tuple[float, str]:
        """Direct GFLOP a frame, and the kernel of the first layer."""
        summary = self._model.summary()
        return summary.flops / 1e9, summary.layers[0].kernel

    def _generator(self, frames: int) -> Iterator[NDArray[np.float32]]:
        for index in range(frames):
            yield self._frames[index % DISTINCT_FRAMES]
