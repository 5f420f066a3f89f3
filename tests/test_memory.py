"""Memory of a long prediction: the recurrent state, whatever the number of frames."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import convlstm_native as cn
import numpy as np
import pytest
from convlstm_native.spec import Input, NetworkSpec, Node, Output
from strategies import conv_lstm

MEGABYTE = 1 << 20

CHILD = """
    import re, sys
    from pathlib import Path
    import numpy as np
    sys.path.insert(0, {tests!r})
    import convlstm_native as cn
    from convlstm_native import spec
    from strategies import genre_net

    def peak():
        # Not ru_maxrss: that of a child starts from its parent's.
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\\s*(\\d+)", status)[1]) * 1024

    net = genre_net(400, 400, (512, 32, 1))
    if {mapped}:
        # One cheap layer: what is measured is how the file is read.
        pool = spec.MaxPooling((1, 400, 400), (1, 400, 400), "same")
        node = spec.Node("pool", pool, ("x",), ("y",))
        net = spec.NetworkSpec(
            "pool", (spec.Input("x", (3, 400, 400)),), (node,), (spec.Output("y", "y"),)
        )
    model = cn.Model(net, threads=2)
    start = peak()
    random = np.random.default_rng(0)
    frame = random.random((3, 400, 400), dtype=np.float32)
    memory = []

    def frames(count):
        for _ in range(count):
            memory.append(peak())
            yield frame

    source = frames({frames})
    if {mapped}:
        path = {path!r}
        shape = ({samples}, {frames} // {samples}, 3, 400, 400)
        np.lib.format.open_memmap(path, "w+", np.uint8, shape)[:] = 7
        source = np.load(path, mmap_mode="r")
        source = source if {samples} > 1 else source[0]
        start = peak()
    scores = model.predict(source)
    assert all(len(score) == ({samples} if {samples} > 1 else {frames}) for score in scores.values())
    print(peak() - start, peak(), memory[-1] - memory[3] if memory else 0)
"""


def run(tmp_path: Path, frames: int, mapped: bool, samples: int = 1) -> tuple[int, int, int]:
    code = textwrap.dedent(CHILD).format(
        tests=str(Path(__file__).parent),
        frames=frames,
        samples=samples,
        mapped=mapped,
        path=str(tmp_path / "frames.npy"),
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    growth, peak, later = (int(word) for word in printed.split())
    return growth, peak, later


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which only Linux has")
def test_generator_at_full_size(tmp_path: Path) -> None:
    _, peak, later = run(tmp_path, 24, mapped=False)
    assert peak < 400 * MEGABYTE
    assert later < 4 * MEGABYTE  # constant once the first frames are through


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which only Linux has")
@pytest.mark.parametrize("samples", [1, 4])
def test_memory_mapped_file_is_never_held_whole(tmp_path: Path, samples: int) -> None:
    frames = 400
    growth, _, _ = run(tmp_path, frames, mapped=True, samples=samples)
    assert growth < frames * 3 * 400 * 400 / 3


def traced_peak(model: cn.Model, x: np.ndarray) -> int:
    """What Python and NumPy hold at most while the model runs, beyond what they held before."""
    tracemalloc.start()
    try:
        model.predict(x)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_arrays_are_never_converted_whole(data_format: str, tmp_path: Path) -> None:
    """What the engine reads is not copied at all, other types 64 frames at a time."""
    frames, size = 300, 100
    shape = (3, size, size) if data_format == "channels_first" else (size, size, 3)
    cell = conv_lstm(
        np.random.default_rng(0), 3, 1, (1, 1), strides=(10, 10), data_format=data_format
    )
    node = Node("cell", cell, ("x",), ("y",))
    model = cn.Model(NetworkSpec("cell", (Input("x", shape),), (node,), (Output("y", "y"),)))
    path = tmp_path / "frames.npy"
    pixels = np.random.default_rng(0).integers(256, size=(2, frames, *shape), dtype=np.uint8)
    np.save(path, pixels)
    frame = 3 * size * size * 4  # bytes, as float32
    for x in (pixels[0], pixels[0, :, ::-1], pixels[:, :40], np.load(path, mmap_mode="r")[1]):
        assert traced_peak(model, x) < frame
    assert traced_peak(model, pixels[0, :100].astype(np.float32)) < frame
    for other in (np.float16, np.float64):
        # One run of frames is read while the next is made.
        assert traced_peak(model, pixels[0].astype(other)) < 2.2 * 64 * frame
