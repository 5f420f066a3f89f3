"""Networks and inputs for property tests, drawn by hypothesis, and the genre net at any size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from convlstm_native import spec
from convlstm_native.spec import Array, Function, NetworkSpec
from hypothesis import settings
from hypothesis import strategies as st

BOUNDED = ("tanh", "sigmoid", "hard_sigmoid", "softsign", "hard_tanh", "sparse_sigmoid")
# Of the functions of unlimited value those that grow no faster than x and do not jump: at a jump
# the last bit of a sum decides between two results that are both right.
UNBOUNDED = ("relu", "elu", "selu", "gelu", "silu", "softplus", "leaky_relu", "hard_silu", "linear")


def examples(count: int) -> settings:
    """Decorates a property test that draws ``count`` examples, ten times as many in a search."""
    searching = os.environ.get("HYPOTHESIS_PROFILE") == "search"
    return settings(max_examples=10 * count if searching else count)


def function(name: str) -> Function:
    """A function by its Keras name."""
    return Function("relu", (0.2, np.inf, 0.0)) if name == "leaky_relu" else Function(name)


def weight(rng: np.random.Generator, *shape: int) -> Array:
    """Normal numbers, of a size that keeps the sums over all axes but the first near one."""
    fan_in = int(np.prod(shape[1:]))
    values: Array = (rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)
    return values


def conv_lstm(
    rng: np.random.Generator,
    channels: int,
    filters: int,
    kernel_size: tuple[int, int] = (3, 3),
    *,
    use_bias: bool = True,
    **arguments: object,
) -> spec.ConvLSTM2D:
    """A ConvLSTM2D with random weights."""
    bias = rng.standard_normal(4 * filters) * 0.5 * use_bias
    return spec.ConvLSTM2D(
        filters,
        kernel_size,
        weight(rng, 4 * filters, channels, *kernel_size),
        weight(rng, 4 * filters, filters, *kernel_size),
        bias.astype(np.float32),
        **arguments,  # type: ignore[arg-type]
    )


def batch_normalization(
    rng: np.random.Generator, axis: int, length: int
) -> spec.BatchNormalization:
    """A BatchNormalization with random numbers, some of the scales negative."""
    scale, shift = rng.uniform(-1.5, 1.5, (2, length)).astype(np.float32)
    return spec.BatchNormalization(axis, scale, shift)


def dense(
    rng: np.random.Generator, size: int, units: int, activation: str = "linear"
) -> spec.Dense:
    """A Dense with random weights."""
    bias = rng.standard_normal(units).astype(np.float32)
    return spec.Dense(weight(rng, units, size).T, bias, function(activation))


@dataclass(frozen=True)
class Case:
    """One layer with inputs that fit it: ``x`` (N, T, *frame), and the singles h and c or None."""

    layer: spec.ConvLSTM2D
    x: Array
    h: Array | None = None
    c: Array | None = None

    def inputs(self) -> dict[str, Array]:
        """The inputs by the names that :meth:`network` gives them."""
        named = {"x": self.x, "h": self.h, "c": self.c}
        return {name: value for name, value in named.items() if value is not None}

    def network(self) -> NetworkSpec:
        """The layer as a network: outputs y, and last_h and last_c where it returns its state."""
        inputs = tuple(
            spec.Input(name, value.shape[2:] if name == "x" else value.shape[1:], name == "x")
            for name, value in self.inputs().items()
        )
        outputs = ("y", "last_h", "last_c")[: 3 if self.layer.return_state else 1]
        node = spec.Node("cell", self.layer, tuple(self.inputs()), outputs)
        return NetworkSpec("case", inputs, (node,), tuple(spec.Output(v, v) for v in outputs))


@st.composite
def conv_lstm_cases(
    draw: st.DrawFn, activations: Sequence[str] = BOUNDED, *, stateful: bool = False
) -> Case:
    """A ConvLSTM2D that Keras accepts too, and a batch for it."""
    kernel_size = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    # Keras refuses a layer that both skips and spreads.
    strides, dilation = draw(
        st.one_of(pairs.map(lambda p: (p, (1, 1))), pairs.map(lambda p: ((1, 1), p)))
    )
    padding = draw(st.sampled_from(("same", "valid")))
    # One axis short and one long, to see lengths around every vector width at little cost.
    sizes = draw(st.permutations((draw(st.integers(1, 6)), draw(st.integers(1, 40)))))
    if padding == "valid":
        sizes = [n + (k - 1) * d for n, k, d in zip(sizes, kernel_size, dilation, strict=True)]
    channels, filters = draw(st.integers(1, 5)), draw(st.integers(1, 20))
    data_format = draw(st.sampled_from(("channels_first", "channels_last")))
    initial_state = draw(st.booleans()) and not stateful
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layer = conv_lstm(
        rng,
        channels,
        filters,
        kernel_size,
        use_bias=draw(st.booleans()),
        strides=strides,
        padding=padding,
        data_format=data_format,
        dilation_rate=dilation,
        activation=function(draw(st.sampled_from(activations))),
        recurrent_activation=function(draw(st.sampled_from(("sigmoid", "hard_sigmoid")))),
        return_sequences=draw(st.booleans()),
        return_state=draw(st.booleans()),
        go_backwards=draw(st.booleans()),
        stateful=stateful,
        initial_state=initial_state,
    )
    frame = (channels, *sizes) if data_format == "channels_first" else (*sizes, channels)
    batch, steps = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    x = rng.standard_normal((batch, steps, *frame)).astype(np.float32)
    if not initial_state:
        return Case(layer, x)
    out = [
        spec.window_output(n, k, s, padding, d)
        for n, k, s, d in zip(sizes, kernel_size, strides, dilation, strict=True)
    ]
    state = (filters, *out) if data_format == "channels_first" else (*out, filters)
    h, c = rng.standard_normal((2, batch, *state)).astype(np.float32)
    return Case(layer, x, h, c)


@st.composite
def networks(draw: st.DrawFn) -> NetworkSpec:
    """A random tree of frame-wise and recurrent layers, where any value may be an output."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data_format = draw(st.sampled_from(("channels_first", "channels_last")))
    axis = 0 if data_format == "channels_first" else 2
    frame = (2, 5, 6) if axis == 0 else (5, 6, 2)
    net = NetworkSpec("net", (spec.Input("x", frame),), (), (spec.Output("x", "x"),))
    for k in range(draw(st.integers(1, 10))):
        values = net.values()
        source = draw(st.sampled_from(list(values)))
        shape = values[source].shape
        choices = ["dense", "flatten", "activation", "slice"]
        if len(shape) == 3:
            choices += ["norm", "pool"] + ["cell"] * 4 * values[source].sequence
        which = draw(st.integers(0, len(shape) - 1))
        layer: spec.Layer
        match draw(st.sampled_from(choices)):
            case "dense":
                layer = dense(rng, shape[-1], draw(st.integers(1, 6)))
            case "flatten":
                layer = spec.Flatten()
            case "activation":
                layer = spec.Activation(function(draw(st.sampled_from(("tanh", "softmax")))))
            case "slice":
                start = draw(st.integers(0, shape[which] - 1))
                layer = spec.Slice(which, start, draw(st.integers(start + 1, shape[which])))
            case "cell":
                layer = conv_lstm(
                    rng,
                    shape[axis],
                    draw(st.integers(1, 2)),
                    (2, 3),
                    padding="same",
                    data_format=data_format,
                    return_sequences=draw(st.sampled_from((True, True, True, False))),
                    go_backwards=draw(st.sampled_from((True, False, False, False))),
                )
            case "norm":
                layer = batch_normalization(rng, which, shape[which])
            case _:
                window = tuple(draw(st.tuples(*3 * [st.integers(1, 2)])))
                layer = spec.MaxPooling(window, window, "same")
        node = spec.Node(f"n{k}", layer, (source,), (f"n{k}",))
        net = replace(net, nodes=(*net.nodes, node))
    shown = draw(st.lists(st.sampled_from(sorted(net.values())), min_size=1, unique=True))
    return replace(net, outputs=tuple(spec.Output(f"out_{v}", v) for v in shown))


