"""Frames from files: arrays, videos, folders of pictures."""

from __future__ import annotations

import itertools
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from clips import COLS, FPS, ROWS, cut, gray_levels, scoring_network, write_video
from convlstm_native.errors import InputError, UnsupportedModelError
from convlstm_native.media import FrameFormat, expected_frames, read_frames
from convlstm_native.spec import Preprocessing

av = pytest.importorskip("av")

FULL = FrameFormat((3, ROWS, COLS))


def form(size: tuple[int, int] = (ROWS, COLS), **rules: object) -> FrameFormat:
    """RGB, channels first, with metadata."""
    return FrameFormat((3, *size), Preprocessing(size=size, **rules))  # type: ignore[arg-type]


def failure(path: Path, wanted: FrameFormat = FULL) -> str:
    with pytest.raises(InputError) as caught:
        list(read_frames(path, wanted))
    return str(caught.value)


# --- Arrays


def test_uint8_array_is_scaled_and_timed_by_the_metadata(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, ROWS, COLS), dtype=np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    rules = form(scale=1 / 127.5, mean=(10.0, 20.0, 30.0), fps=8.0)
    frames = list(read_frames(tmp_path / "a.npy", rules))
    mean = np.array([10, 20, 30], np.float32).reshape(3, 1, 1)
    expected = (pixels.astype(np.float32) - mean) * np.float32(1 / 127.5)
    np.testing.assert_array_equal([f.pixels for f in frames], expected)
    assert [f.time for f in frames] == [0, 0.125, 0.25, 0.375, 0.5]
    assert expected_frames(tmp_path / "a.npy", rules) == 5


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
def test_float_array_is_taken_as_it_is(tmp_path: Path, dtype: str) -> None:
    values = np.random.default_rng(0).standard_normal((2, 3, ROWS, COLS)).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    frames = list(read_frames(tmp_path / "a.npy", form(scale=0.5, mean=(9.0,))))
    np.testing.assert_array_equal([f.pixels for f in frames], values.astype(np.float32))
    assert frames[0].pixels.dtype == np.float32
    assert frames[0].time is None


def test_fortran_order_and_channels_last(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, ROWS, COLS, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", np.asfortranarray(pixels))
    wanted = FrameFormat((ROWS, COLS, 3), Preprocessing((ROWS, COLS), "channels_last", "bgr"))
    np.testing.assert_array_equal(
        [f.pixels for f in read_frames(tmp_path / "a.npy", wanted)], pixels
    )


def test_uint8_array_of_another_size_is_resized(tmp_path: Path) -> None:
    pixels = np.empty((1, 3, 2 * ROWS, 2 * COLS), np.uint8)
    pixels[0] = np.array([10, 100, 200]).reshape(3, 1, 1)
    np.save(tmp_path / "a.npy", pixels)
    (frame,) = read_frames(tmp_path / "a.npy", form())
    np.testing.assert_allclose(frame.pixels, pixels[0, :, :ROWS, :COLS], atol=1)


def test_array_is_read_frame_by_frame(tmp_path: Path) -> None:
    """Two terabytes in a sparse file: only a reader that stays lazy gets through."""
    path = tmp_path / "long.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(2, 3, ROWS, COLS)).flush()
    frame_bytes = 3 * ROWS * COLS
    count = (1 << 41) // frame_bytes
    with path.open("wb") as file:
        shape = (count, 3, ROWS, COLS)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        try:
            file.truncate(file.tell() + count * frame_bytes)
        except OSError:
            pytest.skip("the file system has no sparse files of this size")
    frames = read_frames(path, FULL)
    assert not any(f.pixels.any() for f in itertools.islice(frames, 3))
    assert expected_frames(path, FULL) == count


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("rank", np.zeros((4, ROWS, COLS), np.uint8), r"\(frames, 3, 48, 64\), found rank 3"),
        ("channels", np.zeros((4, ROWS, COLS, 3), np.uint8), r"\(frames, 3, 48, 64\), found"),
        ("no_frames", np.zeros((0, 3, ROWS, COLS), np.uint8), "expected at least one frame"),
        ("no_rows", np.zeros((2, 3, 0, COLS), np.uint8), r"found \(2, 3, 0, 64\)"),
        ("integers", np.zeros((4, 3, ROWS, COLS), np.int64), "expected uint8 .* found int64"),
        ("objects", np.array([{}], dtype=object), "[Oo]bject"),
        ("float_size", np.zeros((1, 3, 8, 8), np.float32), "only uint8 pixels can be resized"),
    ],
)
def test_unfit_arrays_say_why(tmp_path: Path, name: str, array: np.ndarray, reason: str) -> None:
    path = tmp_path / f"{name}.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(InputError, match=reason):
        list(read_frames(path, form()))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_numbers_are_located(tmp_path: Path, value: float) -> None:
    values = np.zeros((3, 3, ROWS, COLS), np.float32)
    values[2, 1, 5, 6] = value
    np.save(tmp_path / "a.npy", values)
    assert (
        failure(tmp_path / "a.npy")
        == f"frame 2: expected finite numbers, found {value} at (1, 5, 6)"
    )


