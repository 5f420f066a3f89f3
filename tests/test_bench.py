"""``convlstm-native bench``: one number of threads, several, and the profile of each layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import convlstm_native as cn
import pytest
from clips import run
from convlstm_native import _core
from convlstm_native.benchmark import bench, bench_threads, profile
from convlstm_native.onnx_writer import to_onnx
from strategies import genre_net

QUICK = ("--frames", "3", "--repeats", "3")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "model.onnx"
    path.write_bytes(to_onnx(genre_net()).SerializeToString())
    return path


def check_run(record: dict[str, Any], threads: int) -> None:
    assert record["threads"] == threads
    assert record["frames_per_second"] == pytest.approx(1000 / record["ms_per_frame"])
    gflops = record["gflop_per_frame"] * record["frames_per_second"]
    assert record["gflops"] == pytest.approx(gflops)
    assert record["ratio"] == pytest.approx(gflops / record["peak_gflops"])
    assert (record["barriers_per_frame"] > 0) == (threads > 1 and _core.has_threads())
    assert record["bytes_per_frame"] > 0


def test_one_number_of_threads(model: Path) -> None:
    arguments = ("bench", model, *QUICK, "--threads", "1")
    record = json.loads(run(*arguments, "--json").stdout)
    check_run(record, 1)
    assert not {"runs", "layers"} & set(record)
    result = run(*arguments)
    assert result.exit_code == 0
    for text in ("ms/frame", "frames/s", "GFLOP/s of direct work", "multiply-add peak: ratio",
                 "0.0 barriers/frame", "MB/frame"):  # fmt: skip
        assert text in result.stdout


def test_several_numbers_of_threads(model: Path) -> None:
    arguments = ("bench", model, *QUICK, "--threads", "2,1")
    record = json.loads(run(*arguments, "--json").stdout)
    first, second = record["runs"]
    check_run(first, 2)
    check_run(second, 1)
    assert first["speed_up"] == 1
    assert second["speed_up"] == pytest.approx(first["ms_per_frame"] / second["ms_per_frame"])
    result = run(*arguments)
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert head.split() == [
        "threads", "ms/frame", "speed-up", "GFLOP/s", "peak", "ratio", "barriers/frame", "MB/frame",
    ]  # fmt: skip
    assert [row.split()[0] for row in rows[:2]] == ["2", "1"]
    assert all(len(row.split()) == len(head.split()) for row in rows[:2])


def test_profile_of_each_layer(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ("bench", model, *QUICK, "--threads", "1", "--profile", out)
    result = run(*arguments)
    assert result.exit_code == 0
    events = json.loads(out.read_text())["traceEvents"]
    assert {event["ph"] for event in events} == {"X"}
    assert {event["args"]["frame"] for event in events} == {0, 1, 2}
    lines = result.stdout.splitlines()
    for text in ("ms/frame", "share", "GFLOP/s", "GB/s", "kernel"):
        assert any(text in line and "layer" in line for line in lines)
    for name in {event["name"] for event in events}:
        assert any(line.startswith(f"{name} ") for line in lines)
    record = json.loads(run(*arguments, "--json").stdout)
    check_run(record, 1)
    assert {layer["name"] for layer in record["layers"]} == {event["name"] for event in events}


def test_threads_share_one_network() -> None:
    model = cn.Model(genre_net(), threads=1, algorithm="direct")
    other = model.with_threads(2)
    assert (model.threads, other.threads) == (1, 2)
    assert other.summary().layers == model.summary().layers
    with pytest.raises(cn.InputError, match="threads"):
        model.with_threads(0)
    runs = bench_threads(model, (1, 2), frames=1, repeats=1)
    assert [result.threads for result in runs] == [1, 2]


def test_no_frames_are_refused() -> None:
    model = cn.Model(genre_net(), threads=1)
    for call in (lambda: bench(model, 0), lambda: bench(model, 1, 0), lambda: profile(model, 0)):
        with pytest.raises(cn.InputError, match="at least 1"):
            call()
