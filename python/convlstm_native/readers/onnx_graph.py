"""An ONNX file opened with care: checked, its constants folded, its tensors indexed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, numpy_helper

from convlstm_native.errors import ModelFormatError, UnsupportedModelError
from convlstm_native.readers.onnx_contract import DOMAIN, DOMAIN_VERSION, OLDEST_OPSET

Constant = NDArray[Any]


def parse_onnx(data: bytes, where: str) -> onnx.ModelProto:
    """Parse the bytes of an ONNX file; ``where`` names it in messages.

    Raises :class:`ModelFormatError` when they are no ONNX model.
    """
    begin = f"{len(data)} bytes that begin with {data[:16]!r}" if data else "an empty file"
    expected = f"{where}: expected an ONNX model, a .keras archive or an HDF5 file, found {begin}"
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise ModelFormatError(f"{expected} ({error})") from error
    if not proto.HasField("graph") or not proto.ir_version:
        raise ModelFormatError(f"{expected}, no graph in them")
    return proto


def describe(node: onnx.NodeProto) -> str:
    """How messages call an ONNX node: operator and name, or its first output without a name."""
    operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    name = node.name or next(iter(node.output), "")
    return f"{operator} {name!r}"


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes as Python values: texts decoded, tensors as arrays.

    Raises :class:`ModelFormatError` for a text that is not UTF-8 or a tensor that cannot be read.
    """
    return {attribute.name: _attribute(attribute) for attribute in node.attribute}


def _attribute(attribute: AttributeProto) -> Any:
    if attribute.type == AttributeProto.TENSOR:
        return decode_tensor(attribute.t)
    try:
        value = onnx.helper.get_attribute_value(attribute)
        return value.decode("utf-8") if isinstance(value, bytes) else value
    except (ValueError, UnicodeDecodeError) as error:
        raise ModelFormatError(f"attribute {attribute.name}: cannot be read ({error})") from None


def decode_tensor(tensor: TensorProto) -> Constant:
    """A stored tensor as an array.

    Raises :class:`ModelFormatError` when the stored numbers do not fill the stated shape.
    """
    shape = tuple(tensor.dims)
    if min(shape, default=0) < 0:
        raise ModelFormatError(f"tensor {tensor.name!r}: expected a shape, found {shape}")
    try:
        array = numpy_helper.to_array(tensor)
    except Exception as error:  # to_array raises whatever the damage leads to
        reason = " ".join(str(error).split())
        raise ModelFormatError(
            f"tensor {tensor.name!r}: expected numbers of shape {shape}, found otherwise ({reason})"
        ) from None
    if array.shape != shape:
        raise ModelFormatError(
            f"tensor {tensor.name!r}: expected shape {shape}, found {array.shape}"
        )
    return array


class Graph:
    """The main graph of a checked model.

    ``nodes`` are those that are not constant, in running order; ``constants`` holds the arrays of
    initializers, of Constant nodes and of what is computed from them by changes of shape. Raises
    :class:`ModelFormatError` for a damaged model, :class:`UnsupportedModelError` for another
    version.
    """

    def __init__(self, proto: onnx.ModelProto) -> None:
        """Check ``proto`` and decode its weights."""
        _refuse_broken_text(proto)
        _refuse_external_data(proto)
        _check_versions(proto)
        graph = proto.graph
        self.constants: dict[str, Constant] = {t.name: decode_tensor(t) for t in graph.initializer}
        if graph.sparse_initializer:
            raise UnsupportedModelError("sparse weights: expected dense tensors")
        _check(proto)
        self.functions = {
            function.name for function in proto.functions if function.domain == DOMAIN
        }
        # Files of IR version 3 list their weights among the inputs.
        self.inputs = [i for i in graph.input if i.name not in self.constants]
        self.outputs = [o.name for o in graph.output]
        if idle := [node for node in graph.node if not node.output or not node.output[0]]:
            raise ModelFormatError(f"{describe(idle[0])}: expected a named output, found none")
        self.nodes: list[onnx.NodeProto] = []
        for node in graph.node:
            if (constant := _constant(node)) is not None:
                self.constants[node.output[0]] = constant
            else:
                self.nodes.append(node)
        self._consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in _uses(node):
                self._consumers.setdefault(name, []).append(node)

    def fold(self, node: onnx.NodeProto) -> bool:
        """Compute a node whose inputs are all constant; False when it cannot be folded."""
        if node.domain or len(node.output) != 1:
            return False
        compute = _FOLDS.get(node.op_type)
        inputs = [self.constants[name] for name in node.input if name in self.constants]
        if compute is None or not inputs or len(inputs) != len(node.input):
            return False
        symbolic = any(array.dtype == object for array in inputs)
        try:
            with np.errstate(all="ignore"):
                result = compute(attributes(node), *inputs)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise UnsupportedModelError(
                f"cannot be computed from its constants ({error})"
            ) from None
        self.constants[node.output[0]] = np.asarray(result, object if symbolic else None)
        return True

    def next(self, tensor: str) -> onnx.NodeProto | None:
        """The node that alone uses a tensor; None when others do or it is an output."""
        consumers = self._consumers.get(tensor, [])
        return consumers[0] if len(consumers) == 1 and tensor not in self.outputs else None