def test_float64_beyond_float32_is_not_finite(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((1, 3, ROWS, COLS), 1e300))
    assert "expected finite numbers, found inf" in failure(tmp_path / "a.npy")


def test_damaged_arrays_say_why(tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("a comedy, mostly")
    assert "not an .npy file" in failure(tmp_path / "text.npy")
    (tmp_path / "empty.npy").write_bytes(b"")
    assert failure(tmp_path / "empty.npy") == "the file is empty"
    np.save(tmp_path / "whole.npy", np.zeros((4, 3, ROWS, COLS), np.float32))
    for part in (0.001, 0.5, 0.99):
        cut(tmp_path / "whole.npy", tmp_path / "cut.npy", part)
        assert failure(tmp_path / "cut.npy")
    assert failure(tmp_path / "none.npy") == "no such file"


# --- Videos


def test_video_frames_in_order_with_their_times(tmp_path: Path) -> None:
    levels = gray_levels(12)
    path = write_video(tmp_path / "a.mp4", levels)
    frames = list(read_frames(path, FULL))
    assert [f.pixels.shape for f in frames] == [(3, ROWS, COLS)] * 12
    np.testing.assert_allclose([f.pixels.mean() for f in frames], levels, atol=4)
    np.testing.assert_allclose([f.time for f in frames], np.arange(12) / FPS)
    assert expected_frames(path, FULL) == 12


def test_video_is_resized_and_scaled_as_the_metadata_say(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [100] * 3)
    for data_format, shape in (("channels_first", (3, 20, 30)), ("channels_last", (20, 30, 3))):
        rules = Preprocessing((20, 30), data_format, scale=0.01, mean=(50.0,))
        for frame in read_frames(path, FrameFormat(shape, rules)):
            assert frame.pixels.shape == shape
            np.testing.assert_allclose(frame.pixels, 0.5, atol=0.03)
    gray = FrameFormat((1, 20, 30), Preprocessing((20, 30), color="gray"))
    np.testing.assert_allclose([f.pixels.mean() for f in read_frames(path, gray)], 100, atol=3)


def test_colour_order(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = COLS, ROWS, "rgb24"
        image = np.zeros((ROWS, COLS, 3), np.uint8)
        image[..., 0] = 255
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    for color, place in (("rgb", 0), ("bgr", 2)):
        (frame,) = read_frames(path, form(color=color))
        assert [channel.max() for channel in frame.pixels] == [
            255.0 * (i == place) for i in range(3)
        ]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("fps", "picked"),
    [
        (25.0, list(range(12))),
        (12.5, [0, 2, 4, 6, 8, 10]),
        (10.0, [0, 2, 5, 7, 10]),
        (11.0, [0, 2, 4, 6, 9, 11]),
        (50.0, [i // 2 for i in range(24)]),
    ],
)
def test_sampling_takes_the_nearest_earlier_frame(
    tmp_path: Path, suffix: str, fps: float, picked: list[int]
) -> None:
    levels = gray_levels(12)
    path = write_video(tmp_path / f"a.{suffix}", levels)
    frames = list(read_frames(path, form(fps=fps)))
    np.testing.assert_allclose(
        [f.pixels.mean() for f in frames], [levels[i] for i in picked], atol=4
    )
    np.testing.assert_allclose([f.time for f in frames], [i / FPS for i in picked], atol=1e-3)
    assert expected_frames(path, form(fps=fps)) == len(picked)


def test_rounded_time_stamps_lose_no_frame(tmp_path: Path) -> None:
    """Matroska rounds 1/60 s to milliseconds, up as well as down."""
    levels = gray_levels(30)
    path = write_video(tmp_path / "a.mkv", levels, fps=60)
    frames = list(read_frames(path, form(fps=60.0)))
    np.testing.assert_allclose([f.pixels.mean() for f in frames], levels, atol=4)


def test_video_is_decoded_as_it_is_consumed(tmp_path: Path) -> None:
    """The second half of the file is garbage, and the first frames come all the same."""
    path = write_video(tmp_path / "a.mp4", gray_levels(200), options={"movflags": "faststart"})
    cut(path, tmp_path / "cut.mp4", 0.5)
    frames = read_frames(tmp_path / "cut.mp4", FULL)
    assert len(list(itertools.islice(frames, 20))) == 20
    with pytest.raises(InputError, match="cut short"):
        list(frames)


@pytest.mark.parametrize("container", ["mp4", "faststart", "mkv"])
@pytest.mark.parametrize("part", [0.01, 0.3, 0.7])
def test_a_video_cut_short_is_an_error(tmp_path: Path, container: str, part: float) -> None:
    options = {"movflags": "faststart"} if container == "faststart" else {}
    suffix = "mkv" if container == "mkv" else "mp4"
    whole = write_video(tmp_path / f"whole.{suffix}", gray_levels(40), options=options)
    assert len(list(read_frames(whole, FULL))) == 40
    assert failure(cut(whole, tmp_path / f"cut.{suffix}", part))


def test_one_lost_frame_is_an_error(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", gray_levels(40), options={"movflags": "faststart"})
    cut(whole, tmp_path / "cut.mp4", 1 - 1 / whole.stat().st_size)
    assert failure(tmp_path / "cut.mp4")


def test_a_video_without_metadata_must_have_the_size(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [50] * 2)
    reason = failure(path, FrameFormat((3, 32, 32)))
    assert "frame 0: expected pictures of 32x32, found 64x48" in reason


def test_files_that_are_no_video(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a film " * 100)
    assert "Invalid data" in failure(tmp_path / "text.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert failure(tmp_path / "empty.mp4") == "the file is empty"
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    assert failure(tmp_path / "sound.wav") == "expected a video, found a file without pictures"
    np.save(tmp_path / "a.npy", np.zeros((1, 7), np.float32))
    assert "expected a network for pictures" in failure(
        write_video(tmp_path / "a.mp4", [1, 2]), FrameFormat((7,))
    )


def test_a_phone_video_is_turned_upright(tmp_path: Path) -> None:
    """A quarter turn lives in the track header's matrix, which players obey."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = COLS, ROWS, "yuv420p"
        stream.bit_rate = 2_000_000
        image = np.zeros((ROWS, COLS, 3), np.uint8)
        image[:, : COLS // 2] = 200  # bright left half
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    place = data.index(identity, data.index(b"tkhd"))
    data[place : place + len(clockwise)] = clockwise
    path.write_bytes(data)
    upright = FrameFormat((3, COLS, ROWS))
    for frame in read_frames(path, upright):
        assert frame.pixels[:, : COLS // 2 - 4].mean() > 180  # turned clockwise, left is up
        assert frame.pixels[:, COLS // 2 + 4 :].mean() < 20


def test_without_pyav_arrays_work_and_videos_say_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", [50] * 2)
    np.save(tmp_path / "a.npy", np.zeros((2, 3, ROWS, COLS), np.uint8))
    monkeypatch.setitem(sys.modules, "av", None)
    assert len(list(read_frames(tmp_path / "a.npy", form()))) == 2
    for unreadable, wanted in ((path, FULL), (tmp_path / "a.npy", form((20, 30)))):
        assert "pip install 'convlstm-native[video]'" in failure(unreadable, wanted)


# --- Folders


def test_folder_of_pictures_counts_like_a_person(tmp_path: Path) -> None:
    levels = gray_levels(11)
    for index, level in enumerate(levels):
        with av.open(str(tmp_path / f"f{index}.png"), "w", format="image2") as container:
            stream = container.add_stream("png", rate=1)
            stream.width, stream.height, stream.pix_fmt = COLS, ROWS, "rgb24"
            image = np.full((ROWS, COLS, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
    frames = list(read_frames(tmp_path, form(fps=5.0)))
    assert [f.pixels.mean() for f in frames] == levels
    assert [f.time for f in frames] == pytest.approx(np.arange(11) / 5)
    assert expected_frames(tmp_path, FULL) == 11
    (tmp_path / "f3.png").write_text("no picture")
    assert failure(tmp_path).startswith("frame 3: f3.png: ")


def test_empty_folder(tmp_path: Path) -> None:
    assert failure(tmp_path) == "expected pictures in the folder, found none"


# --- Formats


def test_metadata_must_fit_the_network() -> None:
    fits = scoring_network(16, preprocessing=Preprocessing((16, 16)))
    assert FrameFormat.of(fits).shape == (3, 16, 16)
    for wrong in (
        Preprocessing((8, 16)),
        Preprocessing((16, 16), color="gray"),
        Preprocessing((16, 16), "channels_last"),
        Preprocessing((16, 16), mean=(1.0, 2.0)),
    ):
        with pytest.raises(UnsupportedModelError, match="preprocessing metadata: expected"):
            FrameFormat.of(scoring_network(16, preprocessing=wrong))
