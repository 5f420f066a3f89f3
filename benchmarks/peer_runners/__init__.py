"""The runtimes that are compared, each in a module that is imported in a child process alone.

A module has ``load(job, **options)``, which returns a function from a clip ``(T, *frame)`` to the list of
outputs, each ``(T, ...)``, in the model's order. It imports its library at the top: a library that is not
there shows as such, and importing it is no part of the load time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OURS = "ours"


@dataclass(frozen=True)
class Peer:
    """One runtime in one setting. ``needs`` names the files it is made from (see :data:`FILES`).

    ``packages`` are those whose versions belong beside its figures. ``compared`` is False for a
    setting of ours that is shown but is neither the measure nor a rival.
    """

    name: str
    title: str
    module: str
    packages: tuple[str, ...]
    needs: tuple[str, ...]
    precision: str = "f32"
    options: Mapping[str, Any] = field(default_factory=dict)
    compared: bool = True


@dataclass(frozen=True)
class Job:
    """What a peer is to load: the files of one network in ``folder``, for clips of ``frames`` frames."""

    folder: Path
    threads: int
    frames: int

    def file(self, kind: str) -> Path:
        """Path of one of :data:`FILES`."""
        return self.folder / FILES[kind].name


@dataclass(frozen=True)
class File:
    """A file made from those it ``needs`` by ``write(job)`` of a module, in a process of its own."""

    name: str
    module: str
    needs: tuple[str, ...] = ()


FILES = {
    "keras": File("network.keras", ""),
    "portable": File("portable.onnx", "ours", ("keras",)),
    "loop": File("loop.onnx", "keras_loop", ("keras",)),
    "unrolled": File("unrolled.onnx", "torch_unrolled", ("keras",)),
}

_TENSORFLOW = "tensorflow|tensorflow-cpu"

PEERS = {
    peer.name: peer
    for peer in (
        Peer(OURS, "convlstm_native", "ours", ("numpy",), ("portable",)),
        Peer(
            "ours-direct",
            'convlstm_native, algorithm="direct"',
            "ours",
            ("numpy",),
            ("portable",),
            options={"algorithm": "direct"},
            compared=False,
        ),
        Peer(
            "ort-portable",
            "ONNX Runtime, our portable file (Scan)",
            "onnx_runtime",
            ("onnxruntime",),
            ("portable",),
            options={"kind": "portable"},
        ),
        Peer(
            "ort-keras",
            "ONNX Runtime, Keras export (Loop)",
            "onnx_runtime",
            ("onnxruntime", "tf2onnx"),
            ("loop",),
            options={"kind": "loop"},
        ),
        *(
            Peer(
                f"openvino-{precision}",
                f"OpenVINO {precision}, unrolled export",
                "open_vino",
                ("openvino", "torch"),
                ("unrolled",),
                precision,
                {"precision": precision},
            )
            for precision in ("f32", "bf16")
        ),
        Peer(
            "keras",
            "Keras predict on TensorFlow",
            "keras_predict",
            ("keras", _TENSORFLOW),
            ("keras",),
        ),
        *(
            Peer(
                f"torch-{mode}-{precision}",
                f"PyTorch {mode} {precision}, one convolution, channels_last",
                "torch_fused",
                ("torch",),
                ("keras",),
                precision,
                {"precision": precision, "compiled": mode == "compile"},
            )
            for mode in ("eager", "compile")
            for precision in ("f32", "bf16")
        ),
    )
}
