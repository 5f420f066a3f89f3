"""A whole network: nodes, inputs, outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from convlstm_native.errors import UnsupportedModelError
from convlstm_native.spec.base import LARGEST_LENGTH, Array, Layer, Value, expect


@dataclass(frozen=True)
class Node:
    """One layer of the graph. ``inputs`` and ``outputs`` are value names, each produced once."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Preprocessing:
    """How ``score`` makes frames for an input: resize, reorder colours, then ``(pixel - mean) * scale``.

    ``size`` is (rows, cols) of the network; ``color`` 'rgb', 'bgr' or 'gray'; ``mean`` one value or one a
    channel, in pixel units 0 to 255; ``fps`` the frame rate the network was trained on, None for any.
    """

    size: tuple[int, int]
    data_format: str = "channels_first"
    color: str = "rgb"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    fps: float | None = None


@dataclass(frozen=True)
class Input:
    """A network input: a sequence of frames, or a single such as an initial state.

    ``length`` is the number of frames that a sequence must have, None for any.
    """

    name: str
    shape: tuple[int, ...]
    sequence: bool = True
    preprocessing: Preprocessing | None = None
    length: int | None = None

    @property
    def value(self) -> Value:
        """The shape rule's view of this input."""
        return Value(self.shape, self.sequence, self.length)


@dataclass(frozen=True)
class Output:
    """A network output: its public name, the value it shows, and what its numbers mean."""

    name: str
    value: str
    category: str | None = None


@dataclass(frozen=True)
class NetworkSpec:
    """A whole network. ``nodes`` are in an order in which they can run.

    ``source`` names what wrote the weights, e.g. ``"Keras 3.15.1"``. ``notes`` holds what a reader had to
    decide, e.g. a precision policy that is run in float32.
    """

    name: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    source: str = ""
    notes: tuple[str, ...] = field(default=())

    def values(self) -> dict[str, Value]:
        """Every value by name, inferred and checked.

        Raises :class:`UnsupportedModelError` that lists every node whose inputs do not fit it, every
        name that stands for two things, and every shape that is not of positive integers.
        """
        known: dict[str, Value] = {i.name: i.value for i in self.inputs}
        problems: list[str] = self._repeated_names()
        for i in self.inputs:
            if not _sound_shape(i.shape):
                problems.append(f"input {i.name!r}: expected axes of at least 1, found {i.shape}")
        for node in self.nodes:
            if missing := [name for name in node.inputs if name not in known]:
                if not problems:
                    problems.append(
                        f"{describe(node)}: input {missing[0]!r} is produced by no earlier node"
                    )
                continue
            try:
                inferred = node.layer.infer([known[name] for name in node.inputs])
                expect(
                    len(inferred) == len(node.outputs), "outputs", len(inferred), len(node.outputs)
                )
                for value in inferred:
                    expect(_sound_shape(value.shape), "output", "axes of at least 1", value.shape)
            except UnsupportedModelError as error:
                problems.append(f"{describe(node)}: {error}")
                continue
            except ValueError:
                problems.append(
                    f"{describe(node)}: expected another number of inputs, found {node.inputs}"
                )
                continue
            known.update(zip(node.outputs, inferred, strict=True))
        if not problems:
            problems = [
                f"output {output.name!r}: expected a known value, found {output.value!r}"
                for output in self.outputs
                if output.value not in known
            ]
        if problems:
            raise UnsupportedModelError.from_problems(f"network {self.name!r}", problems)
        return known

    def _repeated_names(self) -> list[str]:
        values = [i.name for i in self.inputs] + [v for n in self.nodes for v in n.outputs]
        kinds = {
            "value": values,
            "node": [node.name for node in self.nodes],
            "output": [output.name for output in self.outputs],
        }
        return [
            f"{kind} {name!r}: expected a name of its own, found it {count} times"
            for kind, names in kinds.items()
            for name, count in Counter(names).items()
            if count > 1
        ]


def _sound_shape(shape: tuple[int, ...]) -> bool:
    return all(1 <= length <= LARGEST_LENGTH for length in shape)


def describe(node: Node) -> str:
    """How messages call a node: kind and name."""
    return f"{type(node.layer).__name__} {node.name!r}"


def weights(layer: Layer) -> Iterator[Array]:
    """The weight arrays of a layer, for counting parameters and for checks."""
    for value in vars(layer).values():
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, Layer):
            yield from weights(value)
