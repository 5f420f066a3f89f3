"""Where the weights of each layer lie in the HDF5 file that Keras wrote, nested models included.

Weights go by the names of the flat graph (:mod:`keras_nesting`): ``inner/layer`` is a layer of the
nested model ``inner``, and what a TimeDistributed wraps goes by the name of the wrapper.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import h5py

from convlstm_native.errors import ModelFormatError
from convlstm_native.readers.keras_graph import Graph, LayerConfig, shorten
from convlstm_native.readers.keras_hdf5 import array, attribute, child, text
from convlstm_native.spec import Array

Weights = Iterator[tuple[str, tuple[Array, ...]]]

# The groups of a model's layers in an archive: of Keras 2.12 and 2.13, which count each layer that has
# weights twice, and of all later ones.
COUNTED_TWICE, LAYERS = "_layer_checkpoint_dependencies", "layers"
# Objects within a layer that hold its weights, in the order of Keras' get_weights.
PARTS = ("forward_layer", "backward_layer", "layer", "cell", "cells")


def is_archive(file: h5py.File) -> bool:
    """Whether the file has the layout of ``.keras`` archives and ``.weights.h5``."""
    if "layer_names" in file.attrs:
        return False  # a layer may well be called "layers"
    groups = {name.replace("\\", "/").split("/")[0] for name in file}
    return not groups.isdisjoint((LAYERS, COUNTED_TWICE))


def archive_weights(file: h5py.File, graph: Graph) -> Weights:
    """Weights by layer of an archive: ``layers/<class>_<count>/.../vars/0, 1, ...``.

    A layer goes by its class and its place among those of the class, not by its name.
    """
    yield from _Archive(file).model(graph, "", "")


def legacy_weights(group: h5py.Group, graph: Graph) -> Weights:
    """Weights by layer of a whole HDF5 model, and of a file that Keras 2 saved weights to.

    Each layer of the outermost model has a group with the order of its weights in ``weight_names``.
    """
    for layer in graph.layers:
        if layer.name in group:
            owner = child(group, layer.name)
            names = _weight_names(owner, layer)
            model = (layer.wrapped or layer).model
            owners = _owners(names, model, layer.name) if model else {layer.name: names}
            for name, own in owners.items():
                yield name, tuple(array(child(owner, weight)) for weight in own)


class _Archive:
    """The groups of an archive by path; Keras on Windows wrote backslashes between the parts."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        names: list[str] = []
        file.visit(names.append)
        self._names = {name.replace("\\", "/"): name for name in names}
        # A name with backslashes brings no groups for its parts.
        self._paths = {
            "/".join(parts[: i + 1])
            for parts in (path.split("/") for path in self._names)
            for i in range(len(parts))
        }
        # A layer of two models is written once: where the first model that has it lies.
        self._written: dict[str, str] = {}

    def model(self, graph: Graph, group: str, prefix: str) -> Weights:
        """Weights of the model at ``group``, its layers' names behind ``prefix``."""
        twice = _join(group, COUNTED_TWICE) in self._paths
        layers = _join(group, COUNTED_TWICE if twice else LAYERS)
        count: Counter[str] = Counter()
        for layer in graph.layers:
            key = _snake_case(layer.class_name)
            own = f"{layers}/{key}_{count[key]}" if count[key] else f"{layers}/{key}"
            found = dict(self._layer(layer, own, prefix + layer.name))
            yield from found.items()
            count[key] += 2 if twice and any(found.values()) else 1

    def _layer(self, layer: LayerConfig, group: str, name: str) -> Weights:
        if layer.wrapped:
            yield from self._layer(layer.wrapped, f"{group}/layer", name)
            return
        identity = _identity(layer)
        if group in self._paths:
            self._written.setdefault(identity, group)
        else:
            group = self._written.get(identity, group)
        if layer.model:
            yield from self.model(layer.model, group, f"{name}/")
        else:
            yield name, tuple(self._arrays(group, layer.arguments))

    def _arrays(self, group: str, config: Any) -> Iterator[Array]:
        """The arrays at ``group``, of an object that ``config`` describes or whose owner it does."""
        parts = [f"{group}/{part}" for part in PARTS if f"{group}/{part}" in self._paths]
        if group.endswith("/cells"):
            parts = [f"{group}/{cell}" for cell in _stacked(config)]
        for part in parts:
            own = config.get(part.rpartition("/")[2]) if isinstance(config, dict) else None
            yield from self._arrays(part, own or config)
        if not parts and f"{group}/vars" in self._names:
            variables = child(self._file, self._names[f"{group}/vars"])
            for i in range(len(variables)):
                yield array(child(variables, str(i)))


