"""Which inputs of a Keras model are sequences. Keras itself does not tell time from other axes."""

from __future__ import annotations

from collections import defaultdict

from convlstm_native.errors import ModelFormatError
from convlstm_native.readers.keras_graph import Call, Graph, LayerConfig, Ref, shorten
from convlstm_native.readers.keras_layers import MERGING, MOVE_TIME, READS_TIME, RECURRENT


def sequence_inputs(graph: Graph) -> frozenset[str]:
    """Names of the inputs of a flat graph that are sequences; the others are singles.

    Tensors that have their leading axes in common are sequences together: what a frame-wise layer
    reads and what it makes, and all that a merging layer reads. Such a family of tensors
    - is of sequences when a layer that goes through time reads or makes one of it, such as a
      recurrent layer or TimeDistributed,
    - else of singles when a recurrent layer takes one as its initial state.
    An input without such a layer is a sequence when it has five axes or more, or when its first axis
    after batch is open: only time may be.
    """
    families = _Families()
    ranks = {_start(layer): len(batch_shape(layer)) for layer in graph.inputs}
    for call in graph.calls:
        _relate(call, families, ranks)
    return frozenset(layer.name for layer in graph.inputs if _is_sequence(families, layer))


def batch_shape(layer: LayerConfig) -> list[int | None]:
    """An input layer's shape with batch; ``batch_shape`` in Keras 3, ``batch_input_shape`` before.

    Raises :class:`ModelFormatError` when it is no shape.
    """
    shape = layer.arguments.get("batch_shape", layer.arguments.get("batch_input_shape"))
    if not isinstance(shape, list) or not all(
        n is None or (type(n) is int and n >= 1) for n in shape
    ):
        raise ModelFormatError(
            f"input {layer.name!r}: expected a batch shape of positive integers and nulls, "
            f"found {shorten(shape)}"
        )
    return shape


_TIME, _STATE = "time", "state"


class _Families:
    """Disjoint sets of tensors, each with marks."""

    def __init__(self) -> None:
        self._parent: dict[Ref, Ref] = {}
        self._marks: defaultdict[Ref, set[str]] = defaultdict(set)

    def _root(self, ref: Ref) -> Ref:
        while (parent := self._parent.get(ref, ref)) != ref:
            self._parent[ref] = self._parent.get(parent, parent)  # halves the way for the next
            ref = parent
        return ref

    def join(self, a: Ref, b: Ref) -> None:
        a, b = self._root(a), self._root(b)
        if a != b:
            self._parent[b] = a
            self._marks[a] |= self._marks.pop(b, set())

    def mark(self, ref: Ref, mark: str) -> None:
        self._marks[self._root(ref)].add(mark)

    def marked(self, ref: Ref, mark: str) -> bool:
        return mark in self._marks[self._root(ref)]


def _relate(call: Call, families: _Families, ranks: dict[Ref, int]) -> None:
    made = Ref(call.layer.name, call.index, 0)
    if not call.inputs:
        return
    kind = call.layer.class_name
    x, *others = call.inputs
    # With channels_first axis 1 of other layers is their channels, which say nothing about time.
    says_time = call.layer.arguments.get("data_format") != "channels_first"
    if call.per_frame or kind in RECURRENT or (kind in READS_TIME and says_time):
        families.mark(x, _TIME)
    if call.per_frame:
        for ref in call.inputs:
            families.join(ref, made)
    elif kind in RECURRENT:
        for state in others:
            families.mark(state, _STATE)
        if returns_sequences(call.layer):
            families.join(x, made)
    elif kind not in MOVE_TIME:
        for ref in _with_most_axes(call, ranks) if kind in MERGING else call.inputs:
            families.join(ref, made)


def _with_most_axes(call: Call, ranks: dict[Ref, int]) -> list[Ref]:
    """The inputs of a merging layer but for small ones that it spreads over the others."""
    most = max((ranks[ref] for ref in call.inputs if ref in ranks), default=0)
    return [ref for ref in call.inputs if ranks.get(ref, most) == most]


def returns_sequences(layer: LayerConfig) -> bool:
    """Whether a recurrent layer, maybe in a Bidirectional, gives out every frame."""
    arguments = layer.arguments
    inner = arguments.get("layer")
    if isinstance(inner, dict) and isinstance(inner.get("config"), dict):
        arguments = inner["config"]
    return bool(arguments.get("return_sequences"))


def _is_sequence(families: _Families, layer: LayerConfig) -> bool:
    shape = batch_shape(layer)
    is_open = len(shape) > 1 and shape[1] is None
    if families.marked(_start(layer), _TIME):
        return is_open or len(shape) >= 3
    return not families.marked(_start(layer), _STATE) and (is_open or len(shape) >= 5)


def _start(layer: LayerConfig) -> Ref:
    return Ref(layer.name, 0, 0)
