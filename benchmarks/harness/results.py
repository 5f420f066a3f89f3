"""What a comparison found: plain data, written as JSON, read by tables, charts and bars."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from peer_runners import OURS, PEERS

from harness.machine import Machine


@dataclass
class PeerResult:
    """One peer on one network.

    ``status``: ``ok``, ``missing`` (not installed), ``failed`` (cannot be built or run) or
    ``disagrees`` (its answer is not ours); ``reason`` says why it is not ``ok``.
    """

    peer: str
    status: str = "ok"
    reason: str = ""
    error: float | None = None
    load_seconds: float | None = None
    first_run_seconds: float | None = None
    peak_megabytes: float | None = None
    samples_ms: list[float] = field(default_factory=list)
    median_ms: float | None = None

    def finish(self) -> None:
        """Takes the median of what was measured."""
        if self.status == "ok" and self.samples_ms:
            self.median_ms = statistics.median(self.samples_ms)

    def fail(self, status: str, reason: str) -> None:
        """Nothing that was measured counts any more."""
        self.status, self.reason = status, reason
        self.samples_ms, self.median_ms = [], None


@dataclass
class NetworkResult:
    """All peers on one network with one number of threads; times are milliseconds a frame.

    ``gflop_per_frame`` is direct work, a multiply-add counted as two, whatever the kernels save.
    """

    network: str
    what: str
    frames: int
    threads: int
    gflop_per_frame: float
    peak_gflops: float | None
    peers: list[PeerResult]

    def peer(self, name: str) -> PeerResult | None:
        """The result of one peer, if it was asked for."""
        return next((result for result in self.peers if result.peer == name), None)

    @property
    def ours_ms(self) -> float | None:
        """Our own time."""
        ours = self.peer(OURS)
        return ours.median_ms if ours else None

    @property
    def gflops(self) -> float | None:
        """Direct-equivalent GFLOP/s of ours."""
        return self.gflop_per_frame / self.ours_ms * 1000 if self.ours_ms else None

    @property
    def ratio_to_peak(self) -> float | None:
        """Direct-equivalent GFLOP/s of ours over the multiply-add peak measured in the same run."""
        return self.gflops / self.peak_gflops if self.gflops and self.peak_gflops else None

    def best(self, precision: str) -> tuple[str, float] | None:
        """The fastest rival in a precision, and how many times longer it takes than ours."""
        rivals = [
            (result.median_ms, result.peer)
            for result in self.peers
            if result.median_ms and result.peer != OURS and _is_rival(result.peer, precision)
        ]
        if not rivals or not self.ours_ms:
            return None
        fastest, name = min(rivals)
        return name, fastest / self.ours_ms


def _is_rival(name: str, precision: str) -> bool:
    return PEERS[name].compared and PEERS[name].precision == precision


@dataclass
class Report:
    """Everything of one run of ``peers.py``."""

    command: str
    machine: Machine
    versions: dict[str, str]
    rounds: int
    started: str
    results: list[NetworkResult] = field(default_factory=list)

    def geometric_mean(self, precision: str, threads: int) -> float | None:
        """Mean factor to the best rival over the networks that have one."""
        best = [r.best(precision) for r in self.results if r.threads == threads]
        return geometric_mean(found[1] for found in best if found)

    def thread_counts(self) -> list[int]:
        """The numbers of threads, in the order of the run."""
        return list(dict.fromkeys(result.threads for result in self.results))

    def peers(self) -> list[str]:
        """The peers, in the order of the registry."""
        shown = {peer.peer for result in self.results for peer in result.peers}
        return [name for name in PEERS if name in shown]


def geometric_mean(values: Iterable[float]) -> float | None:
    """None for no values."""
    found: Sequence[float] = list(values)
    return statistics.geometric_mean(found) if found else None
