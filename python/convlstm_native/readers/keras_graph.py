"""Keras model configs as one kind of graph: functional and sequential, of Keras 2 and Keras 3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from convlstm_native.errors import ModelFormatError, UnsupportedModelError

FUNCTIONAL_CLASSES = ("Functional", "Model")
SEQUENTIAL = "Sequential"
TIME_DISTRIBUTED = "TimeDistributed"


@dataclass(frozen=True)
class Ref:
    """The tensor that call number ``call`` of a layer gave out at position ``output``."""

    layer: str
    call: int
    output: int


@dataclass(frozen=True)
class LayerConfig:
    """A layer as the file describes it. ``module`` and ``registered`` tell whose class it is.

    ``model`` is the graph of a nested model; ``wrapped`` what a TimeDistributed does to each frame.
    """

    name: str
    class_name: str
    arguments: dict[str, Any]
    module: str | None = None
    registered: str | None = None
    model: Graph | None = None
    wrapped: LayerConfig | None = None

    @property
    def custom(self) -> bool:
        """Whether the class is the user's own code, which a file only names."""
        ours = self.module is None or self.module.split(".")[0] in (
            "keras",
            "tf_keras",
            "tensorflow",
            "builtins",
        )
        return not ours or ">" in (self.registered or "")


@dataclass(frozen=True)
class Call:
    """One call of a layer: its input tensors in order, its mask, and the other arguments.

    ``keys`` name the inputs where they came in a dict. ``per_frame`` is set within TimeDistributed.
    """

    layer: LayerConfig
    index: int
    inputs: tuple[Ref, ...]
    options: dict[str, Any] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    per_frame: bool = False
    mask: Ref | None = None

    @property
    def reads(self) -> tuple[Ref, ...]:
        """Every tensor that the call reads."""
        return self.inputs if self.mask is None else (*self.inputs, self.mask)


@dataclass(frozen=True)
class Graph:
    """A model config. ``calls`` are in an order in which they can run, input layers left out.

    ``input_names`` are those under which the model, when nested, can be handed its inputs.
    """

    name: str
    layers: tuple[LayerConfig, ...]
    inputs: tuple[LayerConfig, ...]
    calls: tuple[Call, ...]
    outputs: tuple[tuple[str, Ref], ...]
    input_names: tuple[str, ...] = ()


