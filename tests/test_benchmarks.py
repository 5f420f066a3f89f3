"""The benchmarks: every peer is checked, and one that does not count is named with the reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import convlstm_native as cn
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import layers
import networks
from harness.agreement import disagreement, largest_error
from harness.comparison import check
from harness.machine import this_machine
from harness.remote import Child, ChildError
from harness.results import NetworkResult, PeerResult, Report
from harness.tables import markdown
from layer_rows import FAMILIES

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

# --- One run on a tiny network --------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What peers.py writes where there is no PyTorch, installed here or not."""
    folder = tmp_path_factory.mktemp("peers")
    (folder / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')\n")
    command = [sys.executable, str(BENCHMARKS / "peers.py"), "--networks=tiny", "--rounds=2"]
    command += ["--peers=ours,ours-direct,ort-portable,openvino-f32,torch-eager-f32"]
    command += ["--threads=1,2", f"--json={folder / 'run.json'}", f"--markdown={folder / 'run.md'}"]
    command += [f"--chart={folder / 'run.png'}"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    written: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return {
        **written,
        "printed": done.stdout,
        "markdown": (folder / "run.md").read_text(),
        "chart": (folder / "run.png").read_bytes(),
    }


def peers_of(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {peer["peer"]: peer for peer in result["peers"]}


def test_peers_that_answer_alike_are_timed(run: dict[str, Any]) -> None:
    assert [result["threads"] for result in run["results"]] == [1, 2]
    for result in run["results"]:
        peers = peers_of(result)
        for name in ("ours", "ours-direct", "ort-portable"):
            assert peers[name]["status"] == "ok", peers[name]["reason"]
            assert peers[name]["error"] <= 1e-4
            assert len(peers[name]["samples_ms"]) == 2
            assert peers[name]["median_ms"] > 0
            assert peers[name]["load_seconds"] > 0
            assert peers[name]["peak_megabytes"] > 10
        assert result["best_f32"][0] == "ort-portable"
        assert result["best_bf16"] is None
        assert result["peak_gflops"] > 0
        assert result["ratio_to_peak"] > 0
        assert result["gflop_per_frame"] > 0


def test_missing_peer_is_named(run: dict[str, Any]) -> None:
    for result in run["results"]:
        for name in ("torch-eager-f32", "openvino-f32"):  # OpenVINO's file comes from PyTorch
            peer = peers_of(result)[name]
            assert (peer["status"], peer["reason"]) == ("missing", "torch is not installed")
            assert peer["median_ms"] is None
    for text in (run["printed"], run["markdown"]):
        assert "torch is not installed" in text


def test_run_says_where_it_ran(run: dict[str, Any]) -> None:
    assert run["command"].startswith("python benchmarks/peers.py --networks=tiny")
    assert run["command"] in run["markdown"]
    assert run["machine"]["cpu"] in run["markdown"]
    assert f"convlstm_native {run['versions']['convlstm_native']}" in run["markdown"]
    assert run["chart"].startswith(b"\x89PNG")


# --- The check ------------------------------------------------------------------------------------

ANSWER = np.linspace(-2, 1, 24, dtype=np.float32).reshape(2, 3, 4)


def test_same_answer_up_to_rounding_agrees() -> None:
    rounded = ANSWER * np.float32(1 + 3e-7)
    assert disagreement([ANSWER], [rounded], "f32") is None
    assert largest_error([ANSWER], [ANSWER]) == 0


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_error_is_relative_to_the_largest_value(precision: str) -> None:
    tolerance = {"f32": 1e-4, "bf16": 0.1}[precision]
    assert disagreement([ANSWER], [ANSWER + 1.9 * tolerance], precision) is None
    found = disagreement([ANSWER], [ANSWER + 2.1 * tolerance], precision)
    assert found is not None
    assert f"tolerance {tolerance:g}" in found


@pytest.mark.parametrize("other", [[ANSWER[:1]], [ANSWER, ANSWER], [np.full_like(ANSWER, np.nan)]])
def test_other_shapes_and_nan_disagree(other: list[Any]) -> None:
    assert largest_error([ANSWER], other) == float("inf")
    assert disagreement([ANSWER], other, "bf16") is not None


def test_disagreeing_peer_does_not_count() -> None:
    ours = PeerResult("ours", samples_ms=[1.0])
    wrong = PeerResult("keras", samples_ms=[0.5])
    right = PeerResult("ort-portable", samples_ms=[3.0])
    half = PeerResult("torch-eager-bf16", samples_ms=[2.0])
    check(wrong, [ANSWER], [ANSWER * 2])
    check(right, [ANSWER], [ANSWER])
    check(half, [ANSWER], [ANSWER * 1.01])
    for peer in (ours, wrong, right, half):
        peer.finish()
    assert (wrong.status, wrong.error, wrong.median_ms) == ("disagrees", 1.0, None)
    result = NetworkResult("tiny", "", 3, 2, 0.1, 50.0, [ours, wrong, right, half])
    assert result.best("f32") == ("ort-portable", 3.0)
    assert result.best("bf16") == ("torch-eager-bf16", 2.0)
    assert result.ratio_to_peak == pytest.approx(2.0)
    report = Report("command", this_machine(), {}, 1, "today", [result])
    assert report.geometric_mean("f32", 2) == pytest.approx(3.0)
    text = markdown(report)
    assert "keras disagrees: differs by 1 of the largest value, tolerance 0.0001 (tiny)" in text


# --- Child processes ------------------------------------------------------------------------------


def test_child_reports_what_is_not_installed() -> None:
    with pytest.raises(ChildError, match="no_such_library is not installed") as caught:
        Child("no_such_library:Thing", 1)
    assert caught.value.missing == "no_such_library"


def test_child_passes_errors_on_and_lives() -> None:
    with Child("collections:Counter", 1) as child:
        with pytest.raises(ChildError, match=r"AttributeError.*no_such_method"):
            child.call("no_such_method")
        assert child.call("total") == 0


def test_child_that_dies_is_an_error() -> None:
    class Deadly:
        def __reduce__(self) -> tuple[Any, ...]:
            return os._exit, (3,)

    with (
        Child("collections:Counter", 1) as child,
        pytest.raises(ChildError, match="ended with code 3"),
    ):
        child.call("update", iterable=Deadly())


def test_child_that_takes_too_long_is_an_error() -> None:
    with (
        Child("threading:Event", 1, timeout=2) as child,
        pytest.raises(ChildError, match="no answer within 2 s"),
    ):
        child.call("wait")


# --- The networks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("network", networks.NETWORKS.values(), ids=lambda network: network.name)
def test_cells_fit_their_inputs(network: networks.Network) -> None:
    shapes = network.cells()
    assert shapes
    assert shapes[0].frame == network.frame
    for shape in shapes:
        networks.cell_network(shape).values()


def test_states_of_relu_cells_stay_bounded() -> None:
    for shape in networks.NETWORKS["next-frame"].cells():
        small = networks.CellShape(shape.channels, 8, 8, shape.cell, shape.data_format)
        clip = np.random.default_rng(0).random((200, *small.frame), dtype=np.float32)
        h = cn.Model(networks.cell_network(small)).predict(clip)["h"]
        assert np.abs(h[150:]).max() < 10
        # Settled: the last frames are no larger than those in the middle.
        assert np.abs(h[150:]).max() < 1.5 * np.abs(h[50:100]).max()


# --- Layers -----------------------------------------------------------------------------------------


def test_a_layer_is_timed_beside_onnx_runtime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    written = tmp_path / "layers.json"
    found = layers.main(
        ["--match=32x28x28", "--rounds=1", "--seconds=0.01", "--threads=1", f"--json={written}"]
    )
    assert found == 0
    (result,) = json.loads(written.read_text())["results"]
    assert result["layer"] == "32x28x28 -> 128 1x1"
    assert result["gflop"] == pytest.approx(2 * 32 * 128 * 28 * 28 / 1e9)
    assert result["ratio"] == result["theirs_ms"] / result["ours_ms"] > 0


def test_a_layer_with_another_answer_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(layers, "disagreement", lambda *_: "differs")
    rows = [row for row in FAMILIES["convolution"] if "32x28x28" in row.name]
    (result,) = layers.measure("convolution", rows, 1, 1, 0.01, 2)
    assert (result.problem, result.ratio) == ("differs", None)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_layers_differ(family: str) -> None:
    names = [row.name for row in FAMILIES[family]]
    assert len(names) == len(set(names))
