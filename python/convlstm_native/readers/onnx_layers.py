"""The rules that match ONNX nodes to layers of the spec, one function an operator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.onnx_activations import (
    OPERATORS,
    function_of,
    is_activation,
    read_activation,
    read_clip,
    read_leaky_relu,
)
from convlstm_native.readers.onnx_contract import (
    ACTIVATION,
    ACTIVATION_SUFFIX,
    DOMAIN,
    DOMAIN_VERSION,
    decode_layer,
    function_kind,
    weight_names,
    widen,
)
from convlstm_native.readers.onnx_matcher import (
    OPENED,
    PLAIN_SINGLE,
    Matcher,
    Tensor,
    leads,
    options,
    require,
)
from convlstm_native.spec import (
    LAYERS,
    AveragePooling,
    BatchNormalization,
    Dense,
    Flatten,
    Function,
    MaxPooling,
    Slice,
    same_padding,
)

Rule = Callable[[Matcher, onnx.NodeProto], None]


def rule(node: onnx.NodeProto) -> Rule:
    """The rule for a node. Raises :class:`UnsupportedModelError` when there is none."""
    if node.domain == DOMAIN:
        kind = function_kind(node.op_type)
        if kind is None:
            raise UnsupportedModelError(f"not a function of {DOMAIN} version {DOMAIN_VERSION}")
        if kind == ACTIVATION and len(node.input) != 1:
            raise UnsupportedModelError(f"expected 1 input, found {list(node.input)}")
        return read_activation if kind == ACTIVATION else _call
    found = None if node.domain not in ("", "ai.onnx") else _RULES.get(node.op_type)
    if found is None:
        raise UnsupportedModelError("no layer of the runtime matches this operator")
    return found


def _call(matcher: Matcher, node: onnx.NodeProto) -> None:
    """A call of the function that stands for a layer."""
    kind = LAYERS[function_kind(node.op_type) or ""]
    arguments = decode_layer(kind, matcher.arguments(node))
    names = weight_names(kind)
    others = list(node.input[1 + len(names) :])
    if len(node.input) < 1 + len(names) or not all((node.input[0], *others, *node.output)):
        raise UnsupportedModelError(
            f"expected inputs x, {', '.join(names)} and named outputs, found "
            f"{list(node.input)}, {list(node.output)}"
        )
    for index, (name, needed) in enumerate(names.items(), start=1):
        given = needed or node.input[index]
        arguments[name] = matcher.weight(node, index) if given else None
    if "initial_state" in kind.NOT_IN_FILES:
        arguments["initial_state"] = len(others) > arguments.get("masked", False)
    tensors = [_plain(matcher.tensor(name)) for name in (node.input[0], *others)]
    matcher.emit(node, kind(**arguments), tensors, list(node.output))


def _matmul(matcher: Matcher, node: onnx.NodeProto) -> None:
    """MatMul with a constant, with the bias and our own activation that follow it: Dense."""
    options(node)
    x, kernel = matcher.tensor(node.input[0]), matcher.weight(node, 1)
    if kernel.ndim != 2:
        raise UnsupportedModelError(f"input 1: expected a matrix, found shape {kernel.shape}")
    units = kernel.shape[1]
    product = (*x.shape[:-1], units)
    bias, output = _shift_after(matcher, node.output[0], len(product) - 1, product) or (
        np.zeros(units, np.float32),
        node.output[0],
    )
    _dense(matcher, node, x, kernel, bias, output)


def _gemm(matcher: Matcher, node: onnx.NodeProto) -> None:
    found = options(node, alpha=1.0, beta=1.0, transA=0, transB=0)
    require(found, alpha=1.0, beta=1.0, transA=0)
    x, kernel = matcher.tensor(node.input[0]), matcher.weight(node, 1)
    kernel = np.ascontiguousarray(kernel.T) if found["transB"] else kernel
    units = kernel.shape[-1:]
    bias = matcher.weight(node, 2) if len(node.input) > 2 else np.zeros(units, np.float32)
    if len(x.lead) != 1 or len(x.shape) != 1:
        raise UnsupportedModelError(f"input 0: expected two axes, found {x.dims}")
    if bias.size == math.prod(units):
        bias = bias.reshape(units)
    _dense(matcher, node, x, kernel, bias, node.output[0])


def _dense(
    matcher: Matcher,
    node: onnx.NodeProto,
    x: Tensor,
    kernel: NDArray[np.float32],
    bias: NDArray[np.float32],
    output: str,
) -> None:
    function = Function("linear")
    after = matcher.graph.next(output)
    if after is not None and after.name == node.name + ACTIVATION_SUFFIX and is_activation(after):
        function = function_of(matcher, after, x)
        output = matcher.consume(after)
    matcher.emit(node, Dense(kernel, bias, function), [x], [output])


def _affine(matcher: Matcher, node: onnx.NodeProto) -> None:
    """Mul, Add, Sub and Div by a constant along one axis; a Mul takes the next Add along."""
    options(node)
    places = [i for i, name in enumerate(node.input) if name in matcher.graph.constants]
    if not places or (places == [0] and node.op_type in ("Sub", "Div")):
        for name in node.input:
            if name not in matcher.graph.constants:
                matcher.tensor(name)  # where this was refused, it is the cause
        raise UnsupportedModelError(f"expected a value and a constant, found {list(node.input)}")
    x = matcher.tensor(node.input[1 - places[0]])
    along = _along_axis(matcher.weight(node, places[0]), x.shape)
    if along is None:
        raise UnsupportedModelError(f"constant: expected one along an axis of {x.shape}")
    axis, vector = along
    scale, shift, output = np.ones_like(vector), np.zeros_like(vector), node.output[0]
    if node.op_type == "Mul":
        scale = vector
        shift, output = _shift_after(matcher, output, axis, x.shape) or (shift, output)
    elif node.op_type == "Div":
        with np.errstate(all="ignore"):
            scale = (1 / vector.astype(np.float64)).astype(np.float32)
    else:
        shift = vector if node.op_type == "Add" else -vector
    matcher.emit(node, BatchNormalization(axis, scale, shift), [x], [output])


def _shift_after(
    matcher: Matcher, output: str, axis: int, frame: tuple[int, ...]
) -> tuple[NDArray[np.float32], str] | None:
    """The constant that the next node adds along ``axis``, and that node's output."""
    add = matcher.follower(output, "Add")
    if add is None:
        return None
    array = next((matcher.graph.constants.get(name) for name in add.input if name != output), None)
    along = None if array is None or array.dtype != np.float32 else _along_axis(array, frame)
    return (along[1], matcher.consume(add)) if along is not None and along[0] == axis else None


