"""Profiles: what they record of each frame, and why each kernel was chosen."""

from __future__ import annotations

import json
from typing import Any

import convlstm_native as cn
import numpy as np
import pytest
from convlstm_native import _core, spec
from convlstm_native.spec import (
    Activation,
    Flatten,
    Function,
    Input,
    NetworkSpec,
    Node,
    Output,
)
from strategies import conv_lstm, dense, genre_net

FRAMES = 4
SHAPE = (3, 24, 36)
CELL_FLOPS = 2 * 4 * 9 * (3 + 20) * 20 * 24 * 36  # of the genre net's first layer


def clip(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape or (FRAMES, *SHAPE), np.float32)


@pytest.fixture(scope="module")
def profile() -> cn.Profile:
    return cn.Model(genre_net(), threads=1).profile(clip())


def test_every_layer_of_every_frame_is_on_record(profile: cn.Profile) -> None:
    model = cn.Model(genre_net(), threads=1)
    ran = [layer.name for layer in model.summary().layers if layer.kernel != "view"]
    assert profile.frames == FRAMES
    for frame in range(FRAMES):
        records = [r for r in profile.records if r.frame == frame]
        assert [r.name for r in records if r.kind == "input"] == ["trailer_input"]
        assert [r.name for r in records if r.kind not in ("input", "output")] == ran
        outputs = [r.name for r in records if r.kind == "output"]
        assert outputs == [output.name for output in model.outputs]
    assert all(record.frame is not None for record in profile.records)


def test_records_follow_each_other(profile: cn.Profile) -> None:
    ends = 0.0
    for record in profile.records:
        assert record.start_us >= ends - 1e-3
        assert record.duration_us >= 0
        ends = record.start_us + record.duration_us


def test_work_and_bytes_of_a_layer(profile: cn.Profile) -> None:
    model = cn.Model(genre_net(), threads=1)
    known = next(layer for layer in model.summary().layers if layer.kind == "ConvLSTM2D")
    found = next(r for r in profile.records if r.kind == "ConvLSTM2D")
    assert (found.name, found.kernel, found.isa) == (known.name, known.kernel, model.isa)
    assert found.gflop == pytest.approx(CELL_FLOPS / 1e9)
    tensors = clip(*SHAPE).size + int(np.prod(known.output_shape))
    assert found.bytes == 4 * (known.parameters + tensors) + known.state_bytes
    total = sum(layer.gflop for layer in profile.layers)
    assert total == pytest.approx(model.summary().flops / 1e9)


@pytest.mark.parametrize(("dtype", "size"), [("uint8", 1), ("float32", 4), ("float16", 4)])
def test_bytes_at_the_edges(dtype: str, size: int) -> None:
    """What the engine reads: it widens uint8 itself, float16 comes to it as float32.

    The frames of an output in the engine's order of axes are made where they go.
    """
    model = cn.Model(genre_net(), threads=1)
    first, *_, last = model.profile(clip().astype(dtype)).layers
    assert (first.kind, first.bytes) == ("input", clip(*SHAPE).size * (size + 4))
    assert (last.kind, last.bytes) == ("output", 0)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_bytes_of_what_is_moved(dtype: str, data_format: str) -> None:
    """Frames in the engine's order are only read on the way in; others are turned."""
    shape, first = (4, 5, 6), data_format == "channels_first"
    channels = shape[0 if first else 2]
    kernel, bias = np.ones((4, channels, 1, 1), np.float32), np.zeros(4, np.float32)
    sizes = (1, 1), "same", (1, 1), data_format, 1
    layer = spec.Convolution(kernel, bias, *sizes, spec.Function("linear"))
    node = spec.Node("convolution", layer, ("x",), ("y",))
    net = spec.NetworkSpec("moved", (spec.Input("x", shape),), (node,), (spec.Output("y", "y"),))
    frames = np.ones((2, *shape), dtype)
    source, *_, last = cn.Model(net, threads=1).profile(frames).layers
    moved = 0 if first and dtype == "float32" else 4
    assert source.bytes == frames[0].size * (frames.itemsize + moved)
    out = 4 * int(np.prod(net.values()["y"].shape))
    assert last.bytes == (0 if first else 2 * out)


def test_layers_are_mean_frames(profile: cn.Profile) -> None:
    assert sum(layer.share for layer in profile.layers) == pytest.approx(1)
    assert sum(layer.bytes for layer in profile.layers) == pytest.approx(profile.bytes_per_frame)
    cell = next(layer for layer in profile.layers if layer.kind == "ConvLSTM2D")
    times = [r.duration_us for r in profile.records if r.name == cell.name]
    assert cell.ms_per_frame == pytest.approx(float(np.median(times)) / 1000)
    assert cell.gflops == pytest.approx(cell.gflop / cell.ms_per_frame * 1000)
    assert cell.gbps == pytest.approx(cell.bytes / cell.ms_per_frame / 1e6)


