"""Batches: samples side by side give what they give one by one, and fail as they do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import convlstm_native as cn
import numpy as np
import pytest
from convlstm_native.batch import side_by_side
from convlstm_native.stream import Stream
from strategies import genre_net

SHAPE = (3, 24, 36)


def clips(samples: int, frames: int = 4) -> np.ndarray:
    return np.random.default_rng(0).random((samples, frames, *SHAPE), np.float32)


@pytest.mark.parametrize("samples", [1, 2, 3, 5])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_bits_either_way(samples: int, threads: int) -> None:
    x = clips(samples)
    found = cn.Model(genre_net(), threads=threads).predict(x)
    alone = cn.Model(genre_net(), threads=1)
    for n in range(samples):
        for name, expected in alone.predict(x[n]).items():
            np.testing.assert_array_equal(found[name][n], expected)


@pytest.mark.parametrize(
    ("samples", "threads", "workers"), [(1, 2, 0), (2, 2, 2), (5, 2, 2), (3, 1, 0), (2, 3, 0)]
)
def test_who_runs_the_samples(
    monkeypatch: pytest.MonkeyPatch, samples: int, threads: int, workers: int
) -> None:
    """At least as many samples as threads: a thread each, of which no stream starts more."""
    seen: list[tuple[int, int]] = []
    predict = Stream.predict_arrays

    def recorded(stream: Stream, *arguments: Any) -> Any:
        seen.append((threading.get_ident(), stream._threads))
        return predict(stream, *arguments)

    monkeypatch.setattr(Stream, "predict_arrays", recorded)
    cn.Model(genre_net(), threads=threads).predict(clips(samples))
    assert len(seen) == samples
    others = {ident for ident, _ in seen} - {threading.get_ident()}
    assert bool(others) == bool(workers)
    assert len(others) <= workers
    assert {count for _, count in seen} == {1 if workers else threads}


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_the_lowest_sample_that_fails_is_named(threads: int) -> None:
    before = threading.active_count()
    x = clips(6, 70)  # 70 frames: more than one run of frames
    x[4, 0] = np.nan
    x[2, 69] = np.inf
    x[5, 0] = np.nan
    with pytest.raises(cn.InputError) as error:
        cn.Model(genre_net(), threads=threads).predict(x)
    assert str(error.value) == (
        "sample 2: input 'trailer_input', frame 69: expected finite numbers, found NaN or infinity"
    )
    assert threading.active_count() == before


def test_batches_of_other_types_and_layouts() -> None:
    x = (clips(4) * 255).astype(np.uint8)
    apart = x[:, ::-1, :, ::-1]
    many, one = (cn.Model(genre_net(), threads=threads) for threads in (2, 1))
    for given in (x, apart, x.astype(np.float64), x[::2]):
        for name, expected in one.predict(given).items():
            np.testing.assert_array_equal(many.predict(given)[name], expected)


# --- side_by_side


def never_ends(check: Callable[[], None]) -> None:
    pause = threading.Event()
    while not pause.wait(0.001):
        check()


def test_results_are_in_order() -> None:
    assert side_by_side(9, 3, lambda n, _: n * n) == [n * n for n in range(9)]


def test_work_that_nobody_needs_is_dropped() -> None:
    begun: list[int] = []
    failing = threading.Event()

    def run(n: int, check: Callable[[], None]) -> None:
        begun.append(n)
        if n == 1:
            failing.set()
            raise cn.InputError("one")
        if n == 0:
            assert failing.wait(60)
            return
        never_ends(check)

    with pytest.raises(cn.InputError, match="one"):
        side_by_side(1000, 3, run)
    assert len(begun) <= 4


def test_a_later_failure_waits_for_earlier_work() -> None:
    later = threading.Event()

    def run(n: int, check: Callable[[], None]) -> None:
        if n == 0:
            assert later.wait(60)
            check()  # still wanted: 0 is below 1
            raise cn.InputError("zero")
        later.set()
        raise cn.InputError("one")

    with pytest.raises(cn.InputError, match="zero"):
        side_by_side(2, 2, run)


def test_an_interrupt_ends_all() -> None:
    def run(n: int, check: Callable[[], None]) -> None:
        if n == 0:
            raise KeyboardInterrupt
        never_ends(check)

    with pytest.raises(KeyboardInterrupt):
        side_by_side(50, 4, run)
