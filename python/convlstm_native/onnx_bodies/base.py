"""The nodes of a function in standard ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from convlstm_native.spec import Layer, Value


class Body:
    """Nodes of one function, graph or Scan body, in the order they were added.

    Tensors without a given name are called ``<prefix><operator>_<n>``; a subgraph needs a prefix
    of its own, since ONNX does not let it reuse names of the graph around it.
    """

    def __init__(self, prefix: str = "") -> None:
        """An empty body."""
        self.nodes: list[onnx.NodeProto] = []
        self._prefix = prefix

    def add(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Add a node of one output and return the name of that output."""
        output = output or f"{self._prefix}{operator}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, list(inputs), [output], name=output, **attributes)
        )
        return output

    def constant(self, value: float | Sequence[int] | NDArray[Any]) -> str:
        """A float32 scalar, or a list of int64."""
        dtype = np.float32 if isinstance(value, float) else np.int64
        return self.add("Constant", [], value=numpy_helper.from_array(np.asarray(value, dtype)))

    def fold(self, x: str, value: Value) -> str:
        """A sequence (N, T, *shape) as frames (N * T, *shape); a single as it is."""
        if not value.sequence:
            return x
        return self.add("Reshape", [x, self.constant([-1, *value.shape])])

    def unfold(self, frames: str, like: str, value: Value) -> str:
        """Frames (N * T, *shape) as the sequence ``value``, with N and T of ``like``."""
        if not value.sequence:
            return frames
        lead = self.add("Shape", [like], start=0, end=2)
        shape = self.add("Concat", [lead, self.constant(list(value.shape))], axis=0)
        return self.add("Reshape", [frames, shape])


@dataclass(frozen=True)
class Call:
    """A layer and the tensors of the function that computes it.

    ``inputs`` and ``weights`` are the names of the function's inputs: those of the layer beside what it
    knows of each, and the weights by field.
    """

    layer: Layer
    inputs: tuple[str, ...]
    values: tuple[Value, ...]
    weights: dict[str, str]

    @property
    def results(self) -> tuple[Value, ...]:
        """What the layer gives."""
        return self.layer.infer(self.values)


# Adds the nodes that compute a call to a body; gives back the names of the results.
Build = Callable[[Body, Call], Sequence[str]]
Table = dict[type[Layer], Build]