def expect(config: object, key: str, kind: type[Any] | tuple[type[Any], ...], where: str) -> Any:
    """``config[key]``, which must be there and of type ``kind``; else :class:`ModelFormatError`."""
    if not isinstance(config, dict):
        raise ModelFormatError(f"{where}: expected an object with {key!r}, found {shorten(config)}")
    if key not in config:
        raise ModelFormatError(
            f"{where}: expected {key!r}, found only {shorten(sorted(map(str, config)))}"
        )
    if not isinstance(config[key], kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(k.__name__ for k in kinds)
        raise ModelFormatError(
            f"{where}: expected {key!r} of type {names}, found {shorten(config[key])}"
        )
    return config[key]


def shorten(value: object) -> str:
    """``repr`` of a value from a file, cut to what a message can hold."""
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def parse_layer(config: object, where: str) -> LayerConfig:
    """A serialized layer. The name stands beside the class (functional) or among the arguments."""
    class_name = expect(config, "class_name", str, where)
    arguments = expect(config, "config", (dict, list), where)
    assert isinstance(config, dict)
    if isinstance(arguments, list):  # a nested Sequential of Keras before 2.2.3
        arguments = {"layers": arguments}
    name = config.get("name") or arguments.get("name")
    if not isinstance(name, str):
        raise ModelFormatError(f"{where}: expected a name of {class_name}, found {shorten(name)}")
    module, registered = (
        value if isinstance(value := config.get(key), str) else None
        for key in ("module", "registered_name")
    )
    layer = LayerConfig(name, class_name, arguments, module, registered)
    where = f"{where}, {class_name} {name!r}"
    if layer.custom:
        return layer
    if class_name == TIME_DISTRIBUTED:
        inner = expect(arguments, "layer", dict, where)
        # An inner layer without a name goes by that of the wrapper.
        return replace(layer, wrapped=parse_layer({"name": name, **inner}, where))
    if class_name in (SEQUENTIAL, *FUNCTIONAL_CLASSES) and "layers" in arguments:
        return replace(layer, model=_parse_model(class_name, arguments, where))
    return layer


def parse_graph(model: object, where: str) -> Graph:
    """The graph of a whole-model config, ``{"class_name": ..., "config": ...}``.

    Raises :class:`ModelFormatError` when the config is damaged, :class:`UnsupportedModelError` when
    the model is neither functional nor sequential.
    """
    class_name = expect(model, "class_name", str, where)
    assert isinstance(model, dict)
    config = expect(model, "config", (dict, list), where)
    known = class_name == SEQUENTIAL or (class_name in FUNCTIONAL_CLASSES and "layers" in config)
    if not known:
        raise UnsupportedModelError(
            f"{where}: expected a Functional or Sequential model, found the class {class_name!r}, "
            "whose Python code the file does not hold (a subclass of Model; rebuild it with "
            "keras.Model(inputs, outputs) and save that)"
        )
    try:
        return _parse_model(class_name, config, where)
    except RecursionError as error:
        raise ModelFormatError(f"{where}: expected fewer models within models") from error


def _parse_model(class_name: str, config: Any, where: str) -> Graph:
    return (_sequential if class_name == SEQUENTIAL else _functional)(config, where)


def _unique_layers(entries: list[Any], where: str) -> tuple[LayerConfig, ...]:
    layers = tuple(parse_layer(entry, f"{where}, layer {i}") for i, entry in enumerate(entries))
    names = [layer.name for layer in layers]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ModelFormatError(
            f"{where}: expected layer names to differ, found {repeated} more than once"
        )
    return layers


def _sequential(config: dict[str, Any] | list[Any], where: str) -> Graph:
    """A chain of layers. Keras before 2.2.3 wrote the list alone, without a name."""
    if isinstance(config, list):
        config = {"layers": config}
    layers = _unique_layers(expect(config, "layers", list, where), where)
    if not layers:
        raise ModelFormatError(f"{where}: expected layers in the Sequential model, found none")
    if layers[0].class_name != "InputLayer":
        shape = _first_shape(layers[0]) or config.get("build_input_shape")
        entry = LayerConfig(f"{layers[0].name}_input", "InputLayer", {"batch_shape": shape})
        layers = (entry, *layers)
    calls = tuple(Call(layer, 0, (Ref(before.name, 0, 0),)) for before, layer in pairwise(layers))
    last = layers[-1].name
    return Graph(
        str(config.get("name") or "sequential"),
        layers,
        layers[:1],
        calls,
        ((last, Ref(last, 0, 0)),),
        (layers[0].name,),
    )


def _first_shape(layer: LayerConfig) -> Any:
    """Batch shape that the first layer of a Sequential model says it reads, None if it does not."""
    for key in ("batch_shape", "batch_input_shape"):
        if layer.arguments.get(key):
            return layer.arguments[key]
    return _first_shape(layer.model.inputs[0]) if layer.model else None


def _functional(config: dict[str, Any], where: str) -> Graph:
    entries = expect(config, "layers", list, where)
    layers = _unique_layers(entries, where)
    by_name = {layer.name: layer for layer in layers}
    calls = [
        _parse_call(layer, index, node, f"{where}, layer {layer.name!r}")
        for layer, entry in zip(layers, entries, strict=True)
        if layer.class_name != "InputLayer"
        for index, node in enumerate(
            expect(entry, "inbound_nodes", list, f"{where}, layer {layer.name!r}")
        )
    ]
    ends = list(_endpoints(config, "input_layers", where))
    inputs = [by_name.get(ref.layer) for _, ref in ends]
    if not inputs or not all(layer and layer.class_name == "InputLayer" for layer in inputs):
        raise ModelFormatError(
            f"{where}: expected 'input_layers' to name input layers, "
            f"found {shorten(config['input_layers'])}"
        )
    outputs = list(_endpoints(config, "output_layers", where))
    if not outputs:
        raise ModelFormatError(f"{where}: expected outputs, found none")
    nodes = [node for entry in entries for node in entry.get("inbound_nodes") or ()]
    keras_3 = any(isinstance(node, dict) for node in nodes)
    calls, outputs = _counted_from_zero(calls, outputs, keras_3)
    return Graph(
        str(config.get("name") or "model"),
        layers,
        tuple(layer for layer in inputs if layer),
        _in_order(calls, layers, [ref for _, ref in outputs], where),
        tuple(outputs),
        tuple(name for name, _ in ends),
    )


def _counted_from_zero(
    calls: list[Call], outputs: list[tuple[str, Ref]], keras_3: bool
) -> tuple[list[Call], list[tuple[str, Ref]]]:
    """Calls of nested models by their place in ``inbound_nodes``.

    A functional model's own making counts as its call 0, so that its first call is 1: in Keras 3 only
    where the outputs of the outer model are named, in Keras 2 everywhere, and there for a Sequential
    model as well if it began with an input layer. Every call in a file is read by something, so the
    least number that is read tells whether that was so.
    """
    nested = {call.layer.name: call.layer.class_name for call in calls if call.layer.model}
    read = [ref for call in calls for ref in call.reads]
    if keras_3:
        first = {name: int(kind in FUNCTIONAL_CLASSES) for name, kind in nested.items()}
    else:
        read += [ref for _, ref in outputs]
        first = {
            name: min((ref.call for ref in read if ref.layer == name), default=0) for name in nested
        }

    def shifted(ref: Ref) -> Ref:
        return replace(ref, call=ref.call - first.get(ref.layer, 0))

    if not keras_3:
        calls = [
            replace(
                call,
                inputs=tuple(map(shifted, call.inputs)),
                mask=None if call.mask is None else shifted(call.mask),
            )
            for call in calls
        ]
    return calls, [(name, shifted(ref)) for name, ref in outputs]


def _endpoints(config: dict[str, Any], key: str, where: str) -> Iterator[tuple[str, Ref]]:
    """Name and tensor of each model input or output.

    A name is that of the layer, or the key where the model takes or gives a dict (in sorted order,
    as Keras flattens it).
    """

    def walk(value: object, name: str | None) -> Iterator[tuple[str, Ref]]:
        if ref := _as_ref(value):
            yield name or ref.layer, ref
        elif isinstance(value, list):
            for item in value:
                yield from walk(item, name)
        elif isinstance(value, dict):
            for item_name in sorted(value):
                yield from walk(value[item_name], item_name)
        else:
            raise ModelFormatError(f"{where}: expected layers in {key!r}, found {shorten(value)}")

    yield from walk(expect(config, key, (list, dict), where), None)


def _as_ref(value: object) -> Ref | None:
    """A tensor as ``[layer, call, output]`` or as Keras 3's ``__keras_tensor__`` object."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        config = value.get("config")
        value = config.get("keras_history") if isinstance(config, dict) else None
    if (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(isinstance(item, int) and item >= 0 for item in value[1:3])
    ):
        return Ref(value[0], value[1], value[2])
    return None


def _refs(value: object) -> Iterator[Ref]:
    """Every tensor within nested arguments, in order."""
    if ref := _as_ref(value):
        yield ref
    elif isinstance(value, (list, dict)):
        for item in map(value.get, sorted(value)) if isinstance(value, dict) else value:
            yield from _refs(item)


def _parse_call(layer: LayerConfig, index: int, node: object, where: str) -> Call:
    """One entry of ``inbound_nodes``.

    Keras 3 writes ``{"args": ..., "kwargs": ...}``; Keras 2 a list of ``[layer, call, output,
    kwargs]``. The initial state of a recurrent layer stands among the tensors or under the keyword
    ``initial_state``.
    """
    if isinstance(node, dict):
        positional = expect(node, "args", list, where)
        options = dict(expect(node, "kwargs", dict, where))
        options.update(
            {
                f"argument {i}": item
                for i, item in enumerate(positional)
                if next(_refs(item), None) is None
            }
        )
    elif isinstance(node, list):
        positional = node
        options = {}
        for entry in [node, *node]:
            if isinstance(entry, list) and len(entry) == 4 and isinstance(entry[3], dict):
                options.update(entry[3])
    else:
        raise ModelFormatError(
            f"{where}: expected a call in 'inbound_nodes', found {shorten(node)}"
        )
    inputs = (*_refs(positional), *_refs(options.pop("initial_state", None)))
    if mask := _as_ref(options.get("mask")):
        del options["mask"]
    options = {key: value for key, value in options.items() if not _all_null(value)}
    return Call(layer, index, inputs, options, _keys(positional), mask=mask)


def _all_null(value: object) -> bool:
    """Null, or lists and objects of nothing else, as the masks of several inputs are."""
    if isinstance(value, (list, dict)):
        return all(map(_all_null, value.values() if isinstance(value, dict) else value))
    return value is None


def _keys(positional: object) -> tuple[str, ...]:
    """Names of the inputs where they are handed over as one dict of tensors, in Keras' order."""
    only = positional[0] if isinstance(positional, list) and len(positional) == 1 else positional
    if not isinstance(only, dict) or not all(_as_ref(value) for value in only.values()):
        return ()
    return tuple(sorted(only))


def _in_order(
    calls: list[Call], layers: tuple[LayerConfig, ...], outputs: list[Ref], where: str
) -> tuple[Call, ...]:
    """``calls`` so that each comes after what it reads; checks that each output is made."""
    ready = {(layer.name, 0) for layer in layers if layer.class_name == "InputLayer"}
    ordered: list[Call] = []
    waiting = calls
    while waiting:
        runnable = [c for c in waiting if all((r.layer, r.call) in ready for r in c.reads)]
        if not runnable:
            names = sorted({call.layer.name for call in waiting})
            raise ModelFormatError(
                f"{where}: expected inputs that exist and no loop, found neither for {names}"
            )
        ready.update((call.layer.name, call.index) for call in runnable)
        ordered += runnable
        done = {id(call) for call in runnable}
        waiting = [call for call in waiting if id(call) not in done]
    if missing := [ref.layer for ref in outputs if (ref.layer, ref.call) not in ready]:
        raise ModelFormatError(f"{where}: expected outputs made by its layers, found {missing}")
    return tuple(ordered)
