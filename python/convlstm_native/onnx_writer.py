"""Spec -> portable ONNX: any runtime can run it, and ``read_onnx`` reads it back unchanged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from convlstm_native.errors import UnsupportedModelError
from convlstm_native.onnx_bodies import activation_function, layer_function
from convlstm_native.readers.onnx_contract import (
    ACTIVATION,
    ACTIVATION_SUFFIX,
    BATCH,
    DOMAIN,
    DOMAIN_VERSION,
    IR_VERSION,
    OPSET,
    SINGLE_OPERATORS,
    TIME,
    TIME_DENOTATION,
    Metadata,
    attribute_holds,
    encode_function,
    encode_layer,
    function_name,
    is_default,
    weight_names,
)
from convlstm_native.spec import (
    Activation,
    AveragePooling,
    BatchNormalization,
    Dense,
    Emit,
    Flatten,
    Function,
    Layer,
    MaxPooling,
    NetworkSpec,
    Node,
    Pooling,
    Repeat,
    Slice,
    Value,
    Window,
    describe,
)


def to_onnx(spec: NetworkSpec) -> onnx.ModelProto:
    """Write a network as ONNX, version 1 of the domain ``convlstm_native``.

    Sequences are float32 tensors ``(N, T, *shape)``, singles ``(N, *shape)``, with N and T free.
    Raises :class:`UnsupportedModelError` that lists every node without a portable form: layers
    joined by the rewrites, and whatever :meth:`NetworkSpec.values` refuses.
    """
    values = spec.values()
    writer = _Writer(spec, values)
    problems = []
    for node in spec.nodes:
        try:
            writer.write(node)
        except UnsupportedModelError as error:
            problems.append(f"{describe(node)}: {error}")
    if problems:
        raise UnsupportedModelError.from_problems(f"ONNX of network {spec.name!r}", problems)
    writer.write_outputs()
    return writer.model()


class _Writer:
    """The nodes, weights and functions of one model while it is written."""

    def __init__(self, spec: NetworkSpec, values: dict[str, Value]) -> None:
        self._spec = spec
        self._values = values
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._functions: dict[tuple[Any, ...], onnx.FunctionProto] = {}
        # A value whose name belongs to an output that shows another value gets another name.
        shown = {output.name: output.value for output in spec.outputs}
        self._taken = set(values) | set(shown)
        self._tensors = {
            name: name if shown.get(name, name) == name else self._fresh(name, "value")
            for name in values
        }
        renamed = [i.name for i in spec.inputs if self._tensors[i.name] != i.name]
        if renamed:
            raise UnsupportedModelError(
                f"input {renamed[0]!r}: an output of another value has the same name"
            )

    def write(self, node: Node) -> None:
        """Write one node of the spec as one or more ONNX nodes."""
        _OPERATORS.get(type(node.layer), _Writer.call)(self, node, node.layer)

    def write_outputs(self) -> None:
        """Give each output its public name."""
        for output in self._spec.outputs:
            if output.name != self._tensors[output.value]:
                name = self._fresh(output.name, "output")
                self._add("Identity", name, [self._tensors[output.value]], [output.name])

    def model(self) -> onnx.ModelProto:
        """The finished model."""
        spec, times = self._spec, self._times()
        graph = helper.make_graph(
            self._nodes,
            spec.name or "network",
            [_tensor_info(i.name, i.value, TIME) for i in spec.inputs],
            [_tensor_info(o.name, self._values[o.value], times[o.value]) for o in spec.outputs],
            self._weights,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)]
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            functions=list(self._functions.values()),
            ir_version=IR_VERSION,
            producer_name=DOMAIN,
        )
        metadata = Metadata(
            spec.name,
            spec.source,
            spec.notes,
            {i.name: i.preprocessing for i in spec.inputs if i.preprocessing is not None},
            {o.name: o.category for o in spec.outputs if o.category is not None},
        )
        helper.set_model_props(model, metadata.to_props())
        return model

    def _times(self) -> dict[str, str]:
        """The name of the time axis of every value: another one behind a change of the frame rate."""
        times = {i.name: TIME for i in self._spec.inputs}
        for node in self._spec.nodes:
            sequences = [name for name in node.inputs if self._values[name].sequence]
            changes = isinstance(node.layer, (Emit, Repeat, Window)) or not sequences
            time = f"{TIME} of {node.name}" if changes else times[sequences[0]]
            times |= dict.fromkeys(node.outputs, time)
        return times

    def call(self, node: Node, layer: Layer) -> None:
        """A layer as a call of its function."""
        joined = [
            name
            for name in sorted(layer.NOT_IN_FILES - {"initial_state"})
            if getattr(layer, name) != getattr(type(layer), name)
        ]
        if joined:
            raise UnsupportedModelError(
                f"expected the layer as read, found one joined by a rewrite ({', '.join(joined)})"
            )
        x, *others = (self._tensors[name] for name in node.inputs)
        arrays = {name: getattr(layer, name) for name in weight_names(type(layer))}
        weights = [
            "" if array is None else self._weight(node, name, array)
            for name, array in arrays.items()
        ]
        values = tuple(self._values[name] for name in node.inputs)
        attributes = encode_layer(layer)
        shapes = tuple(None if array is None else array.shape for array in arrays.values())
        function = self._function(
            type(layer).__name__,
            attributes,
            (values, shapes),
            lambda name: layer_function(name, layer, values, list(attributes)),
        )
        inputs = [x, *weights, *others]
        self._add(function, node.name, inputs, self._outputs(node), domain=DOMAIN, **attributes)

    def batch_normalization(self, node: Node, layer: BatchNormalization) -> None:
        # The rank of the constant tells the axis, also where that axis has length 1.
        (x,) = node.inputs
        shape = (-1, *[1] * (len(self._values[x].shape) - layer.axis - 1))
        scale = self._weight(node, "scale", layer.scale.reshape(shape))
        shift = self._weight(node, "shift", layer.shift.reshape(shape))
        scaled = self._fresh(node.name, "scaled")
        self._add("Mul", node.name, [self._tensors[x], scale], [scaled])
        self._add("Add", f"{node.name}/shift", [scaled, shift], self._outputs(node))

    def pooling(self, node: Node, layer: Pooling) -> None:
        (x,) = node.inputs
        value = self._values[x]
        skips = any(s > k for k, s in zip(layer.pool_size, layer.strides, strict=True))
        if not 1 <= len(value.shape) <= 3 or (skips and layer.padding == "same"):
            # More axes than runtimes pool over, or what they take for negative padding.
            self.call(node, layer)
            return
        operator = "MaxPool" if isinstance(layer, MaxPooling) else "AveragePool"
        window = {
            "kernel_shape": layer.pool_size,
            "strides": layer.strides,
            "auto_pad": "SAME_UPPER" if layer.padding == "same" else "VALID",
        }
        # The operators want two axes before those it pools: time is the second, and a single gets
        # one of length 1.
        if value.sequence:
            self._add(operator, node.name, [self._tensors[x]], self._outputs(node), **window)
            return
        axis = self._weight(node, "axis", np.array([1], np.int64))
        opened, pooled = self._fresh(node.name, "opened"), self._fresh(node.name, "pooled")
        self._add("Unsqueeze", f"{node.name}/open", [self._tensors[x], axis], [opened])
        self._add(operator, node.name, [opened], [pooled], **window)
        self._add("Squeeze", f"{node.name}/close", [pooled, axis], self._outputs(node))

    def dense(self, node: Node, layer: Dense) -> None:
        kernel = self._weight(node, "kernel", layer.kernel)
        bias = self._weight(node, "bias", layer.bias)
        linear = layer.activation == Function("linear")
        product = self._fresh(node.name, "product")
        summed = self._outputs(node) if linear else [self._fresh(node.name, "sum")]
        self._add("MatMul", node.name, [self._tensors[node.inputs[0]], kernel], [product])
        self._add("Add", f"{node.name}/bias", [product, bias], summed)
        if not linear:
            name = node.name + ACTIVATION_SUFFIX
            self._add_function(name, layer.activation, summed, self._outputs(node))

    def flatten(self, node: Node, _: Flatten) -> None:
        (x,), (y,) = node.inputs, node.outputs
        # 0 keeps N and T as they come.
        target = [0, 0] if self._values[x].sequence else [0]
        shape = self._weight(node, "shape", np.array([*target, *self._values[y].shape], np.int64))
        self._add("Reshape", node.name, [self._tensors[x], shape], self._outputs(node))

    def activation(self, node: Node, layer: Activation) -> None:
        inputs = [self._tensors[name] for name in node.inputs]
        self._add_function(node.name, layer.function, inputs, self._outputs(node))

    def slice(self, node: Node, layer: Slice) -> None:
        (x,) = node.inputs
        axis = layer.axis + (2 if self._values[x].sequence else 1)
        bounds = [
            self._weight(node, what, np.array([value], np.int64))
            for what, value in (("start", layer.start), ("stop", layer.stop), ("axis", axis))
        ]
        self._add("Slice", node.name, [self._tensors[x], *bounds], self._outputs(node))

    def _add_function(
        self, name: str, function: Function, inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        """An activation: the standard operator that says exactly the same, or else our function."""
        if function.name in SINGLE_OPERATORS and attribute_holds(function):
            operator, keys = SINGLE_OPERATORS[function.name]
            attributes = dict(zip(keys, function.parameters, strict=True))
            self._add(operator, name, inputs, outputs, **attributes)
        elif function.name == "relu" and is_default(function):
            self._add("Relu", name, inputs, outputs)
        else:
            attributes = encode_function("function", function)
            operator = self._function(
                ACTIVATION,
                attributes,
                (),
                lambda name: activation_function(name, function, list(attributes)),
            )
            self._add(operator, name, inputs, outputs, domain=DOMAIN, **attributes)

    def _function(
        self,
        kind: str,
        attributes: dict[str, Any],
        shapes: tuple[Any, ...],
        make: Callable[[str], onnx.FunctionProto],
    ) -> str:
        """Name of the function for this configuration, made when it is the first of its kind."""
        key = (kind, *(str(value) for value in attributes.values()), shapes)
        if key not in self._functions:
            number = 1 + sum(known[0] == kind for known in self._functions)
            self._functions[key] = make(function_name(kind, number))
        return self._functions[key].name

    def _add(
        self,
        operator: str,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        **attributes: Any,
    ) -> None:
        self._nodes.append(helper.make_node(operator, inputs, outputs, name=name, **attributes))

    def _outputs(self, node: Node) -> list[str]:
        return [self._tensors[name] for name in node.outputs]

    def _weight(self, node: Node, what: str, array: np.ndarray[Any, Any]) -> str:
        name = self._fresh(node.name, what)
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _fresh(self, owner: str, what: str) -> str:
        """A tensor name that no value of the spec and no other tensor has."""
        name = f"{owner}/{what}"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _tensor_info(name: str, value: Value, time: str) -> onnx.ValueInfoProto:
    """A tensor at the edge of the graph; ``time`` names the number of frames where it is open."""
    free = [BATCH, value.length or time] if value.sequence else [BATCH]
    dims = [*free, *value.shape]
    marks = ["" if i != 1 or not value.sequence else TIME_DENOTATION for i in range(len(dims))]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims, shape_denotation=marks)


# Layers that are standard operators; all others are calls.
_OPERATORS: dict[type[Layer], Callable[[_Writer, Node, Any], None]] = {
    AveragePooling: _Writer.pooling,
    BatchNormalization: _Writer.batch_normalization,
    MaxPooling: _Writer.pooling,
    Dense: _Writer.dense,
    Flatten: _Writer.flatten,
    Activation: _Writer.activation,
    Slice: _Writer.slice,
}
