"""Samples of a batch at the same time, one thread each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
Check = Callable[[], None]


class _Dropped(Exception):
    """The result is not wanted any more."""


def side_by_side(count: int, workers: int, run: Callable[[int, Check], Result]) -> list[Result]:
    """``run(n, check)`` for every ``n`` below ``count``, ``workers`` at a time; results in the order of n.

    Raises what the lowest ``n`` that fails raises, as if they had run one after another. From then on, and
    when this thread is interrupted, work that nobody needs is not begun, and what has begun ends at its
    next call of ``check()``, which raises there.
    """
    wanted = count  # the results below are
    lock = threading.Lock()

    def want_below(n: int) -> None:
        nonlocal wanted
        with lock:
            wanted = min(wanted, n)

    def work(n: int) -> Result:
        def check() -> None:
            if n >= wanted:
                raise _Dropped

        check()
        try:
            return run(n, check)
        except BaseException:
            want_below(n)
            raise

    with ThreadPoolExecutor(workers, "convlstm_native") as pool:
        futures = [pool.submit(work, n) for n in range(count)]
        try:
            return [future.result() for future in futures]
        except BaseException:
            want_below(0)
            pool.shutdown(wait=False, cancel_futures=True)
            raise