def _along_axis(
    array: NDArray[np.float32], frame: tuple[int, ...]
) -> tuple[int, NDArray[np.float32]] | None:
    """The frame axis that a broadcast constant follows, and its numbers there; None if no axis.

    A constant of one number follows the axis that its rank reaches to, counted from the last.
    """
    rank = len(frame)
    long = [axis - array.ndim + rank for axis, length in enumerate(array.shape) if length != 1]
    if len(long) > 1 or (long and (long[0] < 0 or frame[long[0]] != array.size)):
        return None
    axis = long[0] if long else rank - min(max(array.ndim, 1), rank)
    return axis, np.array(np.broadcast_to(array.reshape(-1), frame[axis : axis + 1]))


def _batch_normalization(matcher: Matcher, node: onnx.NodeProto) -> None:
    found = options(node, epsilon=1e-5, momentum=0.9, training_mode=0)
    require(found, training_mode=0)
    x = matcher.tensor(node.input[0])
    if len(x.lead) != 1:
        raise UnsupportedModelError(f"input: expected the channels as second axis, found {x.dims}")
    numbers = [matcher.weight(node, i).astype(np.float64) for i in range(1, 5)]
    if any(array.shape != x.shape[:1] for array in numbers):
        found_shapes = [array.shape for array in numbers]
        raise UnsupportedModelError(f"weights: expected shape {x.shape[:1]}, found {found_shapes}")
    gamma, beta, mean, variance = numbers
    # A damaged variance gives infinite or undefined weights, as it does in any other runtime.
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(variance + widen(found["epsilon"]))
        shift = beta - mean * scale
        layer = BatchNormalization(0, scale.astype(np.float32), shift.astype(np.float32))
    matcher.emit(node, layer, [x], list(node.output))


