"""Layers that make one number of many places, without weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from convlstm_native.lowering.base import PLANES, Lowering, Order, Table, Tensor
from convlstm_native.spec import AveragePooling, MaxPooling, Node, Pooling, Reduce, window_output


def pool(layer: Pooling, order: Order) -> tuple[list[int], list[int], bool, bool]:
    """Window and strides along three axes inside; a frame with fewer gets leading ones."""
    missing = [1] * (PLANES - len(order))
    window = missing + [layer.pool_size[axis] for axis in order]
    strides = missing + [layer.strides[axis] for axis in order]
    return window, strides, layer.padding == "same", isinstance(layer, AveragePooling)


@dataclass(frozen=True)
class _Axis:
    """An axis inside and the window that runs along it."""

    length: int
    window: int = 1
    stride: int = 1

    @property
    def alone(self) -> bool:
        """Whether the pooling leaves the axis as it is."""
        return (self.window, self.stride) == (1, 1)

    def pooled(self, padding: str) -> _Axis:
        """What is left of it."""
        return _Axis(window_output(self.length, self.window, self.stride, padding))


def _pooling(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    """Up to three axes at a time.

    The maximum over a box is that of one axis after another. So is the mean: all windows along an
    axis hold as many places, whatever their place on the others.
    """
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Pooling)
    axes = [
        _Axis(length, layer.pool_size[axis], layer.strides[axis])
        for length, axis in zip(low.shape(x), x.order, strict=True)
    ]
    value = x.id
    for number in itertools.count():
        planes = _as_planes(axes)
        first = next((i for i, axis in enumerate(axes) if not axis.alone), 0)
        if len(planes) > PLANES:
            planes = _as_planes([a if i == first else _Axis(a.length) for i, a in enumerate(axes)])
            axes[first] = axes[first].pooled(layer.padding)
        else:
            axes = [axis.pooled(layer.padding) for axis in axes]
        planes = [_Axis(1)] * (PLANES - len(planes)) + planes
        value = low.network.add_norm_pool(
            f"{node.name}:{number}" if number else node.name,
            value,
            [axis.length for axis in planes],
            None,
            (
                [axis.window for axis in planes],
                [axis.stride for axis in planes],
                layer.padding == "same",
                isinstance(layer, AveragePooling),
            ),
        )
        if all(axis.alone for axis in axes):
            break
    pooled = low.network.add_view(value, 0, [axis.length for axis in axes])
    return (Tensor(pooled, x.order),)


def _as_planes(axes: Sequence[_Axis]) -> list[_Axis]:
    """Neighbours that are left alone as one, until there are no more axes than planes have."""
    merged = list(axes)
    i = 0
    while len(merged) > PLANES and i + 1 < len(merged):
        if merged[i].alone and merged[i + 1].alone:
            length = merged[i].length * merged[i + 1].length
            merged[i : i + 2] = [replace(merged[i], length=length)]
        else:
            i += 1
    return merged


def _reduce(low: Lowering, node: Node, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    """One run of neighbouring axes after another."""
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Reduce)
    shape, value = list(low.shape(x)), x.id
    reduced = [axis in layer.axes for axis in x.order]
    for number, (begin, end) in enumerate(_runs(reduced)):
        count = math.prod(shape[begin:end])
        if count > 1:
            planes = (math.prod(shape[:begin]), count, math.prod(shape[end:]))
            name = f"{node.name}:{number}" if number else node.name
            value = low.network.add_reduce(name, value, planes, layer.function == "mean")
            shape[begin:end] = [1] * (end - begin)
    order = x.order
    if not layer.keepdims:
        kept = [axis for axis in order if axis not in layer.axes]
        shape = [n for n, gone in zip(shape, reduced, strict=True) if not gone]
        order = tuple(sorted(kept).index(axis) for axis in kept)
    return (Tensor(low.network.add_view(value, 0, shape), order),)


def _runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Where neighbours that are all true begin and end."""
    places = itertools.groupby(range(len(flags)), key=lambda i: flags[i])
    runs = [list(run) for wanted, run in places if wanted]
    return [(run[0], run[-1] + 1) for run in runs]


LOWER: Table = {MaxPooling: _pooling, AveragePooling: _pooling, Reduce: _reduce}
