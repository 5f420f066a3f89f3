"""The default number of threads, from made-up machines."""

from __future__ import annotations

import os
from pathlib import Path

import convlstm_native as cn
import pytest
from convlstm_native.threads import default_threads


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def many_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system has no sched_getaffinity")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 64),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, 64),
        ({"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"sys/fs/cgroup/cpu.max": "250000 100000\n"}, 3),
        ({"sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
        ({"sys/fs/cgroup/cpu.max": "not a number\n"}, 64),
        (
            {
                "proc/self/cgroup": "0::/pod/box\n",
                "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n",
                "sys/fs/cgroup/pod/cpu.max": "400000 100000\n",
            },
            4,
        ),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "600000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            6,
        ),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            64,
        ),
    ],
)
@pytest.mark.usefixtures("many_cpus")
def test_cgroup_quota(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert default_threads({}, machine(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3", 3), ("5,2", 5), ("100", 64), ("", 64), ("many", 64), ("0", 64), ("-2", 64)],
)
@pytest.mark.usefixtures("many_cpus")
def test_omp_num_threads(tmp_path: Path, value: str, expected: int) -> None:
    assert default_threads({"OMP_NUM_THREADS": value}, tmp_path) == expected


@pytest.mark.parametrize("threads", [0, -1, 1.5])
def test_threads_must_be_a_positive_number(threads: int) -> None:
    with pytest.raises(cn.InputError, match="at least 1, at most 1024, found"):
        cn.Model.load(cn.demo_model(), threads=threads)
