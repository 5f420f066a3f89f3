"""The trailer renderer: repeatable, of any size, and genres that only time tells apart."""

from __future__ import annotations

import tracemalloc
from itertools import islice, pairwise

import numpy as np
import pytest
from convlstm_native.errors import InputError
from convlstm_native.trailers import (
    CATEGORIES,
    iter_frames,
    iter_scene,
    plan_scenes,
    render,
    scene_labels,
)

PAIRS = (("comedy", "action"), ("terror", "thriller"), ("musical", "other"))


def scene(genre: str, seed: int, frames: int, size: int = 24) -> np.ndarray:
    return np.stack(list(islice(iter_scene(genre, seed, size, size), frames)))


def test_same_seed_same_trailer() -> None:
    first, again, other = (render(seed, 60, 24, 32) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.scenes == again.scenes
    assert (first.frames != other.frames).any()


def test_longer_trailer_begins_with_the_shorter_one() -> None:
    short, long = render(5, 31, 16, 16), render(5, 90, 16, 16)
    np.testing.assert_array_equal(long.frames[:31], short.frames)
    np.testing.assert_array_equal(long.labels[:31], short.labels)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 48, 48), (7, 3, 50), (40, 61, 17), (2, 400, 400)])
def test_any_length_and_size(shape: tuple[int, int, int]) -> None:
    trailer = render(0, *shape)
    assert trailer.frames.shape == (shape[0], 3, *shape[1:])
    assert trailer.frames.dtype == np.uint8
    assert trailer.labels.shape == (shape[0], 6)
    assert trailer.labels.dtype == np.float32


def test_iterator_gives_the_frames_of_render() -> None:
    np.testing.assert_array_equal(
        np.stack(list(iter_frames(8, 45, 20, 24))), render(8, 45, 20, 24).frames
    )


def test_iterator_holds_no_frames() -> None:
    tracemalloc.start()
    try:
        count = sum(1 for _ in iter_frames(1, 300, 64, 64))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 300
    # A frame is 12 kB; painting one takes a few float copies of it. All 300 would be 3.7 MB.
    assert peak < 1_000_000


@pytest.mark.parametrize("seed", range(5))
def test_labels_follow_the_scenes(seed: int) -> None:
    trailer = render(seed, 100, 8, 8)
    assert trailer.categories == CATEGORIES
    assert trailer.scenes[0].start == 0
    assert trailer.scenes[-1].stop == 100
    for before, after in pairwise(trailer.scenes):
        assert before.stop == after.start
    for shot in trailer.scenes:
        expected = [float(category == shot.genre) for category in CATEGORIES]
        assert (trailer.labels[shot.start : shot.stop] == expected).all()


def test_cuts_are_where_the_labels_change() -> None:
    # Looks differ in mean brightness and colour, so the picture jumps wherever the look does.
    trailer = render(2, 200, 16, 16)
    looks = {genre: index // 2 for index, genre in enumerate(CATEGORIES)}
    for before, after in pairwise(trailer.scenes):
        if looks[before.genre] != looks[after.genre]:
            last, first = trailer.frames[after.start - 1], trailer.frames[after.start]
            assert np.abs(last.astype(int) - first).mean() > 15


def test_genres_are_drawn_evenly() -> None:
    genres = [shot.genre for seed in range(40) for shot in plan_scenes(seed, 600)]
    counts = np.array([genres.count(category) for category in CATEGORIES])
    share = counts / counts.sum()
    # Four standard deviations of a fair draw.
    assert np.abs(share - 1 / 6).max() < 4 * np.sqrt(1 / 6 * 5 / 6 / counts.sum())


def test_labels_have_one_genre_a_frame() -> None:
    assert (scene_labels(plan_scenes(1, 500)).sum(axis=1) == 1).all()


def single_frames(genre: str, at: int, scenes: int) -> np.ndarray:
    """Statistics (scenes, 5) of frame ``at`` of independent scenes: level, contrast, layout."""
    found = []
    first = scenes * CATEGORIES.index(genre)  # no two genres share a seed
    for seed in range(first, first + scenes):
        frame = scene(genre, seed, at + 1, size=16)[at] / 255
        rows, cols = frame.mean(axis=(0, 2)), frame.mean(axis=(0, 1))
        found.append([frame.mean(), frame.std(), frame.max(), rows[:8].mean(), cols[:8].mean()])
    return np.array(found)


def kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    """Largest distance between the two empirical distribution functions."""
    points = np.concatenate([a, b])
    cdfs = [np.searchsorted(np.sort(x), points, side="right") / len(x) for x in (a, b)]
    return float(np.abs(cdfs[0] - cdfs[1]).max())


@pytest.mark.parametrize("at", [0, 1, 9])
@pytest.mark.parametrize("pair", PAIRS)
def test_single_frames_of_a_pair_are_alike(pair: tuple[str, str], at: int) -> None:
    scenes = 400
    # 1.95 is the two-sample limit of the statistic at a risk of 0.1 %.
    limit = 1.95 * np.sqrt(2 / scenes)
    first, second = (single_frames(genre, at, scenes) for genre in pair)
    for statistic in range(first.shape[1]):
        assert kolmogorov_smirnov(first[:, statistic], second[:, statistic]) < limit


def test_single_frames_of_different_looks_differ() -> None:
    # The counterpart of the test above: its yardstick does see a difference where there is one.
    limit = 1.95 * np.sqrt(2 / 100)
    looks = [single_frames(genre, 0, 100)[:, 0] for genre in ("comedy", "terror", "musical")]
    assert all(kolmogorov_smirnov(looks[a], looks[b]) > limit for a, b in ((0, 1), (1, 2), (0, 2)))


def change(genre: str, seed: int) -> float:
    """Mean absolute difference from frame to frame."""
    return float(np.abs(np.diff(scene(genre, seed, 30).astype(int), axis=0)).mean())


@pytest.mark.parametrize(
    ("restless", "calm"), [("action", "comedy"), ("terror", "thriller"), ("musical", "other")]
)
def test_a_pair_differs_in_motion(restless: str, calm: str) -> None:
    faster = [change(restless, seed) > 1.5 * change(calm, seed) for seed in range(60)]
    assert np.mean(faster) > 0.9


def test_musical_keeps_a_beat() -> None:
    # The brightness rises only when the beat restarts: 90 to 150 times a minute at 12 frames/s.
    for seed in range(10):
        level = scene("musical", seed, 60, size=8).mean(axis=(1, 2, 3))
        beats = np.flatnonzero(np.diff(level) > 0)
        distances = np.diff(beats)
        assert 4 <= distances.min() <= distances.max() <= 8
        assert np.ptp(distances) <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 5, 8, 8, 12.0), "seed >= 0"),
        ((0, 0, 8, 8, 12.0), "frames >= 1"),
        ((0, 5, 0, 8, 12.0), "rows, cols >= 1"),
        ((0, 5, 8, 8, 0.0), "fps > 0"),
        ((0, 5, 8, 8, float("nan")), "fps > 0"),
    ],
)
def test_arguments_out_of_range(arguments: tuple[int, int, int, int, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        render(*arguments)


def test_unknown_genre() -> None:
    with pytest.raises(InputError, match="'western'"):
        next(iter_scene("western", 0, 8, 8))
