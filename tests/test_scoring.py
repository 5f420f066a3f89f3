"""The batch scorer and the score table."""

from __future__ import annotations

import csv
import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import cut, gray_levels, scoring_network, write_video
from convlstm_native.errors import InputError, UnsupportedModelError
from convlstm_native.scoring import read_scores, score_files, summarize
from convlstm_native.scoring.atomic import replacing
from convlstm_native.scoring.table import Columns, open_writer
from convlstm_native.spec import Dense, Flatten, Input, NetworkSpec, Node, Output, Preprocessing

SIZE = 16
FORMATS = [".csv", ".jsonl", ".parquet"]


def fake_spec(per_clip: bool) -> NetworkSpec:
    """Outputs `mean`, `pair` (2 values) and, once a clip, `clip`; only the shapes matter."""
    size = 3 * SIZE * SIZE
    nodes = [Node("flat", Flatten(), ("frames",), ("f",))]
    for name, units in (("mean", 1), ("pair", 2)):
        dense = Dense(np.zeros((size, units), np.float32), np.zeros(units, np.float32))
        nodes.append(Node(name, dense, ("f",), (name,)))
    outputs = [Output("mean", "mean"), Output("pair", "pair")]
    if per_clip:
        last = scoring_network(SIZE, ["clip"], sequences=False)
        cell, flat, dense = last.nodes
        nodes += [cell, Node("clip_flat", flat.layer, ("h",), ("g",))]
        nodes.append(Node("clip", dense.layer, ("g",), ("clip",)))
        outputs.append(Output("clip", "clip"))
    inputs = (Input("frames", (3, SIZE, SIZE), True, Preprocessing((SIZE, SIZE))),)
    return NetworkSpec("fake", inputs, tuple(nodes), tuple(outputs))


class FakeStream:
    """Scores of a frame are its mean and its spread; scores of a clip its number of frames."""

    def __init__(self, model: FakeModel) -> None:
        self._model = model
        self.reset()

    def reset(self) -> None:
        self.frames = 0
        self._late: list[np.ndarray] = []

    def push(self, frame: np.ndarray) -> dict[str, Any] | None:
        self.frames += 1
        mean = np.array([frame.mean()], np.float32)
        if self._model.diverges_above is not None and mean > self._model.diverges_above:
            mean[:] = np.nan
        scores = {"mean": mean, "pair": np.array([frame.mean(), frame.std()], np.float32)}
        if self._model.late:
            self._late.append(scores.pop("pair"))
        return scores

    def flush(self) -> dict[str, Any] | None:
        whole = {"pair": np.stack(self._late)} if self._model.late else {}
        if self._model.per_clip:
            whole["clip"] = np.array([self.frames], np.float32)
        return whole or None


class FakeModel:
    """What the scorer needs of a model, with numbers that can be foretold.

    ``late``: `pair` needs the whole clip, as the output of a layer that runs backwards does.
    """

    def __init__(
        self, per_clip: bool = False, late: bool = False, diverges_above: float | None = None
    ) -> None:
        self.per_clip = per_clip
        self.late = late
        self.diverges_above = diverges_above
        self.spec = fake_spec(per_clip)

    def stream(self) -> FakeStream:
        return FakeStream(self)


def save_array(path: Path, levels: list[int]) -> Path:
    frames = np.empty((len(levels), 3, SIZE, SIZE), np.uint8)
    frames[:] = np.array(levels, np.uint8).reshape(-1, 1, 1, 1)
    np.save(path, frames)
    return path


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    return [
        save_array(tmp_path / "a,b.npy", [0, 10, 255]),
        write_video(tmp_path / "clip.mp4", gray_levels(5)),
        save_array(tmp_path / "grün.npy", [7]),
    ]


def test_rows_of_every_input_in_order(tmp_path: Path, clips: list[Path]) -> None:
    report = score_files(FakeModel(), clips, tmp_path / "out.csv")
    rows = cells(tmp_path / "out.csv")
    assert list(rows[0]) == ["input", "frame", "time_s", "mean", "pair_0", "pair_1"]
    assert [r["input"] for r in rows] == [
        str(p) for p, n in zip(clips, (3, 5, 1), strict=True) for _ in range(n)
    ]
    assert [int(r["frame"]) for r in rows] == [0, 1, 2, 0, 1, 2, 3, 4, 0]
    assert [r["time_s"] for r in rows] == ["", "", "", "0.0", "0.04", "0.08", "0.12", "0.16", ""]
    assert [float(r["mean"]) for r in rows[:3]] == [0, 10, 255]
    assert [r["pair_0"] for r in rows] == [r["mean"] for r in rows]
    assert not report.failed
    assert report.frames == 9
    assert [r.frames for r in report.results] == [3, 5, 1]


