"""What every lowering of a layer works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from convlstm_native import _core
from convlstm_native.spec import Function, Layer, Node

Order = tuple[int, ...]
PLANES = 3  # axes of a frame of a two-dimensional map inside: channels, rows, cols


@dataclass(frozen=True)
class Tensor:
    """A value of the engine and the order of its axes."""

    id: int
    order: Order


@dataclass
class Lowering:
    """The engine's network under construction, and what each value of the spec became there."""

    network: _core.Network
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        """The tensor's shape, in the order of its axes inside."""
        return tuple(self.network.shape(tensor.id))

    def in_keras(self, tensor: Tensor) -> tuple[int, ...]:
        """The tensor's shape, in the order of the model file."""
        shape = self.shape(tensor)
        return tuple(shape[tensor.order.index(axis)] for axis in range(len(shape)))

    def with_order(self, node: Node, tensor: Tensor, order: Order) -> Tensor:
        """The tensor with its axes in ``order``, permuted where it has another one."""
        if tensor.order == order:
            return tensor
        shape = self.in_keras(tensor)
        if [a for a in order if shape[a] > 1] == [a for a in tensor.order if shape[a] > 1]:
            # Only axes of length 1 change places: the numbers lie as they should.
            seen = [shape[axis] for axis in order]
            return Tensor(self.network.add_view(tensor.id, 0, seen), order)
        permutation = [tensor.order.index(axis) for axis in order]
        name = f"{node.name}:order"
        return Tensor(self.network.add_permute(name, tensor.id, permutation), order)

    def as_in_keras(self, node: Node, tensor: Tensor) -> Tensor:
        """The tensor with its axes in the order of the model file."""
        return self.with_order(node, tensor, as_given(len(tensor.order)))


# Adds a node to the engine's network; gives back what its outputs became.
Lower = Callable[[Lowering, Node, tuple[Tensor, ...]], tuple[Tensor, ...]]
Table = dict[type[Layer], Lower]


def as_given(rank: int) -> Order:
    """The axes in the order of the model file."""
    return tuple(range(rank))


def channels_first(rank: int, data_format: str) -> Order:
    """The order that brings the channels of a frame of ``rank`` axes to the front."""
    if data_format == "channels_first":
        return as_given(rank)
    return (rank - 1, *range(rank - 1))


def function(activation: Function) -> tuple[str, Sequence[float]]:
    """An activation as the engine takes it."""
    return activation.name, activation.parameters
