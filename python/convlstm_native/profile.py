"""Where the time of a prediction goes: every layer of every frame, and the edges of the network."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from convlstm_native import _core
from convlstm_native.spec import NetworkSpec, weights

_CONVERSION = "convert"  # what runs at the edges
_WEIGHT_BYTES = 4


@dataclass(frozen=True)
class ProfileRecord:
    """One piece of work: a layer in a frame, or a tensor on its way in or out.

    ``kind`` is the type of the layer, ``"input"`` or ``"output"``. ``frame`` counts from 0, None for what
    is done once a sample; a layer with many weights may do several frames at once, of which it is the
    first. ``start_us`` and ``duration_us`` are microseconds, the start since the profile began. ``gflop``
    is direct work, a multiply-add counted as two, whatever the kernel saves. ``bytes`` are weights (as the
    file holds them), state, input and output, each counted once: the least that had to move. An output
    whose frames are made where they go moves none.
    ``barriers``: how often it ran on several threads and waited for all of them.
    """

    name: str
    kind: str
    kernel: str
    isa: str
    frame: int | None
    start_us: float
    duration_us: float
    gflop: float
    bytes: int
    barriers: int


@dataclass(frozen=True)
class LayerProfile:
    """All records of a layer, or of an edge, as a mean frame.

    ``ms_per_frame`` comes from the median of the records; ``share`` is its part of the sum over all layers.
    ``gflop``, ``bytes`` and ``barriers`` are those of a frame; ``gflops`` is GFLOP/s of direct work and
    ``gbps`` GB/s, of the bytes that :class:`ProfileRecord` counts.
    """

    name: str
    kind: str
    kernel: str
    isa: str
    ms_per_frame: float
    share: float
    gflop: float
    gflops: float
    bytes: float
    gbps: float
    barriers: float


@dataclass(frozen=True)
class Profile:
    """What :meth:`Model.profile` found: ``records`` in the order of their start, none overlaps another."""

    records: tuple[ProfileRecord, ...]
    frames: int
    threads: int
    isa: str

    @functools.cached_property
    def layers(self) -> tuple[LayerProfile, ...]:
        """One entry a layer and edge, in the order in which they run."""
        groups: dict[tuple[str, str], list[ProfileRecord]] = {}
        for record in self.records:
            groups.setdefault((record.kind, record.name), []).append(record)
        times = [self._ms_per_frame(group) for group in groups.values()]
        total = sum(times)
        return tuple(
            self._layer(group, ms, total) for group, ms in zip(groups.values(), times, strict=True)
        )

    @property
    def barriers_per_frame(self) -> float:
        """How often a frame makes all threads wait for each other."""
        return sum(record.barriers for record in self.records) / self.frames

    @property
    def bytes_per_frame(self) -> float:
        """The least that a frame has to move: the sum of the records' ``bytes``."""
        return sum(record.bytes for record in self.records) / self.frames

    def chrome_trace(self) -> dict[str, Any]:
        """The records in the Chrome trace event format, for ``chrome://tracing`` or Perfetto.

        ``json.dump`` writes it; times in it are microseconds.
        """
        return {
            "traceEvents": [_trace_event(record) for record in self.records],
            "displayTimeUnit": "ms",
            "otherData": {"frames": self.frames, "threads": self.threads, "isa": self.isa},
        }

    def _ms_per_frame(self, group: Sequence[ProfileRecord]) -> float:
        # The median: the first frame meets cold caches and fresh pages.
        median = statistics.median(record.duration_us for record in group)
        return median * len(group) / self.frames / 1000

    def _layer(self, group: Sequence[ProfileRecord], ms: float, total: float) -> LayerProfile:
        first = group[0]
        gflop = sum(record.gflop for record in group) / self.frames
        moved = sum(record.bytes for record in group) / self.frames
        return LayerProfile(
            name=first.name,
            kind=first.kind,
            kernel=first.kernel,
            isa=first.isa,
            ms_per_frame=ms,
            share=_ratio(ms, total),
            gflop=gflop,
            gflops=_ratio(gflop, ms / 1000),
            bytes=moved,
            gbps=_ratio(moved / 1e9, ms / 1000),
            barriers=sum(record.barriers for record in group) / self.frames,
        )


def _ratio(a: float, b: float) -> float:
    return a / b if b else 0.0  # a clock may find that nothing took no time


def _trace_event(record: ProfileRecord) -> dict[str, Any]:
    fields = asdict(record)
    return {
        "name": fields.pop("name"),
        "cat": fields.pop("kind"),
        "ph": "X",
        "ts": fields.pop("start_us"),
        "dur": fields.pop("duration_us"),
        "pid": 1,
        "tid": 1,
        "args": fields,
    }


@dataclass(frozen=True)
class _Work:
    """What the engine does not know of an event."""

    name: str
    kind: str
    kernel: str
    gflop: float = 0.0
    weight_bytes: int = 0


def join(
    spec: NetworkSpec,
    steps: Sequence[_core.Step],
    events: Iterable[_core.ProfileEvent],
    isa: str,
    threads: int,
) -> Profile:
    """The engine's ``events`` with what ``spec``, the network as it runs, says of each layer.

    ``steps`` are those of the engine's network; at least one frame must have run.
    """
    work = {
        "input": [_Work(i.name, "input", _CONVERSION) for i in spec.inputs],
        "layer": _layers(spec, steps),
        "output": [_Work(o.name, "output", _CONVERSION) for o in spec.outputs],
    }
    records = []
    for event in events:
        known = work[event.what][event.index]
        records.append(
            ProfileRecord(
                name=known.name,
                kind=known.kind,
                kernel=known.kernel,
                isa=isa,
                frame=event.frame,
                start_us=event.start_us,
                duration_us=event.duration_us,
                gflop=known.gflop * event.frames,
                bytes=event.bytes + known.weight_bytes,
                barriers=event.barriers,
            )
        )
    frames = 1 + max(record.frame for record in records if record.frame is not None)
    return Profile(tuple(records), frames, threads, isa)


def _layers(spec: NetworkSpec, steps: Sequence[_core.Step]) -> list[_Work]:
    values = spec.values()
    nodes = {node.name: node for node in spec.nodes}
    layers = []
    for step in steps:
        node = nodes.get(step.name)
        if node is None:  # a part of a layer that lowering adds, named "layer:part"
            part = step.name.rpartition(":")[2]
            layers.append(_Work(step.name, part, step.kernel))
            continue
        parameters = sum(array.size for array in weights(node.layer))
        layers.append(
            _Work(
                name=step.name,
                kind=type(node.layer).__name__,
                kernel=step.kernel,
                gflop=node.layer.flops([values[name] for name in node.inputs]) / 1e9,
                weight_bytes=_WEIGHT_BYTES * parameters,
            )
        )
    return layers