def _pool(matcher: Matcher, node: onnx.NodeProto) -> None:
    """The poolings run over all axes after the second, which a single gets by an Unsqueeze."""
    kind = MaxPooling if node.op_type == "MaxPool" else AveragePooling
    own: dict[str, Any] = (
        {"dilations": None, "storage_order": 0} if kind is MaxPooling else {"count_include_pad": 0}
    )
    found = options(
        node, kernel_shape=None, strides=None, pads=None, auto_pad="NOTSET", ceil_mode=0, **own
    )
    x = matcher.tensor(node.input[0])
    fixed = 2 - len(x.lead)
    axes = x.shape[fixed:]
    pool, ones = list(found["kernel_shape"]), [1] * len(axes)
    strides = found["strides"] or ones
    require(found, ceil_mode=0)
    if kind is MaxPooling:
        require(found | {"dilations": found["dilations"] or ones}, storage_order=0, dilations=ones)
    if not len(pool) == len(strides) == len(axes) or min([*pool, *strides], default=1) < 1:
        raise UnsupportedModelError(
            f"kernel_shape: expected {len(axes)} axes, found {pool}, strides {strides}"
        )
    padding = _padding(found["auto_pad"], found["pads"], axes, pool, strides)
    if kind is AveragePooling and padding == "same":
        require(found, count_include_pad=0)
    layer = kind((*[1] * fixed, *pool), (*[1] * fixed, *strides), padding)
    output = node.output[0]
    if len(node.output) > 1:
        raise UnsupportedModelError("outputs: expected the maximum alone, found its indices too")
    closing = matcher.follower(output, "Squeeze") if x.lead == OPENED else None
    if closing is not None and _squeezed_axes(matcher, closing) == [1]:
        output = matcher.consume(closing)
        x = Tensor(x.name, x.value, PLAIN_SINGLE)
    matcher.emit(node, layer, [x], [output])


def _padding(
    auto_pad: str,
    pads: list[int] | None,
    axes: tuple[int, ...],
    pool: list[int],
    strides: list[int],
) -> str:
    """The Keras name of a padding; 'valid' where both names mean the same."""
    if auto_pad == "SAME_UPPER":
        return "same"
    if auto_pad == "VALID":
        return "valid"
    pairs = [same_padding(*axis) for axis in zip(axes, pool, strides, strict=True)]
    same = [before for before, _ in pairs] + [after for _, after in pairs]
    if auto_pad == "SAME_LOWER" and all(before == after for before, after in pairs):
        return "same"
    if auto_pad == "NOTSET" and not any(pads or []):
        return "valid"
    if auto_pad == "NOTSET" and pads == same:
        return "same"
    raise UnsupportedModelError(f"padding: expected none or {same}, found {auto_pad} {pads}")


def _reshape(matcher: Matcher, node: onnx.NodeProto) -> None:
    require(options(node, allowzero=0), allowzero=0)
    x, target = matcher.tensor(node.input[0]), list(matcher.constant(node, 1).ravel())
    target = [x.dims[i] if size == 0 and i < len(x.dims) else size for i, size in enumerate(target)]
    flat = (math.prod(x.shape),)
    for lead in leads(x.value):
        for frame in (x.shape, flat):
            if _fits(target, (*lead, *frame)):
                _show(matcher, node, x, lead, flatten=frame == flat)
                return
    raise UnsupportedModelError(
        f"shape: expected to keep or flatten the frame of {x.dims}, found {target}"
    )


def _fits(target: list[object], dims: tuple[str | int, ...]) -> bool:
    """Whether a Reshape target, in which -1 stands for what is left, means these dimensions."""
    pairs = zip(target, dims, strict=False)
    return len(target) == len(dims) and all(found in (wanted, -1) for found, wanted in pairs)


def _flatten(matcher: Matcher, node: onnx.NodeProto) -> None:
    x = matcher.tensor(node.input[0])
    axis = options(node, axis=1)["axis"]
    axis = axis + len(x.dims) if axis < 0 else axis
    if axis != len(x.lead) or x.lead == OPENED:
        raise UnsupportedModelError(
            f"axis: expected {len(x.lead)}, the frame of {x.dims}, found {axis}"
        )
    _show(matcher, node, x, leads(x.value)[-1] if x.value.sequence else PLAIN_SINGLE, flatten=True)


