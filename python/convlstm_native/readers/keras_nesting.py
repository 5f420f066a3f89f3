"""Models within models, and layers within TimeDistributed, as one flat graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from convlstm_native.errors import ModelFormatError, UnsupportedModelError
from convlstm_native.readers.keras_graph import TIME_DISTRIBUTED, Call, Graph, LayerConfig, Ref

# No one calls so many layers; a small file can ask for it by models that call each other twice.
MOST_CALLS = 100_000


def flatten(graph: Graph, where: str) -> Graph:
    """``graph`` with every nested model replaced by its layers, at each of its calls.

    A layer within the model ``inner`` is called ``inner/layer``. A layer within a TimeDistributed goes
    by the name of the wrapper, and its calls are :attr:`Call.per_frame`.

    Raises :class:`ModelFormatError` when a nested model is called with other inputs than it has.
    """
    flat = _Flat(where)
    inputs = [Ref(layer.name, 0, 0) for layer in graph.inputs]
    outputs = flat.add_model(graph, "", inputs, per_frame=False)
    names = [name for name, _ in graph.outputs]
    return replace(
        graph,
        layers=tuple(flat.layers.values()),
        calls=tuple(flat.calls),
        outputs=tuple(zip(names, outputs, strict=True)),
    )


@dataclass
class _Flat:
    where: str
    layers: dict[str, LayerConfig] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    turns: Counter[str] = field(default_factory=Counter)  # calls of each model, by its prefix

    def add_model(
        self, graph: Graph, prefix: str, inputs: Sequence[Ref], per_frame: bool
    ) -> list[Ref]:
        """One call of a model; gives back its outputs."""
        # What each call within the model gave out: a flat call, or the outputs of a nested model.
        made: dict[tuple[str, int], Ref | list[Ref]] = {
            (layer.name, 0): [ref] for layer, ref in zip(graph.inputs, inputs, strict=True)
        }

        def resolve(ref: Ref) -> Ref:
            found = made[ref.layer, ref.call]
            if isinstance(found, Ref):
                return replace(found, output=ref.output)
            if ref.output >= len(found):
                raise ModelFormatError(
                    f"{self.where}: {prefix}{ref.layer}: expected output {ref.output}, "
                    f"found {len(found)} output(s)"
                )
            return found[ref.output]

        calls = Counter(call.layer.name for call in graph.calls)
        for call in graph.calls:
            numbered = replace(
                call,
                index=self.turns[prefix] * calls[call.layer.name] + call.index,
                inputs=tuple(map(resolve, call.inputs)),
                per_frame=per_frame,
            )
            made[call.layer.name, call.index] = self._add_call(numbered, prefix)
        self.turns[prefix] += 1
        return [resolve(ref) for _, ref in graph.outputs]

    def _add_call(self, call: Call, prefix: str) -> Ref | list[Ref]:
        name, layer, per_frame = prefix + call.layer.name, call.layer, call.per_frame
        if layer.class_name == TIME_DISTRIBUTED and layer.wrapped and not per_frame:
            layer, per_frame = layer.wrapped, True
        used = any(value is not False for value in call.options.values())
        if layer.model and not used:
            ordered = self._in_order_of(layer.model, call, name)
            return self.add_model(layer.model, f"{name}/", ordered, per_frame)
        self.layers[name] = replace(layer, name=name)
        self.calls.append(replace(call, layer=self.layers[name], per_frame=per_frame))
        if len(self.calls) > MOST_CALLS:
            raise UnsupportedModelError(
                f"{self.where}: expected at most {MOST_CALLS} calls of layers, found more"
            )
        return Ref(name, call.index, 0)

    def _in_order_of(self, model: Graph, call: Call, name: str) -> Sequence[Ref]:
        """Inputs of a nested model in its own order: a dict goes by the names of its inputs."""
        inputs = call.inputs
        if len(inputs) != len(model.inputs):
            raise ModelFormatError(
                f"{self.where}: {name!r}: expected {len(model.inputs)} input(s) of the nested model, "
                f"found {len(inputs)}"
            )
        if len(call.keys) == len(inputs):
            given = dict(zip(call.keys, inputs, strict=True))
            for names in (model.input_names, [layer.name for layer in model.inputs]):
                if set(names) == set(given):
                    return [given[key] for key in names]
        return inputs
