"""ONNX -> spec. Reading is matching: each node must be, or be part of, a layer of the spec."""

from __future__ import annotations

import math

import onnx
from onnx import TensorProto

from convlstm_native.errors import ModelFormatError, UnsupportedModelError
from convlstm_native.readers.onnx_contract import TIME_DENOTATION, Metadata
from convlstm_native.readers.onnx_graph import Graph, describe, parse_onnx
from convlstm_native.readers.onnx_layers import rule
from convlstm_native.readers.onnx_matcher import (
    MOST_ELEMENTS,
    CauseListedError,
    Matcher,
    Tensor,
    leads,
)
from convlstm_native.spec import Input, NetworkSpec, Output, Value

__all__ = ["parse_onnx", "read_onnx"]


def read_onnx(proto: onnx.ModelProto) -> NetworkSpec:
    """The network in an ONNX model: what ``to_onnx`` wrote, or standard operators we match.

    A graph input with a free second axis is a sequence ``(N, T, ...)``, any other a single
    ``(N, ...)``. Raises :class:`ModelFormatError` for a damaged model and one
    :class:`UnsupportedModelError` that lists every node which could not be placed.
    """
    matcher = Matcher(Graph(proto))
    metadata = Metadata.from_model(proto)
    problems: list[str] = []
    inputs = _read_inputs(matcher, metadata, problems)
    _match_nodes(matcher, problems)
    outputs = _read_outputs(matcher, metadata, problems)
    if problems:
        raise UnsupportedModelError.from_problems(f"network {metadata.name!r}", problems)
    _check_names(metadata, inputs, outputs)
    nodes = tuple(matcher.nodes)
    spec = NetworkSpec(metadata.name, inputs, nodes, outputs, metadata.source, metadata.notes)
    spec.values()
    return spec


def _read_inputs(matcher: Matcher, metadata: Metadata, problems: list[str]) -> tuple[Input, ...]:
    inputs = []
    for info in matcher.graph.inputs:
        try:
            value = _input_value(info)
        except UnsupportedModelError as error:
            problems.append(f"input {info.name!r}: {error}")
            matcher.refused.add(info.name)
            continue
        matcher.tensors[info.name] = Tensor(info.name, value, leads(value)[0])
        steps = metadata.preprocessing.get(info.name)
        inputs.append(Input(info.name, value.shape, value.sequence, steps, value.length))
    return tuple(inputs)


def _input_value(info: onnx.ValueInfoProto) -> Value:
    kind = info.type.tensor_type
    if kind.elem_type != TensorProto.FLOAT:
        raise UnsupportedModelError(
            f"expected a tensor of type {TensorProto.FLOAT} (float32), found {kind.elem_type}"
        )
    dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
    # Time is open, or marked where the number of frames is fixed.
    marked = len(dims) > 1 and kind.shape.dim[1].denotation == TIME_DENOTATION
    sequence = len(dims) > 1 and (dims[1] is None or marked)
    shape = tuple(n for n in dims[2 if sequence else 1 :] if n is not None and n > 0)
    if not shape or len(shape) != len(dims) - (2 if sequence else 1):
        found = tuple("?" if n is None else n for n in dims)
        raise UnsupportedModelError(
            f"expected (N, T, ...) or (N, ...) with all but N, T fixed, found {found}"
        )
    if math.prod(shape) > MOST_ELEMENTS:
        raise UnsupportedModelError(
            f"expected at most {MOST_ELEMENTS} numbers a frame, found {shape}"
        )
    return Value(shape, sequence, dims[1] if sequence else None)


def _match_nodes(matcher: Matcher, problems: list[str]) -> None:
    for node in matcher.graph.nodes:
        if node.output[0] in matcher.consumed:
            # Part of a layer; where that layer was refused, so is this.
            matcher.refused.update(set(node.output) - matcher.tensors.keys())
            continue
        try:
            if not matcher.graph.fold(node):
                rule(node)(matcher, node)
        except CauseListedError:
            matcher.refused.update(node.output)
        except UnsupportedModelError as error:
            matcher.refused.update(node.output)
            problems.append(f"{describe(node)}: {error}")
        except ModelFormatError as error:
            raise ModelFormatError(f"{describe(node)}: {error}") from None


def _read_outputs(matcher: Matcher, metadata: Metadata, problems: list[str]) -> tuple[Output, ...]:
    outputs = []
    for name in matcher.graph.outputs:
        tensor = matcher.tensors.get(name)
        if tensor is not None and tensor.plain:
            outputs.append(Output(name, tensor.name, metadata.categories.get(name)))
        elif tensor is not None:
            problems.append(
                f"output {name!r}: expected (N, T, ...) or (N, ...), found {tensor.dims}"
            )
        elif name not in matcher.refused:
            problems.append(f"output {name!r}: expected a value computed from frames, found none")
    return tuple(outputs)


def _check_names(
    metadata: Metadata, inputs: tuple[Input, ...], outputs: tuple[Output, ...]
) -> None:
    known = {i.name for i in inputs} | {o.name for o in outputs}
    stray = sorted((set(metadata.preprocessing) | set(metadata.categories)) - known)
    if stray:
        raise ModelFormatError(
            f"metadata: expected names of inputs and outputs, found {', '.join(stray)}"
        )
