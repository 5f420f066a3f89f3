"""What lives in a child process: one peer with its clip, or one builder of a file."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import networks
import numpy as np
from convlstm_native import fma_peak
from numpy.typing import NDArray

from peer_runners import FILES, PEERS, Job


class Builder:
    """Writes the files that peers load."""

    def write_keras(self, network: str, folder: str) -> None:
        """The network in Keras, the source of all weights."""
        networks.write_keras(network, str(Path(folder) / FILES["keras"].name))

    def write(self, kind: str, folder: str, frames: int, threads: int) -> None:
        """Any other file of :data:`FILES`."""
        module = _module(FILES[kind].module)
        module.write(Job(Path(folder), threads, frames))


class Runner:
    """One peer: import, load, answer, then time, in this order."""

    def __init__(self, peer: str, network: str, folder: str, frames: int, threads: int) -> None:
        self._peer = PEERS[peer]
        self._job = Job(Path(folder), threads, frames)
        self._clip = networks.clip(networks.NETWORKS[network], frames)
        self._module = _module(self._peer.module)
        self._run: Callable[[NDArray[np.float32]], list[NDArray[Any]]]

    def load(self) -> float:
        """Load the network; seconds that it took."""
        started = time.perf_counter()
        self._run = self._module.load(self._job, **self._peer.options)
        return time.perf_counter() - started

    def answer(self) -> tuple[float, list[NDArray[np.float32]]]:
        """Seconds of the first run, which may compile, and its outputs."""
        started = time.perf_counter()
        outputs = self._run(self._clip)
        took = time.perf_counter() - started
        # Once more untimed: what is compiled for the second run is no part of any sample.
        self._run(self._clip)
        return took, [np.asarray(y, np.float32) for y in outputs]

    def time(self, at_least: float) -> float:
        """Seconds a clip: the mean of as many runs as ``at_least`` seconds hold, one or more."""
        started = time.perf_counter()
        self._run(self._clip)
        took = time.perf_counter() - started
        more = math.ceil(at_least / took) - 1
        if more <= 0:
            return took
        # That run also woke the threads up; those that follow count.
        started = time.perf_counter()
        for _ in range(more):
            self._run(self._clip)
        return (time.perf_counter() - started) / more

    def fma_peak(self) -> float:
        """Multiply-adds in registers alone, now, in GFLOP/s."""
        return fma_peak(threads=self._job.threads)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"peer_runners.{name}")
