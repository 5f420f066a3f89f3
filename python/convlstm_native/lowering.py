"""Spec -> engine: the one place that knows both.

Inside the engine frames are planes (channels, rows, cols). A value of the spec keeps its axes in the
order of the Keras model; ``order[i]`` says which of them axis ``i`` inside is, so a channels_last frame
of shape (rows, cols, channels) has order (2, 0, 1). Layers that do not care keep the order they get.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from convlstm_native import _core
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.spec import (
    OVER_LAST_AXIS,
    Activation,
    Array,
    BatchNormalization,
    ConvLSTM2D,
    Dense,
    Flatten,
    Function,
    Layer,
    MaxPooling,
    NetworkSpec,
    Node,
    Slice,
    describe,
)

Order = tuple[int, ...]
_PLANES = 3  # axes of a frame inside: channels, rows, cols


@dataclass(frozen=True)
class _Tensor:
    """A value of the engine and the order of its axes."""

    id: int
    order: Order


@dataclass
class _Lowering:
    network: _core.Network
    tensors: dict[str, _Tensor] = field(default_factory=dict)

    def shape(self, tensor: _Tensor) -> tuple[int, ...]:
        return tuple(self.network.shape(tensor.id))

    def with_order(self, node: Node, tensor: _Tensor, order: Order) -> _Tensor:
        """The tensor with its axes in ``order``, permuted where it has another one."""
        if tensor.order == order:
            return tensor
        permutation = [tensor.order.index(axis) for axis in order]
        return _Tensor(
            self.network.add_permute(f"{node.name}:order", tensor.id, permutation), order
        )

    def add(self, node: Node) -> tuple[_Tensor, ...]:
        inputs = tuple(self.tensors[name] for name in node.inputs)
        return _LOWER[type(node.layer)](self, node, inputs)


def lower(spec: NetworkSpec, isa: str, allow_winograd: bool = True) -> _core.Network:
    """Builds the engine's network for ``spec``; ``isa`` names the kernel table, '' the best one.

    Raises :class:`UnsupportedModelError` that names every layer that the engine refuses, and
    :class:`InputError` for an ``isa`` that is not to be had.
    """
    lowering = _Lowering(_core.Network(isa, allow_winograd))
    channels_last = any(
        isinstance(node.layer, ConvLSTM2D) and node.layer.data_format == "channels_last"
        for node in spec.nodes
    )
    for given in spec.inputs:
        rank = len(given.shape)
        order = (2, 0, 1) if channels_last and rank == _PLANES else _as_given(rank)
        value = lowering.network.add_input(given.name, given.shape, order, given.sequence)
        lowering.tensors[given.name] = _Tensor(value, order)
    problems: list[str] = []
    for node in spec.nodes:
        if any(name not in lowering.tensors for name in node.inputs):
            continue  # behind a layer that failed
        try:
            outputs = lowering.add(node)
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


def _as_given(rank: int) -> Order:
    return tuple(range(rank))


def _function(function: Function) -> tuple[str, Sequence[float]]:
    return function.name, function.parameters


def _norm(layer: BatchNormalization, axis: int) -> tuple[int, Array, Array]:
    return axis, layer.scale, layer.shift


def _pool(layer: MaxPooling, order: Order) -> tuple[list[int], list[int], bool]:
    """Window and strides along three axes inside; a frame with fewer gets leading ones."""
    missing = [1] * (_PLANES - len(order))
    window = missing + [layer.pool_size[axis] for axis in order]
    strides = missing + [layer.strides[axis] for axis in order]
    return window, strides, layer.padding == "same"


def _conv_lstm_2d(low: _Lowering, node: Node, inputs: tuple[_Tensor, ...]) -> tuple[_Tensor, ...]:
    layer = node.layer
    assert isinstance(layer, ConvLSTM2D)
    order = (0, 1, 2) if layer.data_format == "channels_first" else (2, 0, 1)
    x, *initial = (low.with_order(node, tensor, order) for tensor in inputs)
    if layer.go_backwards:
        x = _Tensor(low.network.add_reversed(node.name, x.id), order)
    frames, final = low.network.add_conv_lstm_2d(
        name=node.name,
        x=x.id,
        initial=[tensor.id for tensor in initial],
        frames=layer.return_sequences,
        final=layer.return_state or not layer.return_sequences,
        stateful=layer.stateful,
        filters=layer.filters,
        kernel=layer.kernel,
        recurrent_kernel=layer.recurrent_kernel,
        bias=layer.bias,
        strides=layer.strides,
        dilation_rate=layer.dilation_rate,
        same=layer.padding == "same",
        groups=layer.groups,
        activation=_function(layer.activation),
        recurrent_activation=_function(layer.recurrent_activation),
        norm=None if layer.norm is None else _norm(layer.norm, order.index(layer.norm.axis)),
        pool=None if layer.pool is None else _pool(layer.pool, order),
    )
    # Without return_sequences the output is the last h.
    outputs = [*(frames or final[:1]), *(final if layer.return_state else ())]
    return tuple(_Tensor(value, order) for value in outputs)


def _batch_normalization(low: _Lowering, node: Node, inputs: tuple[_Tensor, ...]) -> tuple[_Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, BatchNormalization)
    shape = low.shape(x)
    axis = x.order.index(layer.axis)
    # As three axes with the normalized one last or in the middle.
    before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    planes = (1, before, shape[axis]) if after == 1 else (before, shape[axis], after)
    norm = _norm(layer, 2 if after == 1 else 1)
    value = low.network.add_norm_pool(node.name, x.id, planes, norm, None)
    return (_Tensor(low.network.add_view(value, 0, shape), x.order),)


def _max_pooling(low: _Lowering, node: Node, inputs: tuple[_Tensor, ...]) -> tuple[_Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, MaxPooling)
    rank = len(x.order)
    if rank > _PLANES:
        raise UnsupportedModelError(f"expected a frame of at most {_PLANES} axes, found {rank}")
    missing = _PLANES - rank
    planes = (1,) * missing + low.shape(x)
    value = low.network.add_norm_pool(node.name, x.id, planes, None, _pool(layer, x.order))
    pooled = low.network.add_view(value, 0, low.network.shape(value)[missing:])
    return (_Tensor(pooled, x.order),)


def _dense(low: _Lowering, node: Node, inputs: tuple[_Tensor, ...]) -> tuple[_Tensor]:
    layer = node.layer
    assert isinstance(layer, Dense)
    x = low.with_order(node, inputs[0], _as_given(len(inputs[0].order)))
    over_row = layer.activation.name in OVER_LAST_AXIS
    function = Function("linear") if over_row else layer.activation
    value = low.network.add_dense(node.name, x.id, layer.kernel, layer.bias, _function(function))
    if over_row:
        return _add_softmax(low, node, _Tensor(value, x.order), layer.activation)
    return (_Tensor(value, x.order),)


def _flatten(low: _Lowering, node: Node, inputs: tuple[_Tensor, ...]) -> tuple[_Tensor]:
    x = low.with_order(node, inputs[0], _as_given(len(inputs[0].order)))
    return (_Tensor(low.network.add_view(x.id, 0, (math.prod(low.shape(x)),)), (0,)),)


def _activation(low: _Lowering, node: Node, inputs: tuple[_Tensor, ...]) -> tuple[_Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Activation)
    if layer.function.name in OVER_LAST_AXIS:
        return _add_softmax(
            low, node, low.with_order(node, x, _as_given(len(x.order))), layer.function
        )
    return (
        _Tensor(low.network.add_activation(node.name, x.id, _function(layer.function)), x.order),
    )


def _add_softmax(low: _Lowering, node: Node, x: _Tensor, function: Function) -> tuple[_Tensor]:
    name = f"{node.name}:{function.name}"
    return (_Tensor(low.network.add_softmax(name, x.id, function.name == "log_softmax"), x.order),)


def _slice(low: _Lowering, node: Node, inputs: tuple[_Tensor, ...]) -> tuple[_Tensor]:
    (x,) = inputs
    layer = node.layer
    assert isinstance(layer, Slice)
    # Along the outermost axis a slice is a view; any other axis is brought there first.
    if x.order[0] != layer.axis:
        order = (layer.axis, *(axis for axis in x.order if axis != layer.axis))
        x = low.with_order(node, x, order)
    shape = low.shape(x)
    offset = layer.start * math.prod(shape[1:])
    view = low.network.add_view(x.id, offset, (layer.stop - layer.start, *shape[1:]))
    return (_Tensor(view, x.order),)


_LOWER: dict[type[Layer], Callable[[_Lowering, Node, tuple[_Tensor, ...]], tuple[_Tensor, ...]]] = {
    ConvLSTM2D: _conv_lstm_2d,
    BatchNormalization: _batch_normalization,
    MaxPooling: _max_pooling,
    Dense: _dense,
    Flatten: _flatten,
    Activation: _activation,
    Slice: _slice,
}
