"""Layers that remember."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from matrix import Row, layer, row

FUNCTIONS = ("tanh", "sigmoid", "relu", "linear", "softsign", "hard_sigmoid", "elu", "softplus")
VECTORS = {"LSTM": 2, "GRU": 1, "SimpleRNN": 1}  # with the number of their states
MAPS = {1: (9,), 2: (5, 6), 3: (4, 5, 3)}


def vectors(kind: str) -> Iterator[Row]:
    """LSTM, GRU or SimpleRNN, an argument a row."""

    def one(what: str, frames: int | None = 5, features: int = 3, **arguments: Any) -> Row:
        return layer(f"{kind} {what}", (frames, features), kind, **{"units": 4} | arguments)

    yield one("plain")
    yield one("sequences", return_sequences=True)
    yield one("no bias", use_bias=False)
    yield one("backwards", go_backwards=True)
    yield one("backwards sequences", go_backwards=True, return_sequences=True)
    yield one("states", return_state=True)
    yield one("states and sequences", return_state=True, return_sequences=True)
    yield one("states backwards", return_state=True, go_backwards=True)
    yield one("any number of frames", frames=None, return_sequences=True)
    yield one("one frame", frames=1)
    yield one("one unit of one feature", features=1, units=1, return_sequences=True)
    yield one("units around a vector", features=17, units=33, return_sequences=True)
    yield one("dropout", dropout=0.3, recurrent_dropout=0.2)
    yield one("unrolled", unroll=True, return_sequences=True)
    for name in FUNCTIONS:
        yield one(f"activation {name}", activation=name, return_sequences=True)
    yield Row(
        f"{kind} initial state",
        ((5, 3), *[(4,)] * VECTORS[kind]),
        lambda keras, x, *states: getattr(keras.layers, kind)(
            4, return_sequences=True, return_state=True
        )(x, initial_state=list(states)),
    )
    yield Row(
        f"{kind} hands its state on",
        ((5, 3), (5, 2)),
        lambda keras, x, y: _handed_on(keras, kind, x, y),
    )


def _handed_on(keras: Any, kind: str, x: Any, y: Any) -> Any:
    """An encoder and a decoder: the second layer starts from the last states of the first."""
    make = getattr(keras.layers, kind)
    _, *states = make(4, return_state=True)(x)
    return make(4, return_sequences=True)(y, initial_state=states)


def gates(kind: str, **arguments: Any) -> Iterator[Row]:
    """The arguments of layers with gates."""
    for name in ("hard_sigmoid", "sigmoid", "relu", "tanh"):
        yield layer(
            f"{kind} gates {name} {arguments or ''}",
            (5, 3),
            kind,
            units=4,
            recurrent_activation=name,
            return_sequences=True,
            **arguments,
        )


def resets() -> Iterator[Row]:
    """GRU with the reset gate before and behind the product."""
    for reset_after in (True, False):
        for use_bias in (True, False):
            for backwards in (True, False):
                yield layer(
                    f"GRU reset_after={reset_after} bias={use_bias} backwards={backwards}",
                    (5, 3),
                    "GRU",
                    units=5,
                    reset_after=reset_after,
                    use_bias=use_bias,
                    go_backwards=backwards,
                    return_sequences=True,
                )
    yield from gates("GRU", reset_after=False)


def maps(rank: int) -> Iterator[Row]:
    """ConvLSTM1D, ConvLSTM2D or ConvLSTM3D, an argument a row."""
    kind = f"ConvLSTM{rank}D"

    def one(what: str, data_format: str = "channels_last", **arguments: Any) -> Row:
        first = data_format == "channels_first"
        shape = (5, 3, *MAPS[rank]) if first else (5, *MAPS[rank], 3)
        arguments = {"filters": 2, "kernel_size": (3, 2, 3)[:rank]} | arguments
        return layer(
            f"{kind} {what} {data_format}", shape, kind, data_format=data_format, **arguments
        )

    for data_format in ("channels_first", "channels_last"):
        for padding in ("same", "valid"):
            for sequences in (True, False):
                yield one(
                    f"{padding} sequences={sequences}",
                    data_format,
                    padding=padding,
                    return_sequences=sequences,
                )
            yield one(
                f"{padding} strides",
                data_format,
                padding=padding,
                strides=(2, 3, 2)[:rank],
                return_sequences=True,
            )
            yield one(
                f"{padding} dilation",
                data_format,
                padding=padding,
                kernel_size=2,
                dilation_rate=(2, 3, 2)[:rank],
                return_sequences=True,
            )
        yield one("states", data_format, padding="same", return_state=True)
        yield one("backwards", data_format, go_backwards=True, return_sequences=True)
    yield one("no bias", use_bias=False)
    yield one("even kernel", kernel_size=(2, 4, 2)[:rank], padding="same", return_sequences=True)
    yield one("one pixel", kernel_size=1, return_sequences=True)
    yield one("relu", activation="relu", recurrent_activation="sigmoid", return_sequences=True)
    yield one("hard gates", recurrent_activation="hard_sigmoid", return_sequences=True)
    yield one("dropout", dropout=0.2, recurrent_dropout=0.1)
    yield one("many filters", filters=9, padding="same", return_sequences=True)
    state = (*MAPS[rank], 2)
    yield Row(
        f"{kind} initial state",
        ((5, *MAPS[rank], 3), state, state),
        lambda keras, x, h, c: getattr(keras.layers, kind)(
            2, 3, padding="same", return_sequences=True, return_state=True
        )(x, initial_state=[h, c]),
    )


def behind(name: str, build: Callable[..., Any], **options: Any) -> Row:
    """A recurrent layer among others, on maps."""
    return Row(name, ((5, 6, 7, 2),), build, **options)


def _lrcn(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = layers.TimeDistributed(layers.MaxPooling2D(2))(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    x = layers.LSTM(6, return_sequences=True)(x)
    return layers.TimeDistributed(layers.Dense(3, activation="softmax"))(x)


def _two_maps(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = layers.ConvLSTM2D(3, 3, return_sequences=True, go_backwards=True)(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    return layers.GRU(4)(layers.SimpleRNN(5, return_sequences=True)(x))


def bidirectional(kind: str) -> Iterator[Row]:
    """Bidirectional around a layer, by mode, output and argument."""
    rank = int(kind[-2]) if kind.startswith("ConvLSTM") else 0
    shape = (5, *MAPS[rank], 3) if rank else (5, 3)
    basic: dict[str, Any] = {"units": 4}
    if rank:
        basic = {"filters": 2, "kernel_size": 3, "padding": "same"}

    def one(what: str, mode: str | None = "concat", **arguments: Any) -> Row:
        def build(keras: Any, x: Any) -> Any:
            inner = getattr(keras.layers, kind)(**basic, **arguments)
            return keras.layers.Bidirectional(inner, merge_mode=mode)(x)

        return row(f"Bidirectional {kind} {what} {mode}", shape, build)

    for mode in ("concat", "sum", "mul", "ave", None):
        yield one("sequences", mode, return_sequences=True)
        yield one("last", mode)
    yield one("states", return_state=True)
    yield one("states and sequences", None, return_state=True, return_sequences=True)
    yield one("no bias", use_bias=False, return_sequences=True)
    if rank:
        return

    def turned(keras: Any, x: Any) -> Any:
        make = getattr(keras.layers, kind)
        first = make(4, return_sequences=True, go_backwards=True)
        return keras.layers.Bidirectional(first, backward_layer=make(4, return_sequences=True))(x)

    yield row(f"Bidirectional {kind} turned", shape, turned)

    def different(keras: Any, x: Any) -> Any:
        back = keras.layers.GRU(4, go_backwards=True, return_sequences=True, use_bias=False)
        make = getattr(keras.layers, kind)(4, return_sequences=True)
        return keras.layers.Bidirectional(make, backward_layer=back)(x)

    yield row(f"Bidirectional {kind} and GRU", shape, different)
    count = 2 * VECTORS[kind]
    yield Row(
        f"Bidirectional {kind} initial state",
        ((5, 3), *[(4,)] * count),
        lambda keras, x, *states: keras.layers.Bidirectional(
            getattr(keras.layers, kind)(4, return_sequences=True, return_state=True)
        )(x, initial_state=list(states)),
    )


def cells() -> Iterator[Row]:
    """RNN around cells, alone and stacked."""

    def one(what: str, make: Callable[..., Any], **arguments: Any) -> Row:
        def build(keras: Any, x: Any) -> Any:
            return _flat(keras.layers.RNN(make(keras.layers), **arguments)(x))

        return row(f"RNN {what}", (5, 3), build)

    yield one("LSTMCell", lambda k: k.LSTMCell(4), return_sequences=True)
    yield one("GRUCell", lambda k: k.GRUCell(4), return_state=True)
    yield one("GRUCell before", lambda k: k.GRUCell(4, reset_after=False), return_sequences=True)
    yield one("SimpleRNNCell", lambda k: k.SimpleRNNCell(4, "relu"), go_backwards=True)

    def stack(k: Any) -> list[Any]:
        return [k.LSTMCell(4), k.GRUCell(3), k.LSTMCell(2, use_bias=False), k.SimpleRNNCell(5)]

    yield one("stack", stack)
    yield one("stack sequences", stack, return_sequences=True)
    yield one("stack backwards", stack, return_sequences=True, go_backwards=True)
    yield one("stack states", stack, return_state=True, return_sequences=True)
    yield Row(
        "RNN stack initial state",
        ((5, 3), (2,), (2,), (3,)),
        lambda keras, x, h, c, s: keras.layers.RNN(
            [keras.layers.LSTMCell(2), keras.layers.GRUCell(3)]
        )(x, initial_state=[[h, c], s]),
    )
    yield row(
        "Bidirectional RNN stack",
        (5, 3),
        lambda keras, x: keras.layers.Bidirectional(
            keras.layers.RNN(stack(keras.layers), return_sequences=True), merge_mode="sum"
        )(x),
    )


def _flat(made: Any) -> Any:
    """Nested states side by side."""
    if not isinstance(made, (list, tuple)):
        return made
    return [
        tensor for part in made for tensor in (part if isinstance(part, (list, tuple)) else [part])
    ]


def _two_ways(keras: Any, x: Any) -> Any:
    """LRCN both ways over pooled maps, behind a ConvLSTM both ways."""
    layers = keras.layers
    x = layers.Bidirectional(layers.ConvLSTM2D(2, 3, dilation_rate=2, return_sequences=True))(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    return layers.Bidirectional(layers.GRU(3), merge_mode="mul")(x)


def masked() -> Iterator[Row]:
    """Layers behind Masking; the mask is 1 where the first feature is positive."""

    def one(what: str, build: Callable[..., Any]) -> Row:
        def masked_build(keras: Any, x: Any) -> Any:
            layers = keras.layers
            # Both features of a frame are 0 or neither is: relu gives zeros half of the time.
            x = layers.Dense(1, "relu", use_bias=False)(x)
            return build(layers, layers.Masking()(layers.Concatenate()([x, x])))

        return row(f"Masking {what}", (7, 1), masked_build)

    for kind in VECTORS:
        for sequences in (True, False):
            for backwards in (True, False):
                arguments = {"return_sequences": sequences, "go_backwards": backwards}
                yield one(
                    f"{kind} {arguments}",
                    lambda k, x, kind=kind, arguments=arguments: getattr(k, kind)(
                        4, return_state=True, **arguments
                    )(x),
                )
        yield one(
            f"{kind} twice",
            lambda k, x, kind=kind: getattr(k, kind)(3)(
                getattr(k, kind)(4, return_sequences=True)(x)
            ),
        )
        yield one(
            f"{kind} zeros",
            lambda k, x, kind=kind: getattr(k, kind)(
                4, return_sequences=True, zero_output_for_mask=True
            )(x),
        )
        for sequences in (True, False):
            yield one(
                f"Bidirectional {kind} sequences={sequences}",
                lambda k, x, kind=kind, sequences=sequences: k.Bidirectional(
                    getattr(k, kind)(4, return_sequences=sequences)
                )(x),
            )
    yield one(
        "carried",
        lambda k, x: k.LSTM(3)(
            k.TimeDistributed(k.Dense(4))(
                k.Dropout(0.2)(k.Dense(5, "tanh")(k.Activation("relu")(x)))
            )
        ),
    )
    yield one("stack", lambda k, x: k.RNN([k.LSTMCell(3), k.GRUCell(4)], return_sequences=True)(x))
    yield one("dropped", lambda k, x: k.LSTM(3)(k.Conv1D(4, 3, padding="same")(x)))
    yield one("added", lambda k, x: k.LSTM(3)(k.Add()([x, k.Masking(0.5)(k.ReLU()(x))])))
    yield one("added to one without", lambda k, x: k.LSTM(3)(k.Add()([x, k.Conv1D(2, 1)(x)])))
    yield one("value", lambda k, x: k.GRU(3)(k.Masking(0.25)(k.Activation("tanh")(x))))


ROWS: list[Row] = [
    *(one for kind in VECTORS for one in vectors(kind)),
    *gates("LSTM"),
    *gates("GRU"),
    *resets(),
    *(one for rank in MAPS for one in maps(rank)),
    *(one for kind in (*VECTORS, *map("ConvLSTM{}D".format, MAPS)) for one in bidirectional(kind)),
    *cells(),
    *masked(),
    behind("Bidirectional one behind the other", _two_ways),
    behind("LSTM behind pooled maps", _lrcn),
    behind("recurrent layers one behind the other", _two_maps),
]