def genre_net(
    rows: int = 24,
    cols: int = 36,
    dense_units: Sequence[int] = (16, 8, 1),
    seed: int = 0,
    *,
    filters: tuple[int, int, int] = (20, 10, 5),
) -> NetworkSpec:
    """The network that scores six genres, with random weights; frames (3, rows, cols)."""
    rng = np.random.default_rng(seed)
    first, second, branch = filters
    nodes: list[spec.Node] = []

    def add(name: str, layer: spec.Layer, source: str) -> str:
        nodes.append(spec.Node(name, layer, (source,), (name,)))
        return name

    def stage(suffix: str, source: str, channels: int, filters: int, gate: str) -> str:
        layer = conv_lstm(
            rng,
            channels,
            filters,
            padding="same",
            data_format="channels_first",
            recurrent_activation=Function(gate),
            return_sequences=True,
        )
        return add(f"conv_lstm{suffix}", layer, source)

    def pool(suffix: str, source: str, size: int) -> str:
        window = (1, size, size)
        return add(f"pool{suffix}", spec.MaxPooling(window, window, "same"), source)

    value = stage("_1", "trailer_input", 3, first, "hard_sigmoid")
    value = pool("_1", add("norm_1", batch_normalization(rng, 2, cols), value), 2)
    half = -(-cols // 2)
    value = stage("_2", value, first, second, "sigmoid")
    trunk = pool("_2", add("norm_2", batch_normalization(rng, 2, half), value), 3)
    outputs = []
    for category in ("comedy", "action", "terror", "thriller", "musical", "other"):
        value = pool(f"_{category}", stage(f"_{category}", trunk, second, branch, "sigmoid"), 2)
        value = add(f"flatten_{category}", spec.Flatten(), value)
        size = branch * -(-rows // 12) * -(-cols // 12)
        for k, units in enumerate(dense_units):
            last = k == len(dense_units) - 1
            name = f"cat_{category}" if last else f"dense_{category}_{k}"
            value = add(name, dense(rng, size, units), value)
            size = units
        outputs.append(spec.Output(value, value, category))
    frames = spec.Input("trailer_input", (3, rows, cols))
    return NetworkSpec("genre", (frames,), tuple(nodes), tuple(outputs))
