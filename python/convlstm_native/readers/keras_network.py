"""A Keras file to a :class:`NetworkSpec`: layers placed, identities dropped, shapes checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from convlstm_native.errors import ModelFormatError, UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_files import KerasFile
from convlstm_native.readers.keras_graph import Call, Graph, Ref, shorten
from convlstm_native.readers.keras_layers import (
    LAYERS,
    MASK_OPERATIONS,
    MERGING,
    PREPROCESSING,
    RECURRENT,
    parse,
)
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Tensor
from convlstm_native.readers.keras_layers.masks import (
    Flags,
    carry,
    with_mask,
)
from convlstm_native.readers.keras_layers.operations import (
    TAKE_NUMBERS,
    is_operation,
)
from convlstm_native.readers.keras_nesting import flatten
from convlstm_native.readers.keras_time import batch_shape, sequence_inputs
from convlstm_native.spec import Emit, Input, Layer, NetworkSpec, Node, Output


def to_spec(file: KerasFile) -> NetworkSpec:
    """The network in ``file``.

    Raises :class:`UnsupportedModelError` that lists every problem, :class:`ModelFormatError` when
    weights are missing or do not fit the layers.
    """
    graph = flatten(file.graph, file.where)
    builders, problems, notes = _parse_layers(graph, file.major)
    if not file.version:
        notes.insert(
            0, "the file names no Keras version: read as Keras 1, whose hard_sigmoid is 0.2 x + 0.5"
        )
    assembly = _assemble(file, graph, builders)
    if problems := problems + assembly.problems:
        raise UnsupportedModelError.from_problems(f"{file.where}: model {graph.name!r}", problems)
    outputs = assembly.outputs()
    return NetworkSpec(
        name=graph.name,
        inputs=tuple(assembly.inputs),
        nodes=tuple(assembly.nodes),
        outputs=outputs,
        source=f"Keras {file.version or '1'}",
        notes=tuple(notes),
    )


def _parse_layers(graph: Graph, major: int) -> tuple[dict[str, Builder], list[str], list[str]]:
    """What builds each layer, by layer name; the problems found; the notes for the user."""
    builders: dict[str, Builder] = {}
    problems: list[str] = []
    precise: dict[str, list[str]] = {}
    for layer in graph.layers:
        if layer.model:
            continue  # called with arguments, which the assembly reports
        arguments = Arguments(layer, major)
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


def _assemble(file: KerasFile, graph: Graph, builders: dict[str, Builder]) -> _Assembly:
    """The network for any number of frames if it can be had, else for the number in the file."""
    lengths = {}
    for layer in graph.inputs:
        shape = batch_shape(layer)
        lengths[layer.name] = shape[1] if len(shape) > 1 else None
    free = _Assembly(file, graph, builders, dict.fromkeys(lengths)).run()
    known = any(length is not None for length in lengths.values())
    frames = {lengths[i.name] for i in free.inputs if i.sequence and i.name in lengths}
    if known and (free.problems or free.lengths_differ or len(frames) > 1):
        return _Assembly(file, graph, builders, lengths).run()
    return free


@dataclass
class _Assembly:
    """The network under construction. ``values``: what each Keras tensor became, name and shape.

    A tensor that a problem left unknown is missing there, and so is all that depends on it.
    ``lengths`` are the frames of each input that is a sequence. ``lengths_differ`` is set when a layer
    reads a sequence of any length beside one of known length: the first is then not free.
    """

    file: KerasFile
    graph: Graph
    builders: dict[str, Builder]
    lengths: dict[str, int | None]
    problems: list[str] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    values: dict[Ref, Tensor] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    lengths_differ: bool = False

    def run(self) -> _Assembly:
        """Place everything; gives back itself."""
        self.add_inputs()
        for call in self.graph.calls:
            self.add_call(call)
        return self

    def add_inputs(self) -> None:
        """Every input layer in the model's order."""
        sequences = sequence_inputs(self.graph)
        for layer in self.graph.inputs:
            is_sequence = layer.name in sequences
            lead = 2 if is_sequence else 1
            whole = batch_shape(layer)
            shape = tuple(whole[lead:])
            known = tuple(n for n in shape if n is not None)
            if not shape or known != shape:
                axes = [i + lead for i, n in enumerate(shape) if n is None]
                found = f"{whole}, open at axis {axes}" if axes else str(whole)
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
            length = self.lengths[layer.name] if is_sequence else None
            given = Input(self._unique(layer.name), known, is_sequence, length=length)
            in_step = {i.length for i in self.inputs if i.sequence} <= {length, None}
            if length is not None and not in_step:
                # Frames come in step with those of the inputs before; these are given at once.
                given = replace(given, shape=(length, *known), sequence=False, length=None)
            self.inputs.append(given)
            tensor = Tensor(given.name, given.value)
            if is_sequence and not given.sequence:
                (tensor,) = self._add_node(layer.name, Emit(), (tensor,))
            self.values[Ref(layer.name, 0, 0)] = tensor

    def add_call(self, call: Call) -> None:
        """One call of a layer: a node, or for an identity just another name of its input."""
        name = call.layer.name if call.index == 0 else f"{call.layer.name}#{call.index}"
        what = f"{call.layer.class_name} {name!r}"
        if call.layer.name not in self.builders and not call.layer.model:
            return  # what it lacks is told
        if bad := self._bad_call(call):
            self.problems.append(f"{what}: {bad}")
            return
        ready = all(ref in self.values for ref in call.reads)
        if call.layer.name not in self.builders or not ready:
            return
        kind = call.layer.class_name
        try:
            known = with_mask(
                [self.values[ref] for ref in call.inputs],
                None if call.mask is None else self.values[call.mask],
                kind,
            )
        except UnsupportedModelError as error:
            self.problems.append(f"{what}: {error}")
            return
        site = CallSite(
            inputs=known,
            lead=2 if known[0].value.sequence and not call.per_frame else 1,
            weights=self.file.weights.get(call.layer.name, ()),
            add=lambda layer, inputs: self._add_node(name, layer, inputs),
            options=call.options,
            flip=self.file.backend == "theano",
            per_frame=call.per_frame,
        )
        before = len(self.nodes)
        try:
            if call.per_frame:
                site = replace(site, inputs=tuple(map(site.as_sequence, site.inputs)))
            made = self.builders[call.layer.name](site)
            if kind not in RECURRENT:
                made = carry(call, site, known, made)
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
        values = [tensor.value for tensor in inputs]
        made = layer.infer(values)
        lengths = {value.length is None for value in values if value.sequence}
        self.lengths_differ |= len(lengths) > 1
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
        for name, ref in self.graph.outputs:
            if ref not in self.values:
                raise ModelFormatError(
                    f"{self.file.where}: output {name!r}: expected a tensor, found {ref}"
                )
            if isinstance(self.values[ref], Flags):
                raise UnsupportedModelError(
                    f"{self.file.where}: output {name!r}: expected numbers, found booleans"
                )
            public = _unique(name, taken, "_")
            outputs.append(Output(public, self.values[ref].name))
        return self._told_apart(outputs)

    def _told_apart(self, outputs: list[Output]) -> tuple[Output, ...]:
        """``outputs``, where no other value has the name of one: such a value gets another name.

        A file has one name for both, and the public one stays.
        """
        shown = {output.name: output.value for output in outputs}
        made = {value for node in self.nodes for value in node.outputs}
        renamed = {
            name: self._unique(f"{name}#value")
            for name, value in shown.items()
            if name != value and name in made
        }

        def names(given: Sequence[str]) -> tuple[str, ...]:
            return tuple(renamed.get(one, one) for one in given)

        self.nodes = [
            replace(node, inputs=names(node.inputs), outputs=names(node.outputs))
            for node in self.nodes
        ]
        return tuple(replace(output, value=names([output.value])[0]) for output in outputs)

    def _unique(self, name: str) -> str:
        return _unique(name, self.names, "#")

    @staticmethod
    def _bad_call(call: Call) -> str:
        """What makes a call unusable whatever the shapes; empty when nothing does."""
        kind = call.layer.class_name
        if is_operation(call.layer) and kind in TAKE_NUMBERS and call.inputs:
            return ""  # its builder looks at tensors and numbers
        several = {*RECURRENT, *MERGING} if call.inputs else set()
        if len(call.inputs) != 1 and kind in LAYERS and kind not in several:
            return f"inputs: expected 1, found {len(call.inputs)}"
        if call.per_frame and kind in RECURRENT:
            return "expected a layer that works on one frame within TimeDistributed, found this one"
        if kind in MASK_OPERATIONS:
            return ""  # its builder looks at numbers, too
        # Keras notes the default of its preprocessing layers, which predict() overrides.
        own = {"training"} if kind in PREPROCESSING else set()
        given = {key: value for key, value in call.options.items() if key not in own}
        if options := {key: value for key, value in given.items() if value is not False}:
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
