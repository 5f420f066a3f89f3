"""Spec -> engine: the one place that knows both.

Inside the engine frames are planes (channels, rows, cols). A value of the spec keeps its axes in the
order of the Keras model; ``order[i]`` says which of them axis ``i`` inside is, so a channels_last frame
of shape (rows, cols, channels) has order (2, 0, 1). Layers that do not care keep the order they get.
"""

from __future__ import annotations

from convlstm_native import _core
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.lowering import (
    convolution,
    dense,
    merging,
    normalization,
    pooling,
    recurrent,
    resizing,
    shaping,
    time,
)
from convlstm_native.lowering.base import Lowering, Table, Tensor, as_given, channels_first
from convlstm_native.spec import NetworkSpec, describe

LOWER: Table = {
    **convolution.LOWER,
    **dense.LOWER,
    **merging.LOWER,
    **normalization.LOWER,
    **pooling.LOWER,
    **recurrent.LOWER,
    **resizing.LOWER,
    **shaping.LOWER,
    **time.LOWER,
}


def lower(spec: NetworkSpec, isa: str, allow_winograd: bool = True) -> _core.Network:
    """Builds the engine's network for ``spec``; ``isa`` names the kernel table, '' the best one.

    Raises :class:`UnsupportedModelError` that names every layer that the engine refuses, and
    :class:`InputError` for an ``isa`` that is not to be had.
    """
    lowering = Lowering(_core.Network(isa, allow_winograd))
    channels_last = any(
        getattr(node.layer, "data_format", None) == "channels_last" for node in spec.nodes
    )
    for given in spec.inputs:
        rank = len(given.shape)
        order = channels_first(rank, "channels_last") if channels_last else as_given(rank)
        value = lowering.network.add_input(given.name, given.shape, order, given.sequence)
        lowering.tensors[given.name] = Tensor(value, order)
    problems: list[str] = []
    for node in spec.nodes:
        if any(name not in lowering.tensors for name in node.inputs):
            continue  # behind a layer that failed
        try:
            inputs = tuple(lowering.tensors[name] for name in node.inputs)
            outputs = LOWER[type(node.layer)](lowering, node, inputs)
        except UnsupportedModelError as error:
            problems.append(f"{describe(node)}: {error}")
            continue
        lowering.tensors.update(zip(node.outputs, outputs, strict=True))
    if problems:
        raise UnsupportedModelError.from_problems(f"network {spec.name!r}", problems)
    for output in spec.outputs:
        tensor = lowering.tensors[output.value]
        lowering.network.add_output(output.name, tensor.id, tensor.order)
    lowering.network.finish()
    return lowering.network
