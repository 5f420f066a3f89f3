"""Functional Keras models of 3 to 12 layers, drawn from a seed.

A model grows from its inputs: each step takes a layer that fits one of the tensors so far, often the newest,
or joins two that fit together. What no layer has read at the end is an output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

# A tensor by its axes beside batch: T time, H and W of a map, C channels or features.
Rule = tuple[str, Callable[[Any, Random, Any], Any]]


def _conv_lstm(k: Any, r: Random, x: Any, **more: Any) -> Any:
    return k.layers.ConvLSTM2D(
        r.randint(1, 4),
        r.choice((1, 2, 3)),
        strides=r.choice((1, 1, 2)),
        padding="same",
        activation=r.choice(("tanh", "softsign")),
        recurrent_activation=r.choice(("sigmoid", "hard_sigmoid")),
        go_backwards=r.random() < 0.15,
        **more,
    )(x)


def _bidirectional(k: Any, r: Random, x: Any) -> Any:
    inner = k.layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True)
    return k.layers.Bidirectional(inner, merge_mode=r.choice(("concat", "sum", "ave")))(x)


def _recurrent(k: Any, r: Random, x: Any, sequences: bool) -> Any:
    kind = r.choice((k.layers.LSTM, k.layers.GRU, k.layers.SimpleRNN))
    return kind(r.randint(1, 5), return_sequences=sequences)(x)


def _conv2d(k: Any, r: Random) -> Any:
    return r.choice(
        (
            lambda: k.layers.Conv2D(r.randint(1, 4), r.choice((1, 3)), padding="same"),
            lambda: k.layers.Conv2D(3, 2, strides=2, padding="same", activation="relu"),
            lambda: k.layers.DepthwiseConv2D(3, padding="same"),
            lambda: k.layers.SeparableConv2D(3, 3, padding="same"),
            lambda: k.layers.Conv2DTranspose(2, 2, strides=2, padding="same"),
            lambda: k.layers.MaxPooling2D(2, padding="same"),
            lambda: k.layers.AveragePooling2D(2, padding="same"),
            lambda: k.layers.UpSampling2D(2),
            lambda: k.layers.ZeroPadding2D(1),
        )
    )()


def _any_frame(k: Any, r: Random) -> Any:
    return r.choice(
        (
            lambda: k.layers.Activation(r.choice(("relu", "tanh", "sigmoid", "elu"))),
            lambda: k.layers.LeakyReLU(0.1),
            lambda: k.layers.BatchNormalization(),
            lambda: k.layers.LayerNormalization(),
            lambda: k.layers.Dense(r.randint(1, 5), activation=r.choice(("linear", "tanh"))),
            lambda: k.layers.Dropout(0.3),
            lambda: k.layers.Rescaling(0.5, 0.1),
            lambda: k.layers.Softmax(),
        )
    )()


RULES: list[Rule] = [
    ("THWC", lambda k, r, x: _conv_lstm(k, r, x, return_sequences=True)),
    ("THWC", lambda k, r, x: _conv_lstm(k, r, x, return_sequences=True)),
    ("THWC", lambda k, r, x: _conv_lstm(k, r, x)),
    ("THWC", _bidirectional),
    ("THWC", lambda k, r, x: k.layers.TimeDistributed(_conv2d(k, r))(x)),
    ("THWC", lambda k, r, x: k.layers.TimeDistributed(_conv2d(k, r))(x)),
    ("THWC", lambda k, r, x: _any_frame(k, r)(x)),
    ("THWC", lambda k, r, x: _any_frame(k, r)(x)),
    ("THWC", lambda k, r, x: k.layers.Conv3D(2, (3, 3, 3), padding="same")(x)),
    ("THWC", lambda k, r, x: k.layers.MaxPooling3D((1, 2, 2), padding="same")(x)),
    ("THWC", lambda k, r, x: k.layers.TimeDistributed(k.layers.Flatten())(x)),
    ("THWC", lambda k, r, x: k.layers.TimeDistributed(k.layers.GlobalAveragePooling2D())(x)),
    ("THWC", lambda k, r, x: k.layers.GlobalAveragePooling3D()(x)),
    ("TC", lambda k, r, x: _recurrent(k, r, x, True)),
    ("TC", lambda k, r, x: _recurrent(k, r, x, False)),
    ("TC", lambda k, r, x: _any_frame(k, r)(x)),
    ("TC", lambda k, r, x: k.layers.Conv1D(3, 3, padding=r.choice(("same", "causal")))(x)),
    ("TC", lambda k, r, x: k.layers.GlobalMaxPooling1D()(x)),
    ("TC", lambda k, r, x: k.layers.Bidirectional(k.layers.LSTM(2, return_sequences=True))(x)),
    ("HWC", lambda k, r, x: _conv2d(k, r)(x)),
    ("HWC", lambda k, r, x: _any_frame(k, r)(x)),
    ("HWC", lambda k, r, x: k.layers.Flatten()(x)),
    ("HWC", lambda k, r, x: k.layers.GlobalMaxPooling2D()(x)),
    ("C", lambda k, r, x: _any_frame(k, r)(x)),
    ("C", lambda k, r, x: k.layers.RepeatVector(4)(x)),
]
AXES = {5: "THWC", 4: "HWC", 3: "TC", 2: "C"}
LARGEST = 2000  # numbers a frame


@dataclass
class Growth:
    """A model while it grows: the tensors so far, and how often each was read."""

    keras: Any
    random: Random
    tensors: list[Any]
    reads: dict[int, int] = field(default_factory=dict)
    layers: int = 0

    def read(self, x: Any) -> Any:
        self.reads[id(x)] = self.reads.get(id(x), 0) + 1
        return x

    def add(self, y: Any) -> None:
        self.tensors.append(y)
        self.layers += 1

    def grow(self) -> None:
        if self.random.random() < 0.2 and self.join():
            return
        # The newest tensors are the likeliest.
        x = self.tensors[-1 - min(int(self.random.expovariate(1.0)), len(self.tensors) - 1)]
        rules = [rule for axes, rule in RULES if axes == AXES[len(x.shape)]]
        y = self.random.choice(rules)(self.keras, self.random, x)
        size = 1
        for n in y.shape[1:]:
            size *= n or 1
        if size <= LARGEST:
            self.read(x)
            self.add(y)

    def join(self) -> bool:
        """Two tensors of one shape become one; of one shape but for the channels, concatenated."""
        layers = self.keras.layers
        a = self.random.choice(self.tensors)
        for b in self.random.sample(self.tensors, len(self.tensors)):
            if b is a or tuple(b.shape[:-1]) != tuple(a.shape[:-1]):
                continue
            if b.shape == a.shape:
                kind = self.random.choice(
                    (layers.Add, layers.Multiply, layers.Maximum, layers.Average)
                )
            else:
                kind = layers.Concatenate
            self.add(kind()([self.read(a), self.read(b)]))
            return True
        return False


def build(keras: Any, seed: int, frames: int | None, prefix: str) -> tuple[list[Any], list[Any]]:
    """Inputs and outputs of the model of a seed."""
    random = Random(seed)
    inputs = [
        keras.Input((frames, random.randint(3, 6), random.randint(3, 6), 2), name=f"{prefix}_{i}")
        for i in range(random.choice((1, 1, 1, 2)))
    ]
    growth = Growth(keras, random, list(inputs))
    wanted = random.randint(3, 12)
    for _ in range(4 * wanted):
        if growth.layers >= wanted:
            break
        growth.grow()
    outputs = [x for x in growth.tensors if not growth.reads.get(id(x)) and not _is(x, inputs)]
    used = [x for x in inputs if growth.reads.get(id(x))]
    return used, outputs


def _is(x: Any, others: list[Any]) -> bool:
    return any(x is other for other in others)
