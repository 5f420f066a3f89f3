"""The same bits for any number of threads and however frames come, for every kernel there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import convlstm_native as cn
import numpy as np
import pytest
from convlstm_native import spec, tensors
from convlstm_native.spec import Array, Input, NetworkSpec, Node, Output
from strategies import batch_normalization, conv_lstm, function, genre_net
from test_recurrent import map_layer, vector_layer
from test_recurrent import network as recurrent_network

SAMPLES, FRAMES = 3, 4


@dataclass(frozen=True)
class Case:
    """``kernel`` is what the first cell runs where multiply-adds are fused."""

    net: NetworkSpec
    kernel: str
    algorithm: str = "auto"


def cell(
    kernel: str,
    frame: tuple[int, int, int],
    filters: int,
    size: tuple[int, int],
    *,
    algorithm: str = "auto",
    activation: str = "tanh",
    **arguments: Any,
) -> Case:
    """A cell that shows its states too: what comes when a sequence has ended."""
    layer = conv_lstm(
        np.random.default_rng(1),
        frame[0],
        filters,
        size,
        data_format="channels_first",
        activation=function(activation),
        return_sequences=True,
        return_state=True,
        **arguments,
    )
    node = Node("cell", layer, ("x",), ("y", "h", "c"))
    outputs = tuple(Output(name, name) for name in node.outputs)
    return Case(NetworkSpec("cell", (Input("x", frame),), (node,), outputs), kernel, algorithm)


def pooled(kernel: str, size: tuple[int, int], **arguments: Any) -> Case:
    """A cell whose frame leaves through a norm and a pool."""
    rng = np.random.default_rng(2)
    frame, filters = (3, 29, 43), 8
    layer = conv_lstm(
        rng,
        frame[0],
        filters,
        size,
        padding="same",
        data_format="channels_first",
        return_sequences=True,
        **arguments,
    )
    nodes = (
        Node("cell", layer, ("x",), ("cell",)),
        Node("norm", batch_normalization(rng, 2, frame[2]), ("cell",), ("norm",)),
        Node("pool", spec.MaxPooling((1, 3, 2), (1, 3, 2), "same"), ("norm",), ("y",)),
    )
    return Case(NetworkSpec("pooled", (Input("x", frame),), nodes, (Output("y", "y"),)), kernel)


def recurrent(kernel: str, layer: spec.Recurrent, frame: tuple[int, ...]) -> Case:
    """A layer on vectors, or on maps of one or three axes, that shows its states too."""
    shown = replace(layer, return_sequences=True, return_state=True)
    return Case(recurrent_network(shown, frame), kernel)


RNG = np.random.default_rng(4)
CASES = {
    "3x3 of 13x18": cell("winograd 4x4", (3, 13, 18), 8, (3, 3), padding="same"),
    "3x3 of 61x75": cell("winograd 4x4", (3, 61, 75), 6, (3, 3), padding="same"),
    "3x3 of 100x100": cell(
        "winograd 4x4", (3, 100, 100), 5, (3, 3), padding="same", activation="relu"
    ),
    "3x3 valid": cell("winograd 4x4", (3, 31, 46), 8, (3, 3), padding="valid"),
    "3x3 direct": cell("direct", (3, 31, 46), 5, (3, 3), algorithm="direct", activation="relu"),
    "5x5": cell("winograd 2x2", (4, 37, 45), 8, (5, 5), padding="same"),
    "5x5 valid": cell("winograd 2x2", (4, 37, 45), 8, (5, 5), activation="relu"),
    "1x1": cell("direct", (6, 40, 41), 9, (1, 1)),
    "strided": cell("direct", (3, 61, 75), 7, (3, 3), padding="same", strides=(2, 3)),
    "dilated": cell("direct", (2, 41, 40), 5, (3, 3), dilation_rate=(2, 3)),
    "even": cell("direct", (2, 33, 47), 5, (2, 4), padding="same", activation="relu"),
    "pooled 3x3": pooled("winograd 4x4", (3, 3)),
    "pooled 5x5": pooled("winograd 2x2", (5, 5), activation=function("relu")),
    "pooled even": pooled("direct", (4, 2)),
    "row": recurrent(
        "direct", map_layer(RNG, (3,), 4, 9, padding="same", data_format="channels_first"), (4, 999)
    ),
    "volume": recurrent(
        "direct",
        map_layer(RNG, (3, 2, 3), 2, 5, padding="same", data_format="channels_first"),
        (2, 9, 14, 15),
    ),
    "strided volume": recurrent(
        "direct",
        map_layer(RNG, (3, 3, 2), 2, 5, strides=(2, 1, 3), data_format="channels_first"),
        (2, 17, 14, 35),
    ),
    "lstm": recurrent("lstm", vector_layer(RNG, "lstm", 200, 261), (200,)),
    "gru": recurrent("gru", vector_layer(RNG, "gru", 200, 261), (200,)),
    "gru reset before": recurrent(
        "gru, reset before the product", vector_layer(RNG, "gru reset before", 200, 261), (200,)
    ),
    "simple rnn": recurrent("simple rnn", vector_layer(RNG, "simple rnn", 500, 470), (500,)),
    # Six siblings become one layer of six groups; pools, norms, dense layers behind.
    "siblings": Case(genre_net(61, 75, (70, 1), filters=(8, 6, 4)), "winograd 4x4"),
}


def alone(kernel: str, layer: spec.Layer, frame: tuple[int, ...], algorithm: str = "auto") -> Case:
    """A layer without a state."""
    node = Node("layer", layer, ("x",), ("y",))
    net = NetworkSpec("alone", (Input("x", frame),), (node,), (Output("y", "y"),))
    return Case(net, kernel, algorithm)


def convolution(
    *shape: int,
    groups: int = 1,
    stride: int = 1,
    padding: str = "same",
    dilation: tuple[int, ...] | None = None,
) -> spec.Convolution:
    kernel = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    bias, linear = kernel.reshape(len(kernel), -1)[:, 0], spec.Function("linear")
    ones = (1,) * len(shape[2:])
    strides = tuple(stride for _ in ones)
    sizes = strides, padding, dilation or ones, "channels_first", groups, linear
    return spec.Convolution(kernel, bias, *sizes)


def matrix(*shape: int) -> Array:
    return np.random.default_rng(6).standard_normal(shape).astype(np.float32) / 30


CASES |= {
    # Their input is multiplied some frames at once.
    "lstm of many inputs": recurrent("lstm", vector_layer(RNG, "lstm", 400, 261), (400,)),
    # It waits for them.
    "lstm that shows no states": alone(
        "lstm",
        replace(vector_layer(RNG, "lstm", 400, 261), return_sequences=True),
        (400,),
    ),
    "gru of many inputs": recurrent("gru", vector_layer(RNG, "gru", 500, 261), (500,)),
    "dense": alone("dense_block", spec.Dense(matrix(600, 501), matrix(501)), (600,)),
    "dense of few units": alone(
        "dense_few_units", spec.Dense(matrix(40000, 1), matrix(1)), (40000,)
    ),
    "dense rows": alone("dense_block", spec.Dense(matrix(60, 51), matrix(51)), (77, 60)),
    "convolution": alone("direct", convolution(30, 9, 3, 3), (9, 37, 41), "direct"),
    # By whole rows, by columns of a wide map, by filters of a small one.
    "convolution 3x3": alone("winograd 4x4", convolution(30, 9, 3, 3), (9, 37, 41)),
    "convolution 3x3, wide": alone("winograd 4x4", convolution(30, 40, 3, 3), (40, 5, 303)),
    "convolution 3x3, many filters": alone(
        "winograd 4x4", convolution(150, 40, 3, 3), (40, 14, 14)
    ),
    # Some frames at once.
    "convolution 3x3, small": alone("winograd 4x4", convolution(64, 64, 3, 3), (64, 8, 10)),
    "convolution 3x3, small and valid": alone(
        "winograd 4x4", convolution(64, 64, 3, 3, padding="valid"), (64, 10, 14)
    ),
    "convolution 3x3, valid": alone(
        "winograd 4x4", convolution(30, 20, 3, 3, padding="valid"), (20, 31, 46)
    ),
    "convolution 3x3, groups": alone(
        "winograd 4x4", convolution(30, 10, 3, 3, groups=2), (20, 30, 44)
    ),
    "convolution 3x3, dilated": alone(
        "winograd 4x4", convolution(64, 64, 3, 3, dilation=(2, 2)), (64, 32, 36)
    ),
    "convolution 3x3, dilated unevenly": alone(
        "winograd 4x4", convolution(64, 64, 3, 3, dilation=(3, 6), padding="valid"), (64, 36, 96)
    ),
    "convolution 1x3x3": alone("winograd 4x4", convolution(64, 64, 1, 3, 3), (64, 5, 8, 10)),
    "convolution of groups": alone("direct", convolution(36, 3, 3, 2, groups=12), (36, 27, 41)),
    "depthwise convolution": alone("depthwise", convolution(37, 1, 3, 3, groups=37), (37, 7, 7)),
    "depthwise convolution, large": alone(
        "depthwise", convolution(9, 1, 5, 4, groups=9), (9, 29, 31)
    ),
    "strided convolution": alone("direct", convolution(30, 9, 5, 5, stride=2), (9, 37, 41)),
    "strided convolution, many filters": alone(
        "direct", convolution(60, 9, 3, 3, stride=2), (9, 37, 41)
    ),
    "transposed convolution": alone(
        "direct {}, 9 phases",
        spec.ConvolutionTranspose(
            matrix(9, 20, 4, 5), matrix(20), (3, 3), "same", (1, 1), (), "channels_first"
        ),
        (9, 17, 21),
    ),
    "transposed convolution to two filters": alone(
        "direct {}, 12 phases at once",
        spec.ConvolutionTranspose(
            matrix(9, 2, 11, 5), matrix(2), (3, 4), "same", (1, 1), (), "channels_first"
        ),
        (9, 17, 41),
    ),
    "max pool": alone("norm_pool_rows", spec.MaxPooling((1, 3, 3), (1, 2, 2), "same"), (9, 47, 51)),
    "mean pool": alone(
        "norm_pool_rows", spec.AveragePooling((1, 2, 3), (1, 1, 2), "same"), (9, 47, 51)
    ),
    "tanh": alone("activate", spec.Activation(spec.Function("tanh")), (9, 47, 51)),
    "softmax": alone("softmax_block", spec.Activation(spec.Function("softmax")), (999, 13)),
    "long softmax": alone("softmax_block", spec.Activation(spec.Function("softmax")), (37, 1001)),
    "log softmax": alone("softmax_block", spec.Activation(spec.Function("log_softmax")), (77, 99)),
    "narrow global maximum": alone("reduce_block", spec.Reduce((0,), "max"), (77, 3)),
    "layer normalization": alone(
        "plain", spec.LayerNormalization((1, 2), "layer", 1e-3), (9, 97, 101)
    ),
    "global mean": alone("reduce_block", spec.Reduce((1, 2), "mean"), (90, 47, 51)),
    "resize": alone("plain", spec.Resize((1, 2), (71, 77), "bilinear"), (9, 47, 51)),
}


def kernel_name(case: Case, isa: str) -> str:
    kernel = case.kernel
    if isa == "scalar":  # Winograd is for fused multiply-adds alone, and there are no lanes
        kernel = "direct" if kernel.startswith("winograd") else kernel
        kernel = "dense_block" if kernel == "dense_few_units" else kernel
    if kernel == "plain":
        return kernel
    return kernel.format(isa) if "{}" in kernel else f"{kernel} {isa}"


def same(found: dict[str, Array], expected: dict[str, Array]) -> bool:
    return list(found) == list(expected) and all(
        np.array_equal(found[name], value) for name, value in expected.items()
    )


def pushed(stream: cn.Stream, frames: Array) -> dict[str, Array]:
    """What a stream gives frame by frame and at the end, as ``predict`` would return it."""
    rows = [row for frame in frames if (row := stream.push(frame)) is not None]
    late = stream.flush() or {}
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]} | late


@pytest.mark.parametrize("isa", cn.available_isas())
@pytest.mark.parametrize("name", CASES)
def test_bits(name: str, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    model = cn.Model(case.net, threads=1, isa=isa, algorithm=case.algorithm)
    assert model.summary().layers[0].kernel == kernel_name(case, isa)
    shape = (SAMPLES, FRAMES, *case.net.inputs[0].shape)
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    batch = model.predict(x)
    assert all(np.isfinite(value).all() for value in batch.values())
    sample = {name: value[0] for name, value in batch.items()}

    def generated() -> Iterator[Array]:
        yield from x[0]

    for threads in (1, 2, 3, 7):
        # 3 samples: side by side on 2 and 3 threads, one after another on 7.
        on = model.with_threads(threads)
        assert same(on.predict(x), batch)
        assert same(on.predict(x[0]), sample)
        assert same(on.predict(generated()), sample)
        assert same(pushed(on.stream(), x[0]), sample)
        for frames in (1, 3):
            with monkeypatch.context() as patched:
                patched.setattr(tensors, "CHUNK_FRAMES", frames)
                assert same(on.predict(x[0]), sample)