def _stacked(config: Any) -> list[str]:
    """Groups of the cells of the first StackedRNNCells within a config, in the order of the cells."""
    if not isinstance(config, dict):
        return []
    cells = config.get("cells")
    if isinstance(cells, list):
        count: Counter[str] = Counter()
        names = []
        for cell in cells:
            key = _snake_case(str(cell.get("class_name"))) if isinstance(cell, dict) else ""
            names.append(f"{key}_{count[key]}" if count[key] else key)
            count[key] += 1
        return names
    return next(filter(None, map(_stacked, config.values())), [])


def _identity(layer: LayerConfig) -> str:
    """The same for a layer wherever the config shows it."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(value[key]) for key in value if key != "shared_object_id"}
        return [plain(item) for item in value] if isinstance(value, list) else value

    return json.dumps([layer.name, layer.class_name, plain(layer.arguments)], sort_keys=True)


def _join(group: str, name: str) -> str:
    return f"{group}/{name}" if group else name


def _snake_case(name: str) -> str:
    """Keras' own rule: ``ConvLSTM2D`` is ``conv_lstm2d``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _weight_names(owner: h5py.Group, layer: LayerConfig) -> list[str]:
    """The attribute ``weight_names``; a long one is cut into ``weight_names0``, ``...1``, ..."""
    parts = [attribute(owner, "weight_names")]
    if parts[0] is None:
        count = len(owner.attrs)
        parts = [attribute(owner, f"weight_names{i}") for i in range(count)]
    names = [text(name) for part in parts if part is not None for name in part]
    if not all(names):
        raise ModelFormatError(f"weights of {layer.name!r}: expected names, found {shorten(names)}")
    return names


def _owners(names: list[str], model: Graph, prefix: str) -> dict[str, list[str]]:
    """Weight names of a nested model by the layer that each belongs to, in the order of the file.

    The file lists all that can be trained before all that cannot, so the names tell: one such as
    ``conv/kernel:0`` or ``inner/conv/kernel`` holds that of its layer, and maybe those of models around
    it.
    """
    leaves = list(_leaves(model, prefix, ()))
    owned: dict[str, list[str]] = {name: [] for name, _, _ in leaves}
    for weight in names:
        parts = set(weight.split("/")[:-1])
        fits = [
            (len(parts.intersection(around)) - len(around), name)
            for name, own, around in leaves
            if not parts.isdisjoint(own)
        ]
        if not fits:
            raise ModelFormatError(
                f"weights of {prefix!r}: expected names that hold one of its layers' "
                f"({shorten([leaf[0] for leaf in leaves])}), found {weight!r}"
            )
        best = max(fit for fit, _ in fits)
        owned[next(name for fit, name in fits if fit == best)].append(weight)
    return owned


def _leaves(
    model: Graph, prefix: str, around: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Of each layer in the model: its flat name, the names it goes by, and those of models around."""
    for layer in model.layers:
        if layer.class_name == "InputLayer":
            continue
        name = f"{prefix}/{layer.name}"
        inner = layer.wrapped or layer
        own = (layer.name, inner.name)
        if inner.model:
            yield from _leaves(inner.model, name, (*around, *own))
        else:
            yield name, own, around
