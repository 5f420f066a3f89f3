"""What the walk over an ONNX graph knows so far: which tensor is which value of the spec."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx

from convlstm_native.errors import ModelFormatError, UnsupportedModelError
from convlstm_native.readers.onnx_contract import BATCH, TIME, refuse_unknown
from convlstm_native.readers.onnx_graph import Constant, Graph, attributes
from convlstm_native.spec import Array, Layer, Node, Value

# Frames of more numbers than this, 4 GB each, are damage and not video.
MOST_ELEMENTS = 2**30

Lead = tuple[str | int, ...]
PLAIN_SEQUENCE: Lead = (BATCH, TIME)
PLAIN_SINGLE: Lead = (BATCH,)
FOLDED: Lead = ("N*T",)
OPENED: Lead = (BATCH, 1)


class CauseListedError(Exception):
    """A node cannot be placed because of another one that is listed already."""


@dataclass(frozen=True)
class Tensor:
    """What an ONNX tensor is to the network: the spec value ``name`` behind some leading axes.

    The lead is (N, T) for a sequence and (N,) for a single. Operators that want other ranks see a
    sequence as frames folded into the batch, ("N*T",), or a single behind an axis of length 1,
    (N, 1).
    """

    name: str
    value: Value
    lead: Lead

    @property
    def shape(self) -> tuple[int, ...]:
        """The frame."""
        return self.value.shape

    @property
    def dims(self) -> tuple[str | int, ...]:
        """The shape that ONNX sees."""
        return (*self.lead, *self.shape)

    @property
    def plain(self) -> bool:
        """Whether the tensor lies as the spec has it."""
        return self.lead == leads(self.value)[0]


def leads(value: Value) -> tuple[Lead, ...]:
    """The leading axes that a value may be seen behind, the plain ones first."""
    return (PLAIN_SEQUENCE, FOLDED) if value.sequence else (PLAIN_SINGLE, OPENED)


class Matcher:
    """State of the walk, and the questions that the layer rules ask about a node."""

    def __init__(self, graph: Graph) -> None:
        """A walk that has seen nothing yet."""
        self.graph = graph
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.refused: set[str] = set()
        self.consumed: set[str] = set()

    def tensor(self, name: str) -> Tensor:
        """The value that an ONNX tensor shows; raises for a constant or one refused before."""
        if name in self.tensors:
            return self.tensors[name]
        if name in self.refused:
            raise CauseListedError
        raise UnsupportedModelError(
            f"input {name!r}: expected a value computed from frames, found none"
        )

    def constant(
        self, node: onnx.NodeProto, index: int, default: Constant | None = None
    ) -> Constant:
        """The constant that a node has as input ``index``; optional when ``default`` is given."""
        name = node.input[index] if index < len(node.input) else ""
        if not name and default is not None:
            return default
        if name not in self.graph.constants:
            if name in self.refused:
                raise CauseListedError
            raise UnsupportedModelError(
                f"input {index} {name!r}: expected a constant, found a computed tensor"
            )
        return self.graph.constants[name]

    def integers(
        self, node: onnx.NodeProto, index: int, default: Sequence[int] | None = None
    ) -> list[int]:
        """A constant list of integers, such as axes."""
        given = self.constant(node, index, None if default is None else np.array(default, np.int64))
        if given.dtype.kind != "i":
            raise UnsupportedModelError(f"input {index}: expected integers, found {given.tolist()}")
        return [int(n) for n in given.ravel()]

    def weight(self, node: onnx.NodeProto, index: int) -> Array:
        """A constant of float32."""
        array = self.constant(node, index)
        if array.dtype != np.float32:
            raise UnsupportedModelError(f"input {index}: expected float32, found {array.dtype}")
        return array

    def arguments(self, node: onnx.NodeProto) -> dict[str, Any]:
        """The attributes of a call of one of our functions, which the file has to define."""
        if node.op_type not in self.graph.functions:
            raise ModelFormatError("expected the file to define this function, found no definition")
        return attributes(node)

    def follower(self, tensor: str, operator: str) -> onnx.NodeProto | None:
        """The node of this kind that alone uses a tensor, or None."""
        node = self.graph.next(tensor)
        return node if node is not None and node.op_type == operator and not node.domain else None

    def consume(self, node: onnx.NodeProto) -> str:
        """Make ``node`` part of the layer that is being matched; its output is the layer's."""
        self.consumed.add(node.output[0])
        output: str = node.output[0]
        return output

    def emit(
        self, node: onnx.NodeProto, layer: Layer, inputs: Sequence[Tensor], outputs: Sequence[str]
    ) -> None:
        """Add a layer to the spec, named as the ONNX node; the lead stays as in the first input."""
        results = layer.infer([tensor.value for tensor in inputs])
        if len(outputs) != len(results):
            raise UnsupportedModelError(f"expected {len(results)} output(s), found {len(outputs)}")
        for name, value in zip(outputs, results, strict=True):
            if math.prod(value.shape) > MOST_ELEMENTS:
                raise UnsupportedModelError(
                    f"output {name!r}: expected at most {MOST_ELEMENTS} numbers a frame, "
                    f"found {value.shape}"
                )
            lead = inputs[0].lead if value.sequence == inputs[0].value.sequence else leads(value)[0]
            self.tensors[name] = Tensor(name, value, lead)
        names = tuple(tensor.name for tensor in inputs)
        self.nodes.append(Node(node.name or outputs[0], layer, names, tuple(outputs)))

    def alias(self, tensor: Tensor, output: str, lead: Lead | None = None) -> None:
        """``output`` shows the value of ``tensor``, behind another lead when one is given."""
        self.tensors[output] = tensor if lead is None else replace(tensor, lead=lead)


def options(node: onnx.NodeProto, **defaults: Any) -> dict[str, Any]:
    """Attributes of a standard operator over their defaults; raises for one not listed here."""
    given = attributes(node)
    refuse_unknown({name: value for name, value in given.items() if name not in defaults})
    return defaults | given


def require(found: dict[str, Any], **wanted: Any) -> None:
    """Raise unless each attribute has the one value that is supported."""
    for name, value in wanted.items():
        if found[name] != value:
            raise UnsupportedModelError(f"{name}: expected {value!r}, found {found[name]!r}")
