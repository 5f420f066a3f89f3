"""A Keras file to a :class:`NetworkSpec`: layers placed, identities dropped, shapes checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from convlstm_native.errors import ModelFormatError, UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_files import KerasFile
from convlstm_native.readers.keras_graph import Call, Graph, LayerConfig, Ref, shorten
from convlstm_native.readers.keras_layers import LAYERS, MERGING, MOVE_TIME, RECURRENT, parse
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Tensor
from convlstm_native.readers.keras_layers.operations import TAKE_NUMBERS, is_operation
from convlstm_native.spec import Collect, Emit, Input, Layer, NetworkSpec, Node, Output

# Layers whose first input is a sequence whatever its rank, and layers that say nothing about time.
SEQUENCE_READERS = (*RECURRENT, "TimeDistributed", "MaxPooling3D")
TIMELESS = frozenset(LAYERS) - {*SEQUENCE_READERS, *MOVE_TIME}


def to_spec(file: KerasFile) -> NetworkSpec:
    """The network in ``file``.

    Raises :class:`UnsupportedModelError` that lists every problem, :class:`ModelFormatError` when
    weights are missing or do not fit the layers.
    """
    builders, problems, notes = _parse_layers(file)
    if not file.version:
        notes.insert(
            0, "the file names no Keras version: read as Keras 1, whose hard_sigmoid is 0.2 x + 0.5"
        )
    assembly = _Assembly(file, builders, problems)
    assembly.add_inputs()
    for call in file.graph.calls:
        assembly.add_call(call)
    if problems:
        raise UnsupportedModelError.from_problems(
            f"{file.where}: model {file.graph.name!r}", problems
        )
    inputs = tuple(assembly.inputs)
    if not any(isinstance(node.layer, Collect) for node in assembly.nodes):
        # Nothing hangs on the number of frames that the model was made for.
        inputs = tuple(replace(i, length=None) for i in inputs)
    return NetworkSpec(
        name=file.graph.name,
        inputs=inputs,
        nodes=tuple(assembly.nodes),
        outputs=assembly.outputs(),
        source=f"Keras {file.version or '1'}",
        notes=tuple(notes),
    )


def _parse_layers(file: KerasFile) -> tuple[dict[str, Builder], list[str], list[str]]:
    """What builds each layer, by layer name; the problems found; the notes for the user."""
    builders: dict[str, Builder] = {}
    problems: list[str] = []
    precise: dict[str, list[str]] = {}
    for layer in file.graph.layers:
        if layer.class_name == "InputLayer":
            continue
        arguments = Arguments(layer, file.major)
        try:
            builders[layer.name] = parse(arguments)
        except UnsupportedModelError as error:
            problems += error.problems
        if arguments.precision != "float32":
            precise.setdefault(arguments.precision, []).append(layer.name)
    notes = [
        f"layers {', '.join(names)}: precision policy {policy!r} is run in float32"
        for policy, names in precise.items()
    ]
    return builders, problems, notes


def sequence_inputs(graph: Graph) -> frozenset[str]:
    """Names of the inputs that are sequences; the others are singles.

    Keras does not tell time from other axes, so the rule looks at the use and the shape. An input
    is a sequence when
    - a ConvLSTM2D (as its x), a TimeDistributed or a MaxPooling3D reads it, directly or through
      layers that keep the leading axes (activations, normalization, Dense, Dropout; of a layer that
      merges several, the inputs with most axes), or
    - its batch shape has five axes or more, or
    - its first axis after batch is open (None): only time may be.
    A rank-4 input that is read as an initial state alone is thus a single.
    """
    wanted: set[Ref] = set()
    for call in reversed(graph.calls):
        timeless = (
            call.layer.class_name in TIMELESS and Ref(call.layer.name, call.index, 0) in wanted
        )
        if call.inputs and (timeless or call.layer.class_name in SEQUENCE_READERS):
            wanted.update(_with_most_axes(call, graph))
    return frozenset(
        layer.name
        for layer in graph.inputs
        if Ref(layer.name, 0, 0) in wanted
        or len(shape := _batch_shape(layer)) >= 5
        or (len(shape) > 1 and shape[1] is None)
    )


def _with_most_axes(call: Call, graph: Graph) -> list[Ref]:
    """The inputs of a call that have its time axis: the first, or of a merging layer all but small ones."""
    if call.layer.class_name not in MERGING:
        return [call.inputs[0]]
    ranks = {Ref(layer.name, 0, 0): len(_batch_shape(layer)) for layer in graph.inputs}
    most = max((ranks[ref] for ref in call.inputs if ref in ranks), default=0)
    return [ref for ref in call.inputs if ref not in ranks or ranks[ref] == most >= 3]


def _batch_shape(layer: LayerConfig) -> list[int | None]:
    """The shape of an input layer with its batch axis; Keras 2 calls it ``batch_input_shape``."""
    shape = layer.arguments.get("batch_shape", layer.arguments.get("batch_input_shape"))
    if not isinstance(shape, list) or not all(
        n is None or (type(n) is int and n >= 1) for n in shape
    ):
        raise ModelFormatError(
            f"input {layer.name!r}: expected a batch shape of positive integers and nulls, "
            f"found {shorten(shape)}"
        )
    return shape


@dataclass
class _Assembly:
    """The network under construction. ``values``: what each Keras tensor became, name and shape.

    A tensor that a problem left unknown is missing there, and so is all that depends on it.
    """

    file: KerasFile
    builders: dict[str, Builder]
    problems: list[str]
    inputs: list[Input] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    values: dict[Ref, Tensor] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def add_inputs(self) -> None:
        """Every input layer in the model's order."""
        sequences = sequence_inputs(self.file.graph)
        for layer in self.file.graph.inputs:
            is_sequence = layer.name in sequences
            lead = 2 if is_sequence else 1
            batch_shape = _batch_shape(layer)
            shape = tuple(batch_shape[lead:])
            known = tuple(n for n in shape if n is not None)
            if not shape or known != shape:
                axes = [i + lead for i, n in enumerate(shape) if n is None]
                found = (
                    f"{_batch_shape(layer)}, open at axis {axes}" if axes else _batch_shape(layer)
                )
                self.problems.append(
                    f"input {layer.name!r}: expected every axis known but batch and time, "
                    f"found {found}"
                )
                continue
            for switch in ("sparse", "ragged"):
                if layer.arguments.get(switch):
                    self.problems.append(
                        f"input {layer.name!r}: {switch}: expected false, found true"
                    )
            length = batch_shape[1] if is_sequence else None
            given = Input(self._unique(layer.name), known, is_sequence, length=length)
            in_step = {i.length for i in self.inputs if i.sequence} <= {length, None}
            if length is not None and not in_step:
                # Frames come in step with those of the inputs before; these are given at once.
                given = replace(given, shape=(length, *known), sequence=False, length=None)
            self.inputs.append(given)
            tensor = Tensor(layer.name, given.value)
            if is_sequence and not given.sequence:
                (tensor,) = self._add_node(layer.name, Emit(), (tensor,))
            self.values[Ref(layer.name, 0, 0)] = tensor

    def add_call(self, call: Call) -> None:
        """One call of a layer: a node, or for an identity just another name of its input."""
        name = call.layer.name if call.index == 0 else f"{call.layer.name}#{call.index}"
        what = f"{call.layer.class_name} {name!r}"
        if call.layer.name not in self.builders:
            return  # what it lacks is told
        if bad := self._bad_call(call):
            self.problems.append(f"{what}: {bad}")
            return
        known = [self.values[ref] for ref in call.inputs if ref in self.values]
        if len(known) < len(call.inputs):
            return
        site = CallSite(
            inputs=tuple(known),
            lead=2 if known[0].value.sequence else 1,
            weights=self.file.weights.get(call.layer.name, ()),
            add=lambda layer, inputs: self._add_node(name, layer, inputs),
            options=call.options,
            flip=self.file.backend == "theano",
        )
        before = len(self.nodes)
        try:
            made = self.builders[call.layer.name](site)
        except UnsupportedModelError as error:
            self.problems.append(f"{what}: {error}")
            return
        except ModelFormatError as error:
            raise ModelFormatError(f"{self.file.where}: {error}") from error
        for i, tensor in enumerate(self._plainly_named(name, before, made)):
            self.values[Ref(call.layer.name, call.index, i)] = tensor

    def _plainly_named(
        self, name: str, before: int, made: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The result of a call whose nodes begin at ``before``: the last of them gets the plain name.

        It is the one that outputs show, under the name of the Keras layer.
        """
        added = self.nodes[before:]
        if not made or made[0].name not in {v for node in added for v in node.outputs}:
            return made
        swapped = {added[0].name: made[0].name, made[0].name: added[0].name}

        def names(given: Sequence[str]) -> tuple[str, ...]:
            return tuple(swapped.get(one, one) for one in given)

        self.nodes[before:] = [
            replace(
                node,
                name=names([node.name])[0],
                inputs=names(node.inputs),
                outputs=names(node.outputs),
            )
            for node in added
        ]
        return tuple(replace(tensor, name=names([tensor.name])[0]) for tensor in made)

    def _add_node(self, name: str, layer: Layer, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """A node, named after the Keras layer; the first of several has the plain name for now."""
        made = layer.infer([tensor.value for tensor in inputs])
        node_name = self._unique(name)
        outputs = tuple(
            node_name if i == 0 else self._unique(f"{node_name}:{i}") for i in range(len(made))
        )
        self.nodes.append(Node(node_name, layer, tuple(tensor.name for tensor in inputs), outputs))
        return tuple(Tensor(*pair) for pair in zip(outputs, made, strict=True))

    def outputs(self) -> tuple[Output, ...]:
        """The model's outputs under Keras' names; a repeated name gets a number."""
        taken: set[str] = set()
        outputs = []
        for name, ref in self.file.graph.outputs:
            if ref not in self.values:
                raise ModelFormatError(
                    f"{self.file.where}: output {name!r}: expected a tensor, found {ref}"
                )
            public = _unique(name, taken, "_")
            outputs.append(Output(public, self.values[ref].name))
        return tuple(outputs)

    def _unique(self, name: str) -> str:
        return _unique(name, self.names, "#")

    @staticmethod
    def _bad_call(call: Call) -> str:
        """What makes a call unusable whatever the shapes; empty when nothing does."""
        allowed = (1, 3) if call.layer.class_name in RECURRENT else (1,)
        if is_operation(call.layer) and call.layer.class_name in TAKE_NUMBERS and call.inputs:
            return ""  # its builder looks at tensors and numbers
        many = call.layer.class_name in MERGING and call.inputs
        if not many and len(call.inputs) not in allowed and call.layer.class_name in LAYERS:
            return f"inputs: expected {' or '.join(map(str, allowed))}, found {len(call.inputs)}"
        if options := {key: value for key, value in call.options.items() if value is not False}:
            return f"call arguments: expected none but tensors, found {shorten(options)}"
        return ""


def _unique(name: str, taken: set[str], separator: str) -> str:
    """``name``, or with a number behind it when it is taken; marks the result as taken."""
    result, count = name, 0
    while result in taken:
        count += 1
        result = f"{name}{separator}{count}"
    taken.add(result)
    return result