def test_formats_agree_to_the_bit(tmp_path: Path, clips: list[Path]) -> None:
    model = FakeModel(per_clip=True)
    for suffix in FORMATS:
        score_files(model, clips, tmp_path / f"out{suffix}")
    wanted = read_scores(tmp_path / "out.parquet")
    assert [len(w.frames) for w in wanted] == [4, 6, 2]
    for suffix in FORMATS:
        found = read_scores(tmp_path / f"out{suffix}")
        for one, other in zip(found, wanted, strict=True):
            assert one.input == other.input
            np.testing.assert_array_equal(one.frames, other.frames)
            np.testing.assert_array_equal(one.times, other.times)
            assert list(one.columns) == ["mean", "pair_0", "pair_1", "clip"]
            for name, column in one.columns.items():
                np.testing.assert_array_equal(column, other.columns[name])


def test_parquet_types(tmp_path: Path, clips: list[Path]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    score_files(FakeModel(), clips, tmp_path / "out.parquet")
    schema = parquet.read_schema(tmp_path / "out.parquet")
    assert [str(t) for t in schema.types] == ["string", "int64", "double", *["float"] * 3]


def test_scores_of_a_whole_clip_have_their_own_row(tmp_path: Path, clips: list[Path]) -> None:
    score_files(FakeModel(per_clip=True), clips[:1], tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [r["frame"] for r in rows] == [0, 1, 2, None]
    assert [r["clip"] for r in rows] == [None, None, None, 3]
    assert rows[-1]["mean"] is None


@pytest.mark.parametrize("per_clip", [False, True])
def test_outputs_that_need_the_whole_clip_change_no_row(
    tmp_path: Path, clips: list[Path], per_clip: bool
) -> None:
    score_files(FakeModel(per_clip), clips, tmp_path / "now.csv")
    score_files(FakeModel(per_clip, late=True), clips, tmp_path / "late.csv")
    assert (tmp_path / "now.csv").read_bytes() == (tmp_path / "late.csv").read_bytes()


@pytest.mark.parametrize("suffix", FORMATS)
def test_bad_inputs_are_reported_and_leave_no_row(
    tmp_path: Path, clips: list[Path], suffix: str
) -> None:
    nan = np.zeros((4, 3, SIZE, SIZE), np.float32)
    nan[3, 0, 0, 0] = np.nan
    np.save(tmp_path / "nan.npy", nan)
    np.save(tmp_path / "rank.npy", nan[0])
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "empty.npy").write_bytes(b"")
    whole = write_video(tmp_path / "whole.mp4", gray_levels(40), options={"movflags": "faststart"})
    cut(whole, tmp_path / "cut.mp4", 0.6)
    reasons = {
        "nan.npy": "frame 3: expected finite numbers, found nan at (0, 0, 0)",
        "rank.npy": "found rank 3",
        "text.npy": "not an .npy file",
        "empty.npy": "the file is empty",
        "cut.mp4": "cut short",
        "absent.npy": "no such file",
    }
    bad = [tmp_path / name for name in reasons]
    mixed = [bad[0], clips[0], *bad[1:4], clips[1], *bad[4:], clips[2]]
    seen = []
    report = score_files(FakeModel(), mixed, tmp_path / f"mixed{suffix}", on_result=seen.append)
    assert tuple(seen) == report.results
    assert [Path(f.input).name for f in report.failed] == list(reasons)
    for failed in report.failed:
        assert reasons[Path(failed.input).name] in str(failed.reason)
        assert failed.frames == 0
    score_files(FakeModel(), clips, tmp_path / f"good{suffix}")
    assert (tmp_path / f"mixed{suffix}").read_bytes() == (tmp_path / f"good{suffix}").read_bytes()


def test_scores_that_are_not_finite_fail_the_input(tmp_path: Path, clips: list[Path]) -> None:
    report = score_files(FakeModel(diverges_above=250), clips, tmp_path / "out.csv")
    (failed,) = report.failed
    assert str(failed.reason).startswith("output 'mean' at frame 2: expected finite scores")
    assert {r["input"] for r in cells(tmp_path / "out.csv")} == {str(p) for p in clips[1:]}


def test_a_table_without_rows_has_its_header(tmp_path: Path) -> None:
    report = score_files(FakeModel(), [tmp_path / "absent.npy"], tmp_path / "out.csv")
    assert len(report.failed) == 1
    assert (tmp_path / "out.csv").read_text() == "input,frame,time_s,mean,pair_0,pair_1\n"
    assert read_scores(tmp_path / "out.csv") == []


def test_wrong_arguments(tmp_path: Path, clips: list[Path]) -> None:
    for inputs, output, reason in (
        (clips, "out.txt", r"expected one of .csv, .jsonl, .parquet, found '.txt'"),
        ([], "out.csv", "at least one input"),
        ([clips[0], tmp_path / "." / clips[0].name], "out.csv", "given twice"),
        ([*clips, tmp_path / "out.csv"], "out.csv", "not one of the inputs"),
    ):
        with pytest.raises(InputError, match=reason):
            score_files(FakeModel(), inputs, tmp_path / output)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="plain file"):
        score_files(FakeModel(), clips, tmp_path / "folder.csv")
    with pytest.raises(FileNotFoundError):
        score_files(FakeModel(), clips, tmp_path / "no" / "out.csv")