def _show(
    matcher: Matcher, node: onnx.NodeProto, x: Tensor, lead: tuple[str | int, ...], flatten: bool
) -> None:
    """The same numbers behind ``lead``. A flat frame that stays so in place is a Flatten too."""
    if flatten and (len(x.shape) != 1 or x.lead == lead):
        matcher.emit(node, Flatten(), [Tensor(x.name, x.value, lead)], list(node.output))
    else:
        matcher.alias(x, node.output[0], lead)


def _unsqueeze(matcher: Matcher, node: onnx.NodeProto) -> None:
    options(node)
    x, axes = matcher.tensor(node.input[0]), matcher.integers(node, 1)
    if x.lead != PLAIN_SINGLE or axes != [1]:
        raise UnsupportedModelError(
            f"axes: expected 1 of a value (N, ...), found {axes} of {x.dims}"
        )
    matcher.alias(x, node.output[0], OPENED)


def _squeeze(matcher: Matcher, node: onnx.NodeProto) -> None:
    options(node)
    x, axes = matcher.tensor(node.input[0]), _squeezed_axes(matcher, node)
    if x.lead != OPENED or axes != [1]:
        raise UnsupportedModelError(
            f"axes: expected 1 of a value (N, 1, ...), found {axes} of {x.dims}"
        )
    matcher.alias(x, node.output[0], PLAIN_SINGLE)


def _squeezed_axes(matcher: Matcher, node: onnx.NodeProto) -> list[int]:
    """The axes that a Squeeze takes away; without a list, all of length 1, which are not known."""
    return matcher.integers(node, 1, [])


def _slice(matcher: Matcher, node: onnx.NodeProto) -> None:
    options(node)
    x = matcher.tensor(node.input[0])
    starts, stops = matcher.integers(node, 1), matcher.integers(node, 2)
    axes, steps = matcher.integers(node, 3, range(len(starts))), matcher.integers(node, 4, [1])
    if not len(starts) == len(stops) == len(axes) == 1 or steps != [1]:
        raise UnsupportedModelError(
            f"expected a cut along one axis by step 1, found axes {axes}, steps {steps}"
        )
    axis = (axes[0] + len(x.dims) if axes[0] < 0 else axes[0]) - len(x.lead)
    if not 0 <= axis < len(x.shape):
        raise UnsupportedModelError(f"axes: expected one of the frame of {x.dims}, found {axes}")
    start, stop, _ = slice(starts[0], stops[0]).indices(x.shape[axis])
    matcher.emit(node, Slice(axis, start, stop), [x], list(node.output))


def _pass(matcher: Matcher, node: onnx.NodeProto) -> None:
    """Identity, and Dropout outside training."""
    if node.op_type == "Dropout" and np.any(matcher.constant(node, 2, np.array(False))):
        raise UnsupportedModelError("training_mode: expected false, found true")
    matcher.alias(matcher.tensor(node.input[0]), node.output[0])


def _shape(matcher: Matcher, node: onnx.NodeProto) -> None:
    """The shape of a tensor is known but for N and T, so arithmetic on it folds."""
    found = options(node, start=0, end=None)
    dims = np.array(matcher.tensor(node.input[0]).dims, dtype=object)
    matcher.graph.constants[node.output[0]] = dims[found["start"] : found["end"]]


def _plain(tensor: Tensor) -> Tensor:
    if not tensor.plain:
        raise UnsupportedModelError(f"input: expected (N, T, ...) or (N, ...), found {tensor.dims}")
    return tensor


_RULES: dict[str, Rule] = {
    **dict.fromkeys(OPERATORS, read_activation),
    **dict.fromkeys(("Add", "Mul", "Sub", "Div"), _affine),
    **dict.fromkeys(("Identity", "Dropout"), _pass),
    "AveragePool": _pool,
    "BatchNormalization": _batch_normalization,
    "Clip": read_clip,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "LeakyRelu": read_leaky_relu,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}
