"""What a network costs: parameters, work, state."""

from __future__ import annotations

import math
from dataclasses import dataclass

from convlstm_native.spec import ConvLSTM2D, Dense, NetworkSpec, Node, Value, weights


@dataclass(frozen=True)
class LayerSummary:
    """One layer as it runs (after the load-time rewrites).

    ``flops`` is the direct work a frame, a multiply-add counted as two, whatever the kernel saves.
    ``output_shape`` has no batch and time axes; ``sequence`` says whether there is one a frame.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    sequence: bool
    parameters: int
    flops: int
    state_bytes: int
    kernel: str


@dataclass(frozen=True)
class Summary:
    """The whole network. ``streams`` is False when some layer needs the whole sequence at once."""

    layers: tuple[LayerSummary, ...]
    parameters: int
    flops: int
    state_bytes: int
    look_ahead: int
    streams: bool
    isa: str
    threads: int


def direct_flops(node: Node, values: dict[str, Value]) -> int:
    """Arithmetic of a frame without any shortcut, a multiply-add as two; no gates, no norms."""
    layer = node.layer
    if isinstance(layer, ConvLSTM2D):
        taps = math.prod(layer.kernel.shape[1:]) + math.prod(layer.recurrent_kernel.shape[1:])
        return 2 * 4 * taps * math.prod(layer.state_shape(values[node.inputs[0]]))
    if isinstance(layer, Dense):
        return 2 * layer.kernel.size * math.prod(values[node.inputs[0]].shape[:-1])
    return 0


def summarize(
    spec: NetworkSpec,
    steps: list[tuple[str, str, int]],
    streams: bool,
    isa: str,
    threads: int,
) -> Summary:
    """Joins the spec with what the engine says of each step: (name, kernel, state bytes)."""
    values = spec.values()
    engine = {name: (kernel, state) for name, kernel, state in steps}
    layers = []
    for node in spec.nodes:
        kernel, state = engine.get(node.name, ("view", 0))
        value = values[node.outputs[0]]
        layers.append(
            LayerSummary(
                name=node.name,
                kind=type(node.layer).__name__,
                output_shape=value.shape,
                sequence=value.sequence,
                parameters=sum(array.size for array in weights(node.layer)),
                flops=direct_flops(node, values),
                state_bytes=state,
                kernel=kernel,
            )
        )
    return Summary(
        layers=tuple(layers),
        parameters=sum(layer.parameters for layer in layers),
        flops=sum(layer.flops for layer in layers),
        state_bytes=sum(layer.state_bytes for layer in layers),
        look_ahead=0,  # no layer so far looks at frames to come without needing all of them
        streams=streams,
        isa=isa,
        threads=threads,
    )