def test_without_pyarrow_parquet_is_refused_before_any_work(
    tmp_path: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'convlstm-native\[parquet\]'"):
        score_files(FakeModel(), clips, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_names_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    odd = save_array(tmp_path / os.fsdecode(b"\xff.npy"), [1])
    for suffix in FORMATS:
        report = score_files(FakeModel(), [odd], tmp_path / f"out{suffix}")
        assert report.results[0].input == f"{tmp_path}/\\xff.npy"
        (scores,) = read_scores(tmp_path / f"out{suffix}")
        assert scores.input == report.results[0].input


def test_column_names_must_differ() -> None:
    with pytest.raises(UnsupportedModelError, match="score column 'frame'"):
        Columns.of(renamed("frame", "pair"))
    with pytest.raises(UnsupportedModelError, match="score column 'pair_0'"):
        Columns.of(renamed("pair_0", "pair"))


def renamed(*names: str) -> NetworkSpec:
    spec = fake_spec(per_clip=False)
    outputs = tuple(Output(n, o.value) for n, o in zip(names, spec.outputs, strict=True))
    return NetworkSpec(spec.name, spec.inputs, spec.nodes, outputs)


# --- Whole or not there at all


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_run_that_breaks_off_leaves_the_old_file(
    tmp_path: Path, clips: list[Path], suffix: str, error: BaseException
) -> None:
    output = tmp_path / f"out{suffix}"
    output.write_bytes(b"old")
    before = sorted(tmp_path.iterdir())

    def break_off(result: object) -> None:
        raise error

    with pytest.raises(type(error)):
        score_files(FakeModel(), clips, output, on_result=break_off)
    assert output.read_bytes() == b"old"
    assert sorted(tmp_path.iterdir()) == before


def test_no_output_before_the_end(tmp_path: Path, clips: list[Path]) -> None:
    output = tmp_path / "out.csv"
    there = []
    score_files(FakeModel(), clips, output, on_result=lambda r: there.append(output.exists()))
    assert there == [False] * 3
    assert output.exists()


def test_replacing_follows_links_and_spares_devices(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    with pytest.raises(InputError, match="plain file"), replacing(os.devnull):
        pass


def test_a_long_input_is_spooled_and_written_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiny limits stand for a long film: the table must be the same."""
    levels = [i % 256 for i in range(300)]
    save_array(tmp_path / "long.npy", levels)
    monkeypatch.setattr("convlstm_native.scoring.scorer.SPOOL_BYTES", 64)
    monkeypatch.setattr("convlstm_native.scoring.scorer.BATCH_ROWS", 7)
    for suffix in FORMATS:
        score_files(FakeModel(), [tmp_path / "long.npy"], tmp_path / f"out{suffix}")
        (scores,) = read_scores(tmp_path / f"out{suffix}")
        np.testing.assert_array_equal(scores.frames, np.arange(300))
        np.testing.assert_array_equal(scores.columns["mean"], levels)


# --- Reading back


def test_summary(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(
        "input,frame,time_s,calm,wild\na,0,0.0,1,2\na,1,0.5,5,4\na,2,1.0,3,9\nb,0,,1,0\n"
    )
    first, second = summarize(read_scores(tmp_path / "s.csv"))
    assert (first.input, first.rows, first.top) == ("a", 3, "wild")
    calm, wild = first.columns
    assert (calm.mean, calm.maximum, calm.peak_frame, calm.peak_time_s) == (3, 5, 1, 0.5)
    assert (wild.mean, wild.maximum, wild.peak_frame, wild.peak_time_s) == (5, 9, 2, 1.0)
    assert (calm.leads, wild.leads) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert second.top == "calm"
    assert second.columns[0].peak_time_s is None


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("s.csv", "a,b\n1,2\n", "expected columns input, frame, time_s"),
        ("s.csv", "input,frame,time_s,x\na,0\n", "expected 4 cells in every row"),
        ("s.csv", "input,frame,time_s,x\na,0,,hello\n", "hello"),
        ("s.jsonl", "{]\n", "score file"),
        ("s.jsonl", '{"input": "a"}\n', "expected columns"),
        ("s.jsonl", "[1]\n", "score file"),
        ("s.parquet", "no parquet", "score file"),
        ("s.txt", "", "expected one of .csv"),
    ],
)
def test_files_that_are_no_score_table(
    tmp_path: Path, name: str, content: str, reason: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=reason):
        read_scores(tmp_path / name)


def test_writer_needs_a_known_format(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file, pytest.raises(InputError, match="expected one of"):
        open_writer(tmp_path / "x", file, ("mean",))
