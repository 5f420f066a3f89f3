"""The networks of the suite: shapes people use, with seeded weights that keep their states bounded.

Each is built once, in Keras, and saved as ``.keras``; whatever runs in a benchmark gets its weights from
that file. Keras is imported only when a network is built, so the shapes can be read without it.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from convlstm_native import spec
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TOOLS = Path(__file__).parents[1] / "tools"


@dataclass(frozen=True)
class Cell:
    """A ConvLSTM2D of a stack, ``return_sequences=True``."""

    filters: int
    kernel: int = 3
    activation: str = "tanh"
    padding: str = "same"
    recurrent_activation: str = "sigmoid"


@dataclass(frozen=True)
class Norm:
    """A BatchNormalization over the channels."""


@dataclass(frozen=True)
class Pool:
    """A ``MaxPooling3D((1, size, size), padding="same")``."""

    size: int


@dataclass(frozen=True)
class CellShape:
    """One ConvLSTM2D on its own: what goes in, and its arguments."""

    channels: int
    rows: int
    cols: int
    cell: Cell
    data_format: str

    @property
    def title(self) -> str:
        """For tables: ``3 -> 20 at 400x400, 3x3``, then whatever is not the default."""
        cell = self.cell
        text = f"{self.channels} -> {cell.filters} at {self.rows}x{self.cols}"
        text += f", {cell.kernel}x{cell.kernel}"
        unusual = [cell.activation] * (cell.activation != "tanh")
        unusual += [cell.padding] * (cell.padding != "same")
        unusual += [cell.recurrent_activation] * (cell.recurrent_activation != "sigmoid")
        return ", ".join([text, *unusual])

    @property
    def frame(self) -> tuple[int, int, int]:
        """Shape of a frame in ``data_format``."""
        if self.data_format == "channels_first":
            return self.channels, self.rows, self.cols
        return self.rows, self.cols, self.channels


@dataclass(frozen=True)
class Network:
    """A network of the suite: a stack of stages, or the genre net where ``stages`` is empty.

    ``frames`` is the length of the clip that is timed: the smaller the network, the longer.
    Hidden networks run only when they are asked for by name.
    """

    name: str
    what: str
    frame: tuple[int, int, int]
    frames: int
    data_format: str = "channels_last"
    stages: tuple[Cell | Norm | Pool, ...] = ()
    hidden: bool = False

    def cells(self) -> list[CellShape]:
        """Every ConvLSTM2D with the shape of its input, in order; siblings once."""
        if self.data_format == "channels_first":
            channels, rows, cols = self.frame
        else:
            rows, cols, channels = self.frame
        shapes = []
        for stage in self.stages or _GENRE_STAGES:
            if isinstance(stage, Cell):
                shapes.append(CellShape(channels, rows, cols, stage, self.data_format))
                channels = stage.filters
                rows, cols = (
                    spec.window_output(n, stage.kernel, 1, stage.padding) for n in (rows, cols)
                )
            elif isinstance(stage, Pool):
                rows, cols = (math.ceil(n / stage.size) for n in (rows, cols))
        return shapes


# One of the six branches stands for all.
_FIRST = Cell(20, recurrent_activation="hard_sigmoid")
_GENRE_STAGES = (_FIRST, Norm(), Pool(2), Cell(10), Norm(), Pool(3), Cell(5), Pool(2))


def _genre(size: int, frames: int, hidden: bool = False) -> Network:
    what = f"six genres of a trailer, {size}x{size}"
    frame = (3, size, size)
    return Network(f"genre-{size}", what, frame, frames, "channels_first", hidden=hidden)


def _activity(size: int, frames: int) -> Network:
    """The cells and pools of the published human-activity notebook, without its head over all frames."""
    stages: list[Cell | Norm | Pool] = []
    for filters in (4, 8, 14, 16):
        stages += [Cell(filters, padding="valid"), Pool(2)]
    what = f"human activity, 4-8-14-16 filters valid, {size}x{size}"
    return Network(f"activity-{size}", what, (size, size, 3), frames, stages=tuple(stages))


NETWORKS = {
    network.name: network
    for network in (
        _genre(400, 8),
        _genre(100, 32),
        Network(
            "next-frame",
            "keras.io next-frame prediction, 64 filters 5x5, 3x3, 1x1, relu, without its Conv3D",
            (64, 64, 1),
            8,
            stages=(
                Cell(64, 5, "relu"),
                Norm(),
                Cell(64, 3, "relu"),
                Norm(),
                Cell(64, 1, "relu"),
            ),
        ),
        Network(
            "anomaly",
            "bottleneck of a video-anomaly auto-encoder, 64-32-64 filters",
            (32, 32, 64),
            16,
            stages=(Cell(64), Cell(32), Cell(64)),
        ),
        Network(
            "nowcasting",
            "radar nowcasting, 1 -> 64 -> 64",
            (128, 128, 1),
            4,
            stages=(Cell(64), Cell(64)),
        ),
        _activity(64, 40),
        _activity(128, 20),
        Network(
            "cnn-128", "128 filters on the maps of a CNN", (16, 16, 128), 16, stages=(Cell(128),)
        ),
        Network(
            "tiny",
            "for tests: 3 -> 4 -> 5, one layer valid",
            (9, 10, 3),
            3,
            stages=(Cell(4), Norm(), Pool(2), Cell(5, activation="relu", padding="valid")),
            hidden=True,
        ),
        _genre(48, 2, hidden=True),
    )
}


def suite() -> list[Network]:
    """All networks that are not hidden."""
    return [network for network in NETWORKS.values() if not network.hidden]


def cell_network(shape: CellShape, seed: int = 0, sequences: bool = True) -> spec.NetworkSpec:
    """One ConvLSTM2D with seeded weights as a network of its own, that shows each h or the last."""
    cell, rng = shape.cell, np.random.default_rng(seed)
    size = (cell.kernel, cell.kernel)
    gain = _RECURRENT_GAIN.get(cell.activation, 1.0)
    layer = spec.ConvLSTM2D(
        cell.filters,
        size,
        _normal(rng, (4 * cell.filters, shape.channels, *size), shape.channels * cell.kernel**2),
        _normal(rng, (4 * cell.filters, cell.filters, *size), cell.filters * cell.kernel**2, gain),
        _normal(rng, (4 * cell.filters,), 4),
        padding=cell.padding,
        data_format=shape.data_format,
        activation=spec.Function(cell.activation),
        recurrent_activation=spec.Function(cell.recurrent_activation),
        return_sequences=sequences,
    )
    return spec.NetworkSpec(
        shape.title,
        (spec.Input("frames", shape.frame),),
        (spec.Node("cell", layer, ("frames",), ("h",)),),
        (spec.Output("h", "h"),),
    )


def clip(network: Network, frames: int | None = None, seed: int = 1) -> Floats:
    """Random frames for a network, uniform in [0, 1)."""
    shape = (frames or network.frames, *network.frame)
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def write_keras(name: str, path: str) -> None:
    """Build a network in Keras with seeded weights and save it; imports Keras."""
    import keras

    network = NETWORKS[name]
    model = _keras_stack(keras, network) if network.stages else _keras_genre(network)
    seed_weights(model, seed=0)
    model.save(path)


def _keras_genre(network: Network) -> Any:
    sys.path.insert(0, str(TOOLS))
    from genre_net import build_genre_net

    _, rows, cols = network.frame
    return build_genre_net(rows, cols)


def _keras_stack(keras: Any, network: Network) -> Any:
    layers = keras.layers
    x = frames = keras.Input((None, *network.frame), name="frames")
    for stage in network.stages:
        if isinstance(stage, Cell):
            arguments = dataclasses.asdict(stage)
            layer = layers.ConvLSTM2D(
                arguments.pop("filters"),
                arguments.pop("kernel"),
                data_format=network.data_format,
                return_sequences=True,
                **arguments,
            )
        elif isinstance(stage, Norm):
            layer = layers.BatchNormalization()
        else:
            layer = layers.MaxPooling3D(
                (1, stage.size, stage.size), padding="same", data_format=network.data_format
            )
        x = layer(x)
    return keras.Model(frames, x, name=network.name.replace("-", "_"))


# The state of a relu cell has no bound of its own: with these weights it settles near one.
_RECURRENT_GAIN = {"relu": 0.3}


def _normal(
    rng: np.random.Generator, shape: Sequence[int], fan_in: int, gain: float = 1.0
) -> Floats:
    values: Floats = (gain / np.sqrt(fan_in) * rng.standard_normal(shape)).astype(np.float32)
    return values


def seed_weights(model: Any, seed: int) -> None:
    """Weights that depend on the seed alone, not on the back end that Keras happens to use."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        # A TimeDistributed holds the weights of the layer inside it.
        inner = getattr(layer, "layer", layer)
        activation = getattr(getattr(inner, "activation", None), "__name__", "")
        for variable in layer.weights:
            shape = tuple(variable.shape)
            match variable.path.rsplit("/", 1)[-1]:
                case "kernel":
                    value = _normal(rng, shape, math.prod(shape[:-1]))
                case "recurrent_kernel":
                    gain = _RECURRENT_GAIN.get(activation, 1.0)
                    value = _normal(rng, shape, math.prod(shape[:-1]), gain)
                case "gamma" | "moving_variance":
                    value = rng.uniform(0.5, 1.5, shape).astype(np.float32)
                case _:
                    value = _normal(rng, shape, 4)
            variable.assign(value)
