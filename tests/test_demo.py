"""The demonstration: its timeline, its table and its picture."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from clips import run
from convlstm_native import demo
from convlstm_native.demo import Demo
from convlstm_native.report import timeline
from convlstm_native.trailers import CATEGORIES, Scene, Trailer, scene_labels


def test_timeline() -> None:
    """Four frames of comedy, then four of action; comedy scores climb, the others stay put."""
    scenes = (Scene("comedy", 0, 4), Scene("action", 4, 8))
    frames = np.zeros((8, 3, 1, 1), np.uint8)
    scores = np.zeros((8, 6), np.float32)
    scores[:, 0] = np.linspace(0, 1, 8)
    scores[:, 1:3] = (-3, 7)
    trailer = Trailer(frames, scene_labels(scenes), scenes, CATEGORIES, 8.0)
    lines = [line.plain for line in timeline(Demo(trailer, scores), width=17, encoding="utf-8")]
    assert lines[:3] == ["comedy    ▁▂▃▅▆▇█", "action           ", "terror   ████████"]
    assert lines[-1] == "true     |com|act"
    halved = timeline(Demo(trailer, scores), width=13, encoding="ascii")
    assert [line.plain for line in halved][:3] == [
        "comedy   .-+#",
        "action       ",
        "terror   @@@@",
    ]


def test_the_network_knows_its_genres() -> None:
    shown = demo.run()
    assert {scene.genre for scene in shown.trailer.scenes} == set(CATEGORIES)
    assert shown.accuracy > shown.majority + 0.4
    for genre in shown.genres():
        assert genre.mean_inside > genre.mean_outside + 0.4


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("demo", "--frames", "60", "--seed", "3")
    assert result.exit_code == 0
    for genre in ("comedy", "action", "terror", "thriller", "musical", "other"):
        assert len([line for line in result.stdout.splitlines() if line.startswith(genre)]) == 2
    assert "right in " in result.stdout
    pytest.importorskip("matplotlib")
    assert (tmp_path / "genre-demo.png").read_bytes().startswith(b"\x89PNG")
    assert result.stderr == ""


def test_demo_without_matplotlib_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [m for m in sys.modules if m.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    unasked = run("demo", "--frames", "6")
    assert unasked.exit_code == 0
    assert "pip install 'convlstm-native[plot]'" in unasked.stderr
    asked = run("demo", "--frames", "6", "--out", "p.png")
    assert asked.exit_code == 2
    assert "pip install 'convlstm-native[plot]'" in asked.stderr
    assert list(tmp_path.iterdir()) == []
