"""Layers that look along time."""

from __future__ import annotations

from convlstm_native.lowering.base import Lowering, Table, Tensor
from convlstm_native.spec import Node, Reverse


def _reverse(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    (x,) = inputs
    return (Tensor(low.network.add_reversed(node.name, x.id), x.order),)


LOWER: Table = {Reverse: _reverse}
