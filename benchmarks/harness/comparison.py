"""One network, all peers, side by side: build, load, check every answer, then time in turns."""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import convlstm_native as cn
import networks
from peer_runners import FILES, OURS, PEERS, Job

from harness.agreement import disagreement, largest_error
from harness.remote import Child, ChildError
from harness.results import NetworkResult, PeerResult

# A sample holds as many runs of the clip as fit, so that small networks are not timed by one wake-up.
SAMPLE_SECONDS = 0.2

Say = Callable[[str], None]


def environment() -> dict[str, str]:
    """For every child: Keras on TensorFlow, or else on what there is, and less talk."""
    backends = ("tensorflow", "jax", "torch")
    found = [name for name in backends if importlib.util.find_spec(name)]
    return {
        "KERAS_BACKEND": (found or ["tensorflow"])[0],
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        # A pool of compilers would outlive the child.
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }


class Files:
    """The files of one network in a temporary folder, each built when it is first asked for."""

    def __init__(self, network: networks.Network, frames: int) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="convlstm-bench-")
        self.network, self.frames = network, frames
        self.folder = Path(self._temporary.name)
        self._built: dict[str, ChildError | None] = {}

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    def path(self, kind: str) -> Path:
        """Path of one of :data:`peer_runners.FILES`, built; :class:`ChildError` says why it cannot be."""
        if kind not in self._built:
            try:
                self._build(kind)
                self._built[kind] = None
            except ChildError as error:
                self._built[kind] = error
        if (failure := self._built[kind]) is not None:
            raise failure
        return Job(self.folder, 1, self.frames).file(kind)

    def _build(self, kind: str) -> None:
        for needed in FILES[kind].needs:
            self.path(needed)
        folder, threads = str(self.folder), cn.default_threads()
        with Child("peer_runners.worker:Builder", threads, environment=environment()) as builder:
            if kind == "keras":
                builder.call("write_keras", network=self.network.name, folder=folder)
            else:
                builder.call("write", kind=kind, folder=folder, frames=self.frames, threads=threads)


def compare(
    files: Files, peers: Sequence[str], threads: int, rounds: int, say: Say = lambda _: None
) -> NetworkResult:
    """Run ``peers`` and ours on one network.

    All children live at once; each round times every one of them once, in turn, and measures the
    multiply-add peak, so that what disturbs the machine disturbs all alike.
    """
    network = files.network
    results = {name: PeerResult(name) for name in dict.fromkeys((OURS, *peers))}
    children: dict[str, Child] = {}
    expected: list[Any] | None = None
    peaks: list[float] = []
    try:
        for name, result in results.items():
            say(f"{network.name}, {threads} threads: {PEERS[name].title}")
            answer = _start(name, files, threads, result, children)
            if answer is not None and expected is None:
                if name != OURS:
                    raise ChildError(f"{network.name}: ours {results[OURS].reason}")
                expected = answer
            if answer is not None and expected is not None:
                check(result, expected, answer)
        for turn in range(rounds):
            say(f"{network.name}, {threads} threads: round {turn + 1} of {rounds}")
            peaks += _round(results, children, files.frames)
        for name, child in children.items():
            results[name].peak_megabytes = child.peak_memory() / 1e6
    finally:
        for child in children.values():
            child.close()
    for result in results.values():
        result.finish()
    flops = cn.Model.load(files.path("portable"), threads=1).summary().flops
    return NetworkResult(
        network.name,
        network.what,
        files.frames,
        threads,
        flops / 1e9,
        statistics.median(peaks) if peaks else None,
        list(results.values()),
    )


def check(result: PeerResult, expected: Sequence[Any], found: Sequence[Any]) -> None:
    """Note how far an answer is from ours, and disqualify the peer whose answer is another one."""
    precision = PEERS[result.peer].precision
    result.error = largest_error(expected, found)
    if reason := disagreement(expected, found, precision):
        result.fail("disagrees", reason)


def _start(
    name: str, files: Files, threads: int, result: PeerResult, children: dict[str, Child]
) -> list[Any] | None:
    """Load a peer in a child of its own and return its first answer, or None with the reason noted."""
    arguments = {
        "peer": name,
        "network": files.network.name,
        "folder": str(files.folder),
        "frames": files.frames,
        "threads": threads,
    }
    try:
        for kind in PEERS[name].needs:
            files.path(kind)
        child = Child("peer_runners.worker:Runner", threads, arguments, environment=environment())
        children[name] = child
        result.load_seconds = child.call("load")
        result.first_run_seconds, answer = child.call("answer")
    except ChildError as error:
        result.fail("missing" if error.missing else "failed", str(error))
        return None
    outputs: list[Any] = answer
    return outputs


def _round(results: dict[str, PeerResult], children: dict[str, Child], frames: int) -> list[float]:
    """Time every peer that still counts once; the peaks measured beside ours."""
    peaks: list[float] = []
    for name, result in results.items():
        if result.status != "ok":
            continue
        try:
            if name == OURS:
                peaks.append(children[name].call("fma_peak"))
            seconds = children[name].call("time", at_least=SAMPLE_SECONDS)
        except ChildError as error:
            result.fail("failed", str(error))
            continue
        result.samples_ms.append(1000 * seconds / frames)
    return peaks
