"""Synthetic movie trailers: scenes of six genres that can be told apart only by watching them move.

A genre is a *look* and a *rhythm*. A look paints a frame from a few coordinates in [0, 1); a
rhythm moves the coordinates from frame to frame. Two genres share each look, and every rhythm
starts at a uniform point and keeps each coordinate uniform on [0, 1) at every later frame. So the
single frames of the two genres of a look have the same distribution, and no classifier that sees
one frame can separate them:

========  ==============================  ==================================================
genre     look                            rhythm
========  ==============================  ==================================================
comedy    bright ground, coloured shapes  the shapes drift slowly and bounce off the edges
action    bright ground, coloured shapes  the shapes race across and re-enter opposite
terror    a pale glow in the dark         the glow leaps about, several times a second
thriller  a pale glow in the dark         the glow creeps, slowly growing and fading
musical   flat coloured bands             the bands flash and fade on a regular beat
other     flat coloured bands             the light stands still, then changes at odd moments
========  ==============================  ==================================================

Scenes follow each other with hard cuts. The genre of a scene does not depend on the one before,
so a cut tells nothing about what follows. All speeds are per second: a trailer looks alike at any
frame rate.

The same arguments give the same trailer, and a longer trailer begins with the frames of a shorter
one. Scenes are seeded one by one, so a trailer of any length is rendered frame by frame.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from convlstm_native.errors import InputError

Floats = NDArray[np.float32]
Frame = NDArray[np.uint8]
Painter = Callable[[Floats], Floats]
Look = Callable[[np.random.Generator, int, int], tuple[int, Painter]]
Rhythm = Callable[[np.random.Generator, int, float], Iterator[Floats]]

FPS = 12.0
SCENE_SECONDS = (1.0, 2.5)

# What the two numbers of a seed select, so that the plan and the scenes draw from separate streams.
_PLAN, _SCENE = 0, 1


@dataclass(frozen=True)
class Scene:
    """One shot: ``genre`` holds for the frames ``start <= frame < stop``."""

    genre: str
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Trailer:
    """``frames`` uint8 (T, 3, rows, cols) in RGB; ``labels`` float32 (T, 6), 1 for the genre."""

    frames: NDArray[np.uint8]
    labels: Floats
    scenes: tuple[Scene, ...]
    categories: tuple[str, ...]
    fps: float


@dataclass(frozen=True)
class _Genre:
    """A look gives the number of coordinates its painter takes; a rhythm moves as many."""

    look: Look
    rhythm: Rhythm


# --- Looks: how many coordinates they take, and (coordinates) -> float32 (3, rows, cols) in [0, 1]


def _color(rng: np.random.Generator, saturation: float, value: float) -> Floats:
    """A colour of random hue, shaped to be painted over (rows, cols)."""
    rgb = colorsys.hsv_to_rgb(rng.random(), saturation, value)
    return np.array(rgb, np.float32).reshape(3, 1, 1)


def _distance(center: float, size: int) -> Floats:
    """Pixels from ``center`` (a fraction of the axis) along one axis whose ends are joined."""
    apart: Floats = np.abs((np.arange(size, dtype=np.float32) + np.float32(0.5)) / size - center)
    return (np.minimum(apart, 1 - apart) * size).astype(np.float32)


def _shapes(rng: np.random.Generator, rows: int, cols: int) -> tuple[int, Painter]:
    """Discs and squares in strong colours on a light ground; two coordinates are a centre."""
    ground = _color(rng, saturation=0.2, value=0.95)
    count = int(rng.integers(2, 5))
    colors = [_color(rng, saturation=0.9, value=0.7) for _ in range(count)]
    radii = rng.uniform(0.1, 0.18, count) * min(rows, cols)
    square = rng.random(count) < 0.5

    def paint(coordinates: Floats) -> Floats:
        frame: Floats = np.broadcast_to(ground, (3, rows, cols))
        for shape, (y, x) in enumerate(coordinates.reshape(count, 2)):
            dy, dx = _distance(y, rows)[:, np.newaxis], _distance(x, cols)
            distance = np.maximum(dy, dx) if square[shape] else np.hypot(dy, dx)
            # Edges are one pixel soft, so slow motion shows even in small frames.
            cover = np.clip(np.float32(radii[shape]) - distance + 0.5, 0, 1)
            frame = frame + cover * (colors[shape] - frame)
        return frame

    return 2 * count, paint


def _glow(rng: np.random.Generator, rows: int, cols: int) -> tuple[int, Painter]:
    """A pale glow on a dark ground; three coordinates, its centre and its strength."""
    ground = _color(rng, saturation=0.6, value=0.1)
    pale = _color(rng, saturation=0.2, value=1.0)
    radius = rng.uniform(0.12, 0.2) * min(rows, cols)

    def paint(coordinates: Floats) -> Floats:
        y, x, strength = coordinates
        squares = _distance(y, rows)[:, np.newaxis] ** 2 + _distance(x, cols) ** 2
        cover: Floats = (0.3 + 0.6 * strength) * np.exp(squares / np.float32(-2 * radius**2))
        return ground + cover * (pale - ground)

    return 3, paint


def _bands(rng: np.random.Generator, rows: int, cols: int) -> tuple[int, Painter]:
    """Upright bands of flat colour; one coordinate, their brightness."""
    count = int(rng.integers(2, 6))
    colors = np.concatenate([_color(rng, saturation=0.8, value=1.0) for _ in range(count)], axis=2)
    bands = colors[:, :, np.arange(cols) * count // cols]

    def paint(coordinates: Floats) -> Floats:
        return np.broadcast_to(bands * (0.25 + 0.75 * coordinates[0]), (3, rows, cols))

    return 1, paint


# --- Rhythms: endless coordinates, each uniform on [0, 1) at every frame ------------------------


def _velocities(rng: np.random.Generator, count: int, speed: float) -> NDArray[np.float64]:
    """Steps a frame: pairs of coordinates go ``speed`` in a random direction, a lone one up."""
    angles = rng.uniform(0, 2 * math.pi, count // 2)
    pairs = np.stack([np.sin(angles), np.cos(angles)], axis=1).ravel()
    return speed * np.concatenate([pairs, np.ones(count % 2)])


def _bounce(slow: float, fast: float) -> Rhythm:
    """Move at ``slow`` to ``fast`` frame widths a second and turn round at 0 and 1."""

    def rhythm(rng: np.random.Generator, count: int, fps: float) -> Iterator[Floats]:
        at = rng.uniform(0, 2, count)
        step = _velocities(rng, count, rng.uniform(slow, fast) / fps)
        while True:
            yield (1 - np.abs(1 - at)).astype(np.float32)
            at = (at + step) % 2

    return rhythm


def _wrap(slow: float, fast: float) -> Rhythm:
    """Move at ``slow`` to ``fast`` frame widths a second, a lone one down, and re-enter."""

    def rhythm(rng: np.random.Generator, count: int, fps: float) -> Iterator[Floats]:
        at = rng.random(count)
        step = _velocities(rng, count, rng.uniform(slow, fast) / fps)
        while True:
            yield at.astype(np.float32)
            at = (at - step) % 1

    return rhythm


def _leap(rate: float) -> Rhythm:
    """Stand still, and leap to a new point at random moments, ``rate`` times a second or less."""

    def rhythm(rng: np.random.Generator, count: int, fps: float) -> Iterator[Floats]:
        at = rng.random(count)
        chance = 1 - math.exp(-rate / fps)
        while True:
            yield at.astype(np.float32)
            if rng.random() < chance:
                at = rng.random(count)

    return rhythm


_GENRES = {
    "comedy": _Genre(_shapes, _bounce(0.15, 0.35)),
    "action": _Genre(_shapes, _wrap(1.5, 2.5)),
    "terror": _Genre(_glow, _leap(12.0)),
    "thriller": _Genre(_glow, _bounce(0.1, 0.25)),
    "musical": _Genre(_bands, _wrap(1.5, 2.5)),  # 90 to 150 beats a minute
    "other": _Genre(_bands, _leap(1.5)),
}

CATEGORIES = tuple(_GENRES)


# --- Trailers -----------------------------------------------------------------------------------


def plan_scenes(seed: int, frames: int, fps: float = FPS) -> tuple[Scene, ...]:
    """The scenes of a trailer: genres drawn evenly and independently, the last one cut short.

    Raises :class:`InputError` where an argument is out of range.
    """
    if seed < 0 or frames < 1 or not (math.isfinite(fps) and fps > 0):
        raise InputError(
            f"trailer: expected seed >= 0, frames >= 1, fps > 0; found {seed}, {frames}, {fps}"
        )
    rng = np.random.default_rng((seed, _PLAN))
    scenes: list[Scene] = []
    start = 0
    while start < frames:
        genre = CATEGORIES[int(rng.integers(len(CATEGORIES)))]
        length = max(1, round(rng.uniform(*SCENE_SECONDS) * fps))
        scenes.append(Scene(genre, start, min(start + length, frames)))
        start += length
    return tuple(scenes)


def scene_labels(scenes: Sequence[Scene]) -> Floats:
    """Labels of the frames of ``scenes``: float32 (T, 6), 1 where the genre holds, else 0."""
    labels = np.zeros((scenes[-1].stop, len(CATEGORIES)), np.float32)
    for scene in scenes:
        labels[scene.start : scene.stop, CATEGORIES.index(scene.genre)] = 1
    return labels


def iter_scene(
    genre: str, seed: int | Sequence[int], rows: int, cols: int, fps: float = FPS
) -> Iterator[Frame]:
    """The frames of one endless scene: uint8 (3, rows, cols), RGB.

    Raises :class:`InputError` for an unknown genre or an empty frame.
    """
    if genre not in _GENRES or min(rows, cols) < 1:
        raise InputError(
            f"scene: expected a genre of {CATEGORIES} and rows, cols >= 1; "
            f"found {genre!r}, {rows}, {cols}"
        )
    rng = np.random.default_rng(seed)
    count, paint = _GENRES[genre].look(rng, rows, cols)
    for coordinates in _GENRES[genre].rhythm(rng, count, fps):
        yield np.rint(paint(coordinates) * 255).astype(np.uint8)


def iter_frames(seed: int, frames: int, rows: int, cols: int, fps: float = FPS) -> Iterator[Frame]:
    """The frames of a trailer one by one, in constant memory: uint8 (3, rows, cols), RGB.

    Raises :class:`InputError` where an argument is out of range.
    """
    for index, scene in enumerate(plan_scenes(seed, frames, fps)):
        shot = iter_scene(scene.genre, (seed, _SCENE, index), rows, cols, fps)
        yield from islice(shot, scene.stop - scene.start)


def render(seed: int, frames: int, rows: int, cols: int, fps: float = FPS) -> Trailer:
    """A whole trailer in memory.

    >>> trailer = render(seed=7, frames=48, rows=32, cols=32)
    >>> trailer.frames.shape, trailer.labels.shape
    ((48, 3, 32, 32), (48, 6))

    Raises :class:`InputError` where an argument is out of range.
    """
    scenes = plan_scenes(seed, frames, fps)
    pixels = np.empty((frames, 3, rows, cols), np.uint8)
    for index, frame in enumerate(iter_frames(seed, frames, rows, cols, fps)):
        pixels[index] = frame
    return Trailer(pixels, scene_labels(scenes), scenes, CATEGORIES, fps)
