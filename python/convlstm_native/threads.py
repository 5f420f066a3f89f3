"""How many threads to use when the caller does not say."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Mapping
from pathlib import Path

from convlstm_native import _core
from convlstm_native.errors import InputError

MOST_THREADS = 1024


def chosen_threads(threads: int | None) -> int:
    """``threads`` checked, or :func:`default_threads` for None.

    Raises :class:`InputError` unless it is a whole number from 1 to ``MOST_THREADS``.
    """
    if threads is None:
        return default_threads()
    try:
        number = operator.index(threads)
    except TypeError:
        number = 0
    if isinstance(threads, bool) or not 1 <= number <= MOST_THREADS:
        raise InputError(
            f"threads: expected a whole number of at least 1, at most {MOST_THREADS}, "
            f"found {threads!r}"
        )
    return number


def default_threads(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> int:
    """The least of the CPUs this process may run on, its cgroup's quota and ``OMP_NUM_THREADS``.

    A container with a quota of two CPUs on a machine with 64 gets 2, not 64. At least 1; 1 where the
    build has no threads.
    """
    if not _core.has_threads():
        return 1
    limits = [_affinity(), _cgroup_quota(root), _omp_num_threads(environment)]
    least = min(limit for limit in limits if limit is not None)
    return max(1, min(least, MOST_THREADS))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _omp_num_threads(environment: Mapping[str, str]) -> int | None:
    """The first number of the list that OpenMP allows there; None when unset or not a number."""
    first = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


def _cgroup_quota(root: Path) -> int | None:
    """CPUs worth of time that the cgroup (version 2 or 1) grants, rounded up."""
    base = root / "sys/fs/cgroup"
    quotas = []
    for group in _cgroups(root):
        quotas.append(_quota(base / group / "cpu.max"))
        quotas.append(
            _quota(
                base / "cpu" / group / "cpu.cfs_quota_us",
                base / "cpu" / group / "cpu.cfs_period_us",
            )
        )
    return min((quota for quota in quotas if quota is not None), default=None)


def _cgroups(root: Path) -> set[str]:
    """Paths of the process' cgroups below the mount; '' is the mount, as containers see it."""
    groups = {""}
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return groups
    for line in lines:
        path = line.split(":", 2)[-1].strip("/")
        # A parent's quota binds its children as well.
        while path:
            groups.add(path)
            path = path.rpartition("/")[0]
    return groups


def _quota(*files: Path) -> int | None:
    """Quota over period, both in microseconds, from one file of two words or two files."""
    try:
        words = " ".join(file.read_text() for file in files).split()
        quota, period = int(words[0]), int(words[1])
    except (OSError, ValueError, IndexError):
        return None  # no such file, or "max": no limit
    return math.ceil(quota / period) if quota > 0 and period > 0 else None
