"""One function a Keras layer: reads its arguments, returns what builds the spec layer of a call.

The two steps are apart because arguments are read without knowing shapes, so that every problem of
every layer can be told at once; the second step knows the value that the call reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from convlstm_native import spec
from convlstm_native.errors import ModelFormatError, UnsupportedModelError
from convlstm_native.readers.keras_arguments import ACTIVATION_LAYERS, Arguments, activation_layer
from convlstm_native.readers.keras_graph import expect, parse_layer
from convlstm_native.spec import Array, Value


@dataclass(frozen=True)
class CallSite:
    """What a layer meets when it is called.

    ``lead`` counts the Keras axes before those of the frame: 2 for a sequence (batch, time), 1 for
    a single and within TimeDistributed. ``flip`` is set for weights of the Theano backend, whose
    convolutions ran over a mirrored kernel.
    """

    value: Value
    lead: int
    weights: tuple[Array, ...]
    initial_state: bool = False
    flip: bool = False


# Builds the spec layer of a call; None stands for a layer that does nothing at inference.
Builder = Callable[[CallSite], spec.Layer | None]


def _take(site: CallSite, what: str, **shapes: tuple[int, ...]) -> dict[str, Array]:
    """The layer's weights by name, in Keras' order, after a check of their number and shapes."""
    names = ", ".join(shapes)
    if len(site.weights) != len(shapes):
        raise ModelFormatError(
            f"{what}: expected {len(shapes)} weights ({names}), found {len(site.weights)}"
        )
    for (name, shape), array in zip(shapes.items(), site.weights, strict=True):
        if array.shape != shape:
            raise ModelFormatError(f"{what}: {name}: expected shape {shape}, found {array.shape}")
    return dict(zip(shapes, site.weights, strict=True))


def _frame_axis(axis: int, site: CallSite) -> int:
    """A Keras axis, which counts batch and time, as an axis of the frame."""
    rank = len(site.value.shape)
    index = axis + rank if axis < 0 else axis - site.lead
    if not 0 <= index < rank:
        raise UnsupportedModelError(
            f"axis: expected an axis of the frame ({site.lead} to {site.lead + rank - 1}), "
            f"found {axis}; batch and time are not supported"
        )
    return index


def _identity(args: Arguments) -> Builder:
    args.ignore("data_format")  # of SpatialDropout
    return lambda site: None


def _convlstm2d(args: Arguments) -> Builder:
    filters = args.count("filters")
    rows, cols = args.counts("kernel_size", 2, None)
    row_stride, col_stride = args.counts("strides", 2, 1)
    row_rate, col_rate = args.counts("dilation_rate", 2, 1)
    padding = args.choice("padding", ("valid", "same"), "valid")
    data_format = args.data_format()
    activation = args.function("activation", "tanh")
    gate = args.function(
        "recurrent_activation", "sigmoid" if args.keras_major >= 3 else "hard_sigmoid"
    )
    use_bias = args.flag("use_bias", True)
    return_sequences = args.flag("return_sequences", False)
    return_state = args.flag("return_state", False)
    go_backwards = args.flag("go_backwards", False)
    stateful = args.flag("stateful", False)
    args.off("time_major", "zero_output_for_mask")
    what = args.what

    def build(site: CallSite) -> spec.Layer:
        x = site.value
        if not x.sequence or len(x.shape) != 3:
            raise UnsupportedModelError(f"expected a sequence of rank-3 frames, found {x}")
        channels = x.shape[0 if data_format == "channels_first" else 2]
        shapes: dict[str, tuple[int, ...]] = {
            "kernel": (rows, cols, channels, 4 * filters),
            "recurrent_kernel": (rows, cols, filters, 4 * filters),
        }
        if use_bias:
            shapes["bias"] = (4 * filters,)
        weights = _take(site, what, **shapes)
        return spec.ConvLSTM2D(
            filters=filters,
            kernel_size=(rows, cols),
            kernel=_oihw(weights["kernel"], site.flip),
            recurrent_kernel=_oihw(weights["recurrent_kernel"], site.flip),
            bias=weights.get("bias", np.zeros(4 * filters, np.float32)),
            strides=(row_stride, col_stride),
            padding=padding,
            data_format=data_format,
            dilation_rate=(row_rate, col_rate),
            activation=activation,
            recurrent_activation=gate,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            initial_state=site.initial_state,
        )

    return build


def _oihw(kernel: Array, flip: bool) -> Array:
    """Keras' ``(rows, cols, in, out)`` as ``(out, in, rows, cols)``; gates stay i, f, c, o."""
    if flip:
        kernel = kernel[::-1, ::-1]
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))


def _batch_normalization(args: Arguments) -> Builder:
    axis = args.axis()
    epsilon = args.number("epsilon", 1e-3)
    scaled, centered = args.flag("scale", True), args.flag("center", True)
    args.off("renorm", "virtual_batch_size", "adjustment")
    args.ignore("renorm_clipping", "renorm_momentum")
    what = args.what

    def build(site: CallSite) -> spec.Layer:
        index = _frame_axis(axis, site)
        names = ["gamma"] * scaled + ["beta"] * centered + ["moving_mean", "moving_variance"]
        shape = (site.value.shape[index],)
        weights = {
            k: v.astype(np.float64)
            for k, v in _take(site, what, **dict.fromkeys(names, shape)).items()
        }
        variance = weights["moving_variance"] + epsilon
        if not (variance > 0).all():
            raise ModelFormatError(
                f"{what}: moving_variance: expected >= 0, found {variance.min() - epsilon}"
            )
        scale = weights.get("gamma", np.ones(shape)) / np.sqrt(variance)
        shift = weights.get("beta", np.zeros(shape)) - weights["moving_mean"] * scale
        with np.errstate(over="ignore"):
            return spec.BatchNormalization(
                index, scale.astype(np.float32), shift.astype(np.float32)
            )

    return build


