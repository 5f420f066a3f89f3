"""Rewrites of a network at load time: the same numbers from fewer and larger steps.

Each rewrite is a pure function from one :class:`~convlstm_native.spec.NetworkSpec` to another.
Inputs and outputs keep their names, order and shapes. A node that does the work of several layers
of one kind bears all their names, joined by ``+``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from convlstm_native.spec import (
    Array,
    BatchNormalization,
    ConvLSTM2D,
    Dense,
    Layer,
    MaxPooling,
    NetworkSpec,
    Node,
    Slice,
)


def optimize(network: NetworkSpec) -> NetworkSpec:
    """All rewrites, in the order in which one prepares the ground for the next.

    Only rounding changes: sums run in another order, and folded Dense kernels are rounded to
    float32 once instead of one by one. Raises :class:`UnsupportedModelError` when ``network`` does
    not fit together.
    """
    return fuse_norm_and_pool(fold_linear_dense(merge_sibling_conv_lstms(network)))


def merge_sibling_conv_lstms(network: NetworkSpec) -> NetworkSpec:
    """ConvLSTM2D layers that read one value become a single one of as many ``groups``, then sliced.

    Siblings agree in everything but their weights, and keep no state between calls. Normalizations
    and poolings that follow every sibling alike move before the slices, where they run once.
    """
    families: dict[tuple[object, ...], list[tuple[Node, ConvLSTM2D]]] = {}
    for node, layer in _conv_lstms(network):
        keeps_state = layer.initial_state or layer.return_state or layer.stateful
        if layer.return_sequences and layer.groups == 1 and not keeps_state:
            family = (*node.inputs, *_all_but_weights(layer))
            families.setdefault(family, []).append((node, layer))
    graph = _Graph(network)
    return _replaced(network, [_merge(f, graph) for f in families.values() if len(f) > 1])


def fold_linear_dense(network: NetworkSpec) -> NetworkSpec:
    """A Dense without activation and the Dense that alone reads it become one Dense.

    Products are taken in float64 and rounded once. A bottleneck stays: two narrow kernels are less
    work than the wide one that is their product.
    """
    graph = _Graph(network)
    swaps: list[_Swap] = []
    folded: set[Node] = set()
    for node in network.nodes:
        if isinstance(node.layer, Dense) and node not in folded:
            swaps.append(_fold(node, node.layer, graph))
            folded.update(swaps[-1].old)
    return _replaced(network, swaps)


def fuse_norm_and_pool(network: NetworkSpec) -> NetworkSpec:
    """A BatchNormalization, a MaxPooling, or both in this order, move into the ConvLSTM2D before.

    They must be the only readers of its sequence, and the pooling must leave the channels alone.
    """
    graph = _Graph(network)
    return _replaced(
        network,
        [
            _fuse(node, layer, graph)
            for node, layer in _conv_lstms(network)
            if layer.return_sequences and not layer.return_state
        ],
    )


@dataclass(frozen=True)
class _Swap:
    """``old`` nodes, and the ``new`` ones that run in the place of the first of them.

    Early enough for every reader, and late enough: all old nodes hang on the first one's input.
    """

    old: Sequence[Node]
    new: Sequence[Node]


def _replaced(network: NetworkSpec, swaps: Iterable[_Swap]) -> NetworkSpec:
    new: dict[Node, Sequence[Node]] = {}
    for swap in swaps:
        new.update((node, ()) for node in swap.old)
        new[swap.old[0]] = swap.new
    nodes = itertools.chain.from_iterable(new.get(node, (node,)) for node in network.nodes)
    return replace(network, nodes=tuple(nodes))


class _Graph:
    """Who reads which value, and which names are taken."""

    def __init__(self, network: NetworkSpec) -> None:
        self._node_names = {node.name for node in network.nodes}
        self._values = set(network.values())
        # The user of the network, who reads its outputs, is None.
        self._readers: dict[str, list[Node | None]] = {value: [] for value in self._values}
        for node in network.nodes:
            for value in node.inputs:
                self._readers[value].append(node)
        for output in network.outputs:
            self._readers[output.value].append(None)

    def only_reader(self, node: Node) -> Node | None:
        """The node that alone reads the first output of ``node``, if it is one and a node."""
        readers = self._readers[node.outputs[0]]
        return readers[0] if len(readers) == 1 else None

    def joined_name(self, nodes: Iterable[Node]) -> str:
        """A name for the node that replaces ``nodes``."""
        return _unused("+".join(node.name for node in nodes), self._node_names)

    def joined_value(self, nodes: Iterable[Node]) -> str:
        """A name for the value that holds the outputs of ``nodes``."""
        return _unused("+".join(node.outputs[0] for node in nodes), self._values)


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "+"
    taken.add(name)
    return name


def _conv_lstms(network: NetworkSpec) -> Iterator[tuple[Node, ConvLSTM2D]]:
    """The ConvLSTM2D layers without a mask that nothing has been fused into yet."""
    for node in network.nodes:
        layer = node.layer
        if not isinstance(layer, ConvLSTM2D) or layer.masked:
            continue
        if layer.norm is None and layer.pool is None:
            yield node, layer


def _all_but_weights(layer: ConvLSTM2D) -> tuple[object, ...]:
    return tuple(value for value in vars(layer).values() if not isinstance(value, np.ndarray))


def _leaves_alone(pool: MaxPooling, axis: int) -> bool:
    return pool.pool_size[axis] == 1 and pool.strides[axis] == 1


def _merge(siblings: Sequence[tuple[Node, ConvLSTM2D]], graph: _Graph) -> _Swap:
    nodes, layers = [node for node, _ in siblings], [layer for _, layer in siblings]
    axis, filters = layers[0].channel_axis, layers[0].filters
    merged: Layer = replace(
        layers[0],
        filters=filters * len(layers),
        kernel=_gate_major([layer.kernel for layer in layers]),
        recurrent_kernel=_gate_major([layer.recurrent_kernel for layer in layers]),
        bias=_gate_major([layer.bias for layer in layers]),
        groups=len(layers),
    )
    steps = [(merged, nodes), *_common_steps(nodes, axis, graph)]
    new: list[Node] = []
    inputs = nodes[0].inputs
    for layer, replaced in steps:
        outputs = (graph.joined_value(replaced),)
        new.append(Node(graph.joined_name(replaced), layer, inputs, outputs))
        inputs = outputs
    for k, node in enumerate(steps[-1][1]):
        cut = Slice(axis, k * filters, (k + 1) * filters)
        new.append(Node(node.name, cut, inputs, node.outputs))
    return _Swap([node for _, replaced in steps for node in replaced], new)


def _gate_major(weights: Sequence[Array]) -> Array:
    """Weights of several layers along one O axis: the gate i of all of them, then f, c and o."""
    gates = [w.reshape(4, -1, *w.shape[1:]) for w in weights]
    return np.concatenate(gates, axis=1).reshape(-1, *weights[0].shape[1:])


def _common_steps(
    nodes: Sequence[Node], axis: int, graph: _Graph
) -> Iterator[tuple[Layer, Sequence[Node]]]:
    """What follows all ``nodes`` alike, layer by layer until they differ.

    Yields a layer for the joined frame and the nodes that it replaces.
    """
    while True:
        readers = [graph.only_reader(node) for node in nodes]
        nodes = [reader for reader in readers if reader is not None]
        layer = (
            _joined([node.layer for node in nodes], axis) if len(nodes) == len(readers) else None
        )
        if layer is None:
            return
        yield layer, nodes


def _joined(layers: Sequence[Layer], axis: int) -> Layer | None:
    """One layer that does to frames joined along ``axis`` what each of ``layers`` does to its."""
    first = layers[0]
    if isinstance(first, MaxPooling):
        alike = all(layer == first for layer in layers)
        return first if alike and _leaves_alone(first, axis) else None
    norms = [layer for layer in layers if isinstance(layer, BatchNormalization)]
    if len(norms) < len(layers) or len({norm.axis for norm in norms}) > 1:
        return None
    scales, shifts = [norm.scale for norm in norms], [norm.shift for norm in norms]
    if norms[0].axis == axis:
        return BatchNormalization(axis, np.concatenate(scales), np.concatenate(shifts))
    return norms[0] if _all_equal(scales) and _all_equal(shifts) else None


def _all_equal(arrays: Sequence[Array]) -> bool:
    return all(np.array_equal(array, arrays[0]) for array in arrays)


def _fold(node: Node, layer: Dense, graph: _Graph) -> _Swap:
    """``node`` and all the Dense layers behind it that are worth folding into it."""
    kernel, bias = layer.kernel.astype(np.float64), layer.bias.astype(np.float64)
    activation = layer.activation
    chain = [node]
    while activation.name == "linear":
        reader = graph.only_reader(chain[-1])
        if reader is None or not isinstance(reader.layer, Dense):
            break
        after = reader.layer.kernel.astype(np.float64)
        if kernel.shape[0] * after.shape[1] > kernel.size + after.size:
            break
        kernel, bias = kernel @ after, bias @ after + reader.layer.bias
        activation = reader.layer.activation
        chain.append(reader)
    if len(chain) == 1:
        return _Swap(chain, chain)
    folded = Dense(kernel.astype(np.float32), bias.astype(np.float32), activation)
    return _Swap(chain, [Node(graph.joined_name(chain), folded, node.inputs, chain[-1].outputs)])


def _fuse(node: Node, layer: ConvLSTM2D, graph: _Graph) -> _Swap:
    chain = [node]
    reader = graph.only_reader(node)
    if reader is not None and isinstance(reader.layer, BatchNormalization):
        layer = replace(layer, norm=reader.layer)
        chain.append(reader)
        reader = graph.only_reader(reader)
    if (
        reader is not None
        and isinstance(reader.layer, MaxPooling)
        and _leaves_alone(reader.layer, layer.channel_axis)
    ):
        layer = replace(layer, pool=reader.layer)
        chain.append(reader)
    return _Swap(chain, [Node(node.name, layer, node.inputs, chain[-1].outputs)])
