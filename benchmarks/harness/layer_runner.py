"""One runtime on the file of a single layer, in a child process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import convlstm_native as cn
import numpy as np
from numpy.typing import NDArray

Run = Callable[[NDArray[np.float32]], list[NDArray[Any]]]


class _Runner:
    """A clip, and what runs it."""

    def load(self, path: str, threads: int, frames: int) -> list[NDArray[Any]]:
        """Load the file; the answer to a seeded clip."""
        shape = cn.Model.load(path, threads=1).inputs[0].shape
        clip = (1, frames, *(length or 1 for length in shape[2:]))
        self._clip = np.random.default_rng(1).standard_normal(clip).astype(np.float32)
        self._run = self._load(path, threads)
        return self._run(self._clip)

    def time(self, at_least: float) -> float:
        """Seconds a clip, over ``at_least`` seconds after a first run."""
        self._run(self._clip)
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < at_least or not count:
            self._run(self._clip)
            count += 1
        return (time.perf_counter() - started) / count

    def _load(self, path: str, threads: int) -> Run:
        raise TypeError(f"{type(self).__name__} loads nothing")


class Ours(_Runner):
    """This library."""

    def _load(self, path: str, threads: int) -> Run:
        model = cn.Model.load(path, threads=threads)
        return lambda clip: list(model.predict(clip).values())


class OnnxRuntime(_Runner):
    """ONNX Runtime with as many threads, one operator after another."""

    def _load(self, path: str, threads: int) -> Run:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (frames,) = session.get_inputs()
        return lambda clip: list(session.run(None, {frames.name: clip}))