def _max_pooling(rank: int) -> Callable[[Arguments], Builder]:
    """MaxPooling over ``rank`` axes: all but batch and what ``data_format`` calls the channels.

    On a sequence of rank-``rank`` frames time is one of those axes: with channels_first it plays
    the channel and the window covers the whole frame, with channels_last it is the first axis of
    the window.
    """

    def parse(args: Arguments) -> Builder:
        window = args.counts("pool_size", rank, 2)
        steps = args.counts("strides", rank, list(window))
        padding = args.choice("padding", ("valid", "same"), "valid")
        channels_first = args.data_format() == "channels_first"

        def build(site: CallSite) -> spec.Layer:
            over_time = site.lead == 2
            if len(site.value.shape) + over_time != rank + 1:
                raise UnsupportedModelError(
                    f"input: expected {rank + 2} axes with batch, "
                    f"found {len(site.value.shape) + site.lead}"
                )
            pool, strides = ((1, *v) if channels_first else (*v, 1) for v in (window, steps))
            if over_time and (pool[0], strides[0]) != (1, 1):
                raise UnsupportedModelError(
                    "pool_size, strides: expected 1 over time (no pooling over time yet), "
                    f"found {pool[0]} and {strides[0]}"
                )
            return spec.MaxPooling(pool[over_time:], strides[over_time:], padding)

        return build

    return parse


def _flatten(args: Arguments) -> Builder:
    channels_first = args.data_format() == "channels_first"

    def build(site: CallSite) -> spec.Layer:
        if site.lead == 2:
            raise UnsupportedModelError(
                "expected TimeDistributed around it or a single before it, found a sequence: "
                "flattening time is not supported"
            )
        if channels_first and len(site.value.shape) > 1:
            raise UnsupportedModelError(
                "data_format: expected 'channels_last' (row-major order), found 'channels_first', "
                "which moves the channels behind"
            )
        return spec.Flatten()

    return build


def _dense(args: Arguments) -> Builder:
    units = args.count("units")
    activation = args.function("activation")
    use_bias = args.flag("use_bias", True)
    args.off("lora_rank", "quantization_config")
    args.ignore("lora_alpha", "input_dim")
    what = args.what

    def build(site: CallSite) -> spec.Layer:
        if not site.value.shape:
            raise UnsupportedModelError("input: expected at least one axis, found none")
        shapes: dict[str, tuple[int, ...]] = {"kernel": (site.value.shape[-1], units)}
        if use_bias:
            shapes["bias"] = (units,)
        weights = _take(site, what, **shapes)
        bias = weights.get("bias", np.zeros(units, np.float32))
        return spec.Dense(weights["kernel"], bias, activation)

    return build


def _activation(args: Arguments) -> Builder:
    if args.layer.class_name == "Activation":
        function = args.function("activation")
        return lambda site: spec.Activation(function)
    function = activation_layer(args)
    axis = args.axis() if args.layer.class_name == "Softmax" else None

    def build(site: CallSite) -> spec.Layer:
        if axis is not None and _frame_axis(axis, site) != len(site.value.shape) - 1:
            raise UnsupportedModelError(f"axis: expected the last one, found {axis}")
        return spec.Activation(function)

    return build


def _time_distributed(args: Arguments) -> Builder:
    where = args.what
    inner_config = parse_layer(
        {"config": {}, **expect(args.layer.arguments, "layer", dict, where)}, where
    )
    args.seen.add("layer")
    inner_args = Arguments(replace(inner_config, name=args.layer.name), args.keras_major)
    if inner_config.class_name in ("TimeDistributed", *RECURRENT):
        args.reject("layer", "a layer that works on one frame", inner_config.class_name)
        return lambda site: None
    inner = parse(inner_args)

    def build(site: CallSite) -> spec.Layer | None:
        if site.lead != 2:
            raise UnsupportedModelError(f"input: expected a sequence, found {site.value}")
        return inner(replace(site, lead=1))

    return build


RECURRENT = ("ConvLSTM2D",)
IDENTITIES = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "ActivityRegularization",
    "Identity",
)
LAYERS: dict[str, Callable[[Arguments], Builder]] = {
    "ConvLSTM2D": _convlstm2d,
    "BatchNormalization": _batch_normalization,
    "MaxPooling2D": _max_pooling(2),
    "MaxPooling3D": _max_pooling(3),
    "Flatten": _flatten,
    "Dense": _dense,
    "Activation": _activation,
    "TimeDistributed": _time_distributed,
    **dict.fromkeys(ACTIVATION_LAYERS, _activation),
    **dict.fromkeys(IDENTITIES, _identity),
}


def parse(args: Arguments) -> Builder:
    """What builds the layer that ``args`` describe.

    Raises :class:`UnsupportedModelError` with all problems when the layer or an argument is not
    supported.
    """
    layer = args.layer
    if layer.class_name == "Lambda" or layer.custom:
        raise UnsupportedModelError(
            f"{args.what}: expected a layer of Keras, found custom Python code, which is never run"
        )
    if layer.class_name not in LAYERS:
        raise UnsupportedModelError(
            f"{args.what}: expected one of {', '.join(LAYERS)}, found another layer"
        )
    args.read_precision()
    builder = LAYERS[layer.class_name](args)
    args.finish()
    return builder
