"""Keras model configs as one kind of graph: functional and sequential, of Keras 2 and Keras 3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from convlstm_native.errors import ModelFormatError, UnsupportedModelError

FUNCTIONAL_CLASSES = ("Functional", "Model")


@dataclass(frozen=True)
class Ref:
    """The tensor that call number ``call`` of a layer gave out at position ``output``."""

    layer: str
    call: int
    output: int


@dataclass(frozen=True)
class LayerConfig:
    """A layer as the file describes it. ``module`` and ``registered`` tell whose class it is."""

    name: str
    class_name: str
    arguments: dict[str, Any]
    module: str | None = None
    registered: str | None = None

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
    """One call of a layer: its input tensors in order, and the other arguments."""

    layer: LayerConfig
    index: int
    inputs: tuple[Ref, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A model config. ``calls`` are in an order in which they can run, input layers left out."""

    name: str
    layers: tuple[LayerConfig, ...]
    inputs: tuple[LayerConfig, ...]
    calls: tuple[Call, ...]
    outputs: tuple[tuple[str, Ref], ...]


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
    return LayerConfig(name, class_name, arguments, module, registered)


def parse_graph(model: object, where: str) -> Graph:
    """The graph of a whole-model config, ``{"class_name": ..., "config": ...}``.

    Raises :class:`ModelFormatError` when the config is damaged, :class:`UnsupportedModelError` when
    the model is neither functional nor sequential.
    """
    class_name = expect(model, "class_name", str, where)
    assert isinstance(model, dict)
    config = expect(model, "config", (dict, list), where)
    if class_name == "Sequential":
        return _sequential(config, where)
    if class_name not in FUNCTIONAL_CLASSES or "layers" not in config:
        raise UnsupportedModelError(
            f"{where}: expected a Functional or Sequential model, found the class {class_name!r}, "
            "whose Python code the file does not hold"
        )
    return _functional(config, where)


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
        shape = layers[0].arguments.get("batch_input_shape") or config.get("build_input_shape")
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
    )


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
    inputs = [by_name.get(ref.layer) for _, ref in _endpoints(config, "input_layers", where)]
    if not inputs or not all(layer and layer.class_name == "InputLayer" for layer in inputs):
        raise ModelFormatError(
            f"{where}: expected 'input_layers' to name input layers, "
            f"found {shorten(config['input_layers'])}"
        )
    outputs = tuple(_endpoints(config, "output_layers", where))
    if not outputs:
        raise ModelFormatError(f"{where}: expected outputs, found none")
    return Graph(
        str(config.get("name") or "model"),
        layers,
        tuple(layer for layer in inputs if layer),
        _in_order(calls, layers, [ref for _, ref in outputs], where),
        outputs,
    )


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
        for item in value.values() if isinstance(value, dict) else value:
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
    return Call(
        layer, index, inputs, {key: value for key, value in options.items() if value is not None}
    )


def _in_order(
    calls: list[Call], layers: tuple[LayerConfig, ...], outputs: list[Ref], where: str
) -> tuple[Call, ...]:
    """``calls`` so that each comes after what it reads; checks that each output is made."""
    ready = {(layer.name, 0) for layer in layers if layer.class_name == "InputLayer"}
    ordered: list[Call] = []
    waiting = calls
    while waiting:
        runnable = [c for c in waiting if all((r.layer, r.call) in ready for r in c.inputs)]
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
