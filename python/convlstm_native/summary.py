"""What a network costs: parameters, work, state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convlstm_native import _core
from convlstm_native.spec import NetworkSpec, weights


@dataclass(frozen=True)
class LayerSummary:
    """One layer as it runs (after the load-time rewrites).

    ``flops`` is the direct work a frame (:meth:`Layer.flops`), whatever the kernel saves.
    ``output_shape`` has no batch and time axes; ``sequence`` says whether there is one a frame.
    ``choice`` says why this ``kernel``, with the costs compared, and is empty where there was no choice.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    sequence: bool
    parameters: int
    flops: int
    state_bytes: int
    kernel: str
    choice: str


@dataclass(frozen=True)
class Summary:
    """The whole network. ``streams`` is False when some layer needs the whole sequence at once; else
    outputs follow the input at most ``look_ahead`` frames behind.
    """

    layers: tuple[LayerSummary, ...]
    parameters: int
    flops: int
    state_bytes: int
    look_ahead: int
    streams: bool
    isa: str
    threads: int


def summarize(
    spec: NetworkSpec,
    steps: Sequence[_core.Step],
    streams: bool,
    look_ahead: int,
    isa: str,
    threads: int,
) -> Summary:
    """Joins the spec with what the engine says of each step."""
    values = spec.values()
    engine = {step.name: step for step in steps}
    layers = []
    for node in spec.nodes:
        step = engine.get(node.name)
        value = values[node.outputs[0]]
        layers.append(
            LayerSummary(
                name=node.name,
                kind=type(node.layer).__name__,
                output_shape=value.shape,
                sequence=value.sequence,
                parameters=sum(array.size for array in weights(node.layer)),
                flops=node.layer.flops([values[name] for name in node.inputs]),
                state_bytes=step.state_bytes if step else 0,
                kernel=step.kernel if step else "view",
                choice=step.choice if step else "",
            )
        )
    return Summary(
        layers=tuple(layers),
        parameters=sum(layer.parameters for layer in layers),
        flops=sum(layer.flops for layer in layers),
        state_bytes=sum(layer.state_bytes for layer in layers),
        look_ahead=look_ahead,
        streams=streams,
        isa=isa,
        threads=threads,
    )