def _constant(node: onnx.NodeProto) -> Constant | None:
    """The numbers of a Constant node; None for any other node, and for texts and sparse tensors."""
    if node.op_type != "Constant" or node.domain:
        return None
    for name, value in attributes(node).items():
        if name == "value":
            return np.asarray(value)
        if name in ("value_float", "value_floats", "value_int", "value_ints"):
            return np.asarray(value, np.float32 if "float" in name else np.int64)
    return None


def _axes(axes: Constant) -> tuple[int, ...]:
    return tuple(int(axis) for axis in np.atleast_1d(axes))


def _slice(_: dict[str, Any], x: Constant, *bounds: Constant) -> Constant:
    start, stop, *rest = (np.atleast_1d(bound).tolist() for bound in bounds)
    if len(start) != 1 or rest not in ([], [[0]], [[0], [1]]):
        raise ValueError("expected a slice of a list of numbers by step 1")
    return x[int(start[0]) : int(stop[0])]


# Changes of shape only, so that no hostile file makes a large tensor out of small ones. Shapes of
# tensors are constants too: arrays of objects, with "N" and "T" for the free axes.
_FOLDS: dict[str, Callable[..., Any]] = {
    "Identity": lambda _, x: x,
    "Cast": lambda a, x: (
        x if x.dtype == object else x.astype(onnx.helper.tensor_dtype_to_np_dtype(a["to"]))
    ),
    "Transpose": lambda a, x: np.transpose(x, a.get("perm")),
    "Reshape": lambda _, x, shape: x.reshape([int(n) for n in shape]),
    "Squeeze": lambda _, x, axes: np.squeeze(x, _axes(axes)),
    "Unsqueeze": lambda _, x, axes: np.expand_dims(x, _axes(axes)),
    "Concat": lambda a, *xs: np.concatenate(xs, a["axis"]),
    "Gather": lambda a, x, i: np.take(x, i.astype(np.int64), a.get("axis", 0)),
    "Slice": _slice,
}


def _check_versions(proto: onnx.ModelProto) -> None:
    found = {opset.domain or "ai.onnx": opset.version for opset in proto.opset_import}
    newest = onnx.defs.onnx_opset_version()
    standard = found.get("ai.onnx", 0)
    if not OLDEST_OPSET <= standard <= newest:
        raise UnsupportedModelError(f"opset: expected {OLDEST_OPSET} to {newest}, found {standard}")
    version = found.get(DOMAIN, DOMAIN_VERSION)
    if version != DOMAIN_VERSION:
        raise UnsupportedModelError(
            f"domain {DOMAIN}: expected version {DOMAIN_VERSION}, found {version}"
        )


def _uses(node: onnx.NodeProto) -> Iterator[str]:
    """Every tensor that a node reads, also from inside its subgraphs."""
    yield from node.input
    for graph in _subgraphs(node):
        for inner in graph.node:
            yield from _uses(inner)
        yield from (output.name for output in graph.output)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _check(proto: onnx.ModelProto) -> None:
    """Run the checker of ONNX over all but the numbers of the weights, which it would copy twice."""
    light = onnx.ModelProto(ir_version=proto.ir_version)
    light.opset_import.extend(proto.opset_import)
    light.functions.extend(proto.functions)
    light.graph.name = proto.graph.name
    for field in ("node", "input", "output", "value_info"):
        getattr(light.graph, field).extend(getattr(proto.graph, field))
    for tensor in proto.graph.initializer:
        light.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=[0])
    try:
        onnx.checker.check_model(light)
    except Exception as error:  # the checker raises several types, its own and protobuf's
        reason = " ".join(str(error).split())
        raise ModelFormatError(f"not a valid ONNX model: {reason}") from None


def _refuse_broken_text(message: Message) -> None:
    """Protobuf hands out text that is not UTF-8 as bytes, which no code after this expects."""
    try:
        for field, value in message.ListFields():
            if field.type not in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING):
                continue
            for item in [value] if isinstance(value, (Message, str, bytes)) else value:
                if isinstance(item, Message):
                    _refuse_broken_text(item)
                elif isinstance(item, bytes):
                    raise ModelFormatError(
                        f"field {field.name}: expected text in UTF-8, found {item!r}"
                    )
    except UnicodeDecodeError as error:
        raise ModelFormatError(f"expected text in UTF-8 ({error})") from None


def _refuse_external_data(proto: onnx.ModelProto) -> None:
    """A path in a model file may point anywhere, so weights must lie in the file itself."""
    names = [
        tensor.name
        for tensor in _tensors([proto.graph], [n for f in proto.functions for n in f.node])
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data
    ]
    if names:
        raise ModelFormatError(
            f"tensor(s) {', '.join(map(repr, names))}: expected the numbers in the file, found a "
            "reference to another file, which may point anywhere and is not followed; save the "
            "model in one file"
        )


def _tensors(graphs: list[onnx.GraphProto], nodes: list[onnx.NodeProto]) -> Iterator[TensorProto]:
    """All tensors of graphs and nodes, subgraphs included."""
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        yield from _tensors([], list(graph.node))
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("sparse_tensor"):
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
            yield from attribute.tensors
        yield from _tensors(list(_subgraphs(node)), [])