@pytest.mark.parametrize("threads", [1, 2])
def test_barriers(threads: int) -> None:
    profile = cn.Model(genre_net(), threads=threads).profile(clip())
    if threads == 1 or not _core.has_threads():
        assert profile.barriers_per_frame == 0
    else:
        assert profile.barriers_per_frame >= 1
        assert profile.barriers_per_frame == sum(layer.barriers for layer in profile.layers)


def test_chrome_trace(profile: cn.Profile) -> None:
    trace = json.loads(json.dumps(profile.chrome_trace()))
    events = trace["traceEvents"]
    assert len(events) == len(profile.records)
    for event, record in zip(events, profile.records, strict=True):
        assert event["ph"] == "X"
        assert (event["name"], event["cat"]) == (record.name, record.kind)
        assert event["ts"] == pytest.approx(record.start_us)
        assert event["dur"] == pytest.approx(record.duration_us)
        assert {"pid", "tid"} <= set(event)
        args = event["args"]
        assert args["frame"] == record.frame
        assert args["gflop"] == pytest.approx(record.gflop)
        assert (args["bytes"], args["kernel"], args["isa"]) == (
            record.bytes,
            record.kernel,
            record.isa,
        )


def test_iterables_are_profiled_too() -> None:
    frames = 70  # more than the engine makes room for where it does not know
    model = cn.Model(genre_net(), threads=1)
    profile = model.profile(iter(clip(frames, *SHAPE)))
    assert profile.frames == frames
    assert len(profile.records) == len(model.profile(clip(frames, *SHAPE)).records)


def small(**arguments: Any) -> NetworkSpec:
    """A ConvLSTM that starts from a squashed state, and a softmax over what it gives."""
    rng = np.random.default_rng(0)
    arguments = {"return_sequences": True, **arguments}
    cell = conv_lstm(
        rng, 2, 3, padding="same", data_format="channels_first", initial_state=True, **arguments
    )
    nodes = (
        Node("squash", Activation(Function("tanh")), ("h0",), ("h1",)),
        Node("cell", cell, ("x", "h1", "c0"), ("h",)),
        Node("flat", Flatten(), ("h",), ("f",)),
        Node("dense", dense(rng, 90, 4), ("f",), ("d",)),
        Node("scores", Activation(Function("softmax")), ("d",), ("y",)),
    )
    inputs = (
        Input("x", (2, 5, 6)),
        Input("h0", (3, 5, 6), sequence=False),
        Input("c0", (3, 5, 6), sequence=False),
    )
    return NetworkSpec("small", inputs, nodes, (Output("y", "y"),))


@pytest.mark.parametrize("arguments", [{}, {"go_backwards": True}, {"return_sequences": False}])
def test_what_is_done_once_a_sample_has_no_frame(arguments: dict[str, Any]) -> None:
    model = cn.Model(small(**arguments), threads=1)
    states = {name: clip(3, 5, 6) for name in ("h0", "c0")}
    profile = model.profile({"x": clip(FRAMES, 2, 5, 6), **states})
    frames: dict[str, list[int | None]] = {}
    for record in profile.records:
        frames.setdefault(record.name, []).append(record.frame)
    once, each = [None], list(range(FRAMES))
    assert frames["h0"] == frames["c0"] == frames["squash"] == once
    assert frames["x"] == frames["cell"] == each
    late = once if arguments.get("return_sequences") is False else each
    assert frames["dense"] == frames["scores"] == frames["y"] == late
    assert next(r for r in profile.records if r.name == "scores").kind == "Activation"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (clip(2, FRAMES, *SHAPE), "expected one sample"),
        (clip(FRAMES, 3, 24, 35), "expected shape"),
        (clip(0, *SHAPE), "at least 1"),
        (clip() * np.float32("nan"), "frame 0: expected finite numbers"),
        (iter(()), "at least one frame"),
        ({"else": clip()}, "inputs: expected"),
    ],
)
def test_wrong_frames_are_refused(given: Any, message: str) -> None:
    with pytest.raises(cn.InputError, match=message):
        cn.Model(genre_net(), threads=1).profile(given)


def test_profiling_changes_no_bit() -> None:
    model = cn.Model(genre_net(), threads=1)
    before = model.predict(clip())
    model.profile(clip())
    after = model.predict(clip())
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


# --- Why a kernel


def test_choices_compare_costs() -> None:
    layers = cn.Model(genre_net(), threads=1).summary().layers
    cells = [layer for layer in layers if layer.kind == "ConvLSTM2D"]
    for cell in cells:
        assert cell.kernel.startswith(cell.choice.partition(":")[0])
        assert "Mops" in cell.choice
    assert {layer.choice for layer in layers if layer.kind != "ConvLSTM2D"} == {""}


def test_a_choice_that_the_caller_made() -> None:
    layers = cn.Model(genre_net(), threads=1, algorithm="direct").summary().layers
    cell = next(layer for layer in layers if layer.kind == "ConvLSTM2D")
    assert cell.choice.startswith("direct: ")
