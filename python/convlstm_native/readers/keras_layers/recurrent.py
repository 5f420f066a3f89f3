"""Keras layers that remember."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Parse, Tensor, take
from convlstm_native.spec import Array, Recurrent, Value

Shapes = dict[str, tuple[int, ...]]
Weights = dict[str, Array]


@dataclass(frozen=True)
class Cell:
    """What a recurrent layer does with one frame.

    ``arguments`` are those of ``kind`` that say so. There are so many ``weights``, of ``shapes`` by
    name in Keras' order for frames like a value; ``convert`` makes those of the spec of them, where True
    says that kernels are mirrored.
    """

    what: str
    kind: type[Recurrent]
    arguments: dict[str, Any]
    weights: int
    shapes: Callable[[Value], Shapes]
    convert: Callable[[Weights, bool], Weights]

    def call(
        self, site: CallSite, inputs: Sequence[Tensor], weights: tuple[Array, ...], flow: Flow
    ) -> tuple[Tensor, ...]:
        """A node of the cell on x and, where given, the initial states."""
        x, *states = inputs
        x = site.as_sequence(x)
        self._expect_frames(x.value)
        mask = () if x.mask is None else (x.mask,)
        given = take(replace(site, weights=weights), self.what, **self.shapes(x.value))
        make: Callable[..., Recurrent] = self.kind
        layer = make(
            **self.arguments,
            **self.convert(given, site.flip),
            **vars(flow),
            initial_state=bool(states),
            masked=bool(mask),
        )
        y, *last_states = site.add(layer, (x, *mask, *states))
        # Keras hands the mask on as it is, also where the frames come out last first.
        return (replace(y, mask=x.mask if flow.return_sequences else None), *last_states)

    def _expect_frames(self, x: Value) -> None:
        rank = self.kind.RANK + 1 if issubclass(self.kind, spec.ConvLSTM) else 1
        if not x.sequence or len(x.shape) != rank:
            raise UnsupportedModelError(f"expected a sequence of rank-{rank} frames, found {x}")


@dataclass(frozen=True)
class Flow:
    """How the frames of a sequence pass a cell, and what of them is wanted."""

    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    zero_output_for_mask: bool = False


def read_flow(args: Arguments) -> Flow:
    """The arguments that every recurrent layer has."""
    args.off("time_major", "return_runtime", "ragged")
    args.ignore("input_dim", "input_length")
    return Flow(
        return_sequences=args.flag("return_sequences", False),
        return_state=args.flag("return_state", False),
        go_backwards=args.flag("go_backwards", False),
        stateful=args.flag("stateful", False),
        zero_output_for_mask=args.flag("zero_output_for_mask", False),
    )


ReadCell = Callable[[Arguments], Cell]


def recurrent_activation(args: Arguments) -> spec.Function:
    """The function of the gates, whose default Keras 3 has changed."""
    default = "sigmoid" if args.keras_major >= 3 else "hard_sigmoid"
    return args.function("recurrent_activation", default)


def conv_lstm_cell(kind: type[spec.ConvLSTM]) -> ReadCell:
    """What ConvLSTM1D, ConvLSTM2D and ConvLSTM3D do with a frame."""

    def read(args: Arguments) -> Cell:
        rank = kind.RANK
        filters = args.count("filters")
        kernel_size = args.counts("kernel_size", rank, None)
        use_bias = args.flag("use_bias", True)
        data_format = args.data_format()
        arguments = {
            "filters": filters,
            "kernel_size": kernel_size,
            "strides": args.counts("strides", rank, 1),
            "padding": args.choice("padding", ("valid", "same"), "valid"),
            "data_format": data_format,
            "dilation_rate": args.counts("dilation_rate", rank, 1),
            "activation": args.function("activation", "tanh"),
            "recurrent_activation": recurrent_activation(args),
        }

        def shapes(x: Value) -> Shapes:
            channels = x.shape[0 if data_format == "channels_first" else rank]
            found: Shapes = {
                "kernel": (*kernel_size, channels, 4 * filters),
                "recurrent_kernel": (*kernel_size, filters, 4 * filters),
            }
            return found | ({"bias": (4 * filters,)} if use_bias else {})

        def convert(weights: Weights, flip: bool) -> Weights:
            return {
                "kernel": _channels_first(weights["kernel"], flip),
                "recurrent_kernel": _channels_first(weights["recurrent_kernel"], flip),
                "bias": weights.get("bias", np.zeros(4 * filters, np.float32)),
            }

        return Cell(args.what, kind, arguments, 2 + use_bias, shapes, convert)

    return read


def _channels_first(kernel: Array, flip: bool) -> Array:
    """Keras' ``(*size, in, out)`` as ``(out, in, *size)``; gates stay i, f, c, o."""
    axes = tuple(range(kernel.ndim - 2))
    if flip:
        kernel = np.flip(kernel, axes)
    return np.ascontiguousarray(kernel.transpose(kernel.ndim - 1, kernel.ndim - 2, *axes))


def _vector_cell(
    args: Arguments, kind: type[spec.VectorRecurrent], arguments: dict[str, Any]
) -> Cell:
    """A cell with Keras' usual three weights, which are those of the spec."""
    units = args.count("units")
    use_bias = args.flag("use_bias", True)
    columns = kind.GATES * units

    def shapes(x: Value) -> Shapes:
        found: Shapes = {
            "kernel": (x.shape[0], columns),
            "recurrent_kernel": (units, columns),
        }
        return found | ({"bias": (columns,)} if use_bias else {})

    def convert(weights: Weights, _: bool) -> Weights:
        return {"bias": np.zeros(columns, np.float32)} | weights

    arguments = {"units": units, "activation": args.function("activation", "tanh"), **arguments}
    return Cell(args.what, kind, arguments, 2 + use_bias, shapes, convert)


def lstm_cell(args: Arguments) -> Cell:
    """What LSTM does with a frame."""
    return _vector_cell(args, spec.LSTM, {"recurrent_activation": recurrent_activation(args)})


def simple_rnn_cell(args: Arguments) -> Cell:
    """What SimpleRNN does with a frame."""
    return _vector_cell(args, spec.SimpleRNN, {})


def gru_cell(args: Arguments) -> Cell:
    """What GRU does with a frame. Files from before ``reset_after`` came know no reset behind."""
    reset_after = args.flag("reset_after", False)
    gates = {"recurrent_activation": recurrent_activation(args), "reset_after": reset_after}
    cell = _vector_cell(args, spec.GRU, gates)
    if not reset_after:
        return cell

    # Two rows of biases, of the input and of the recurrent product.
    def shapes(x: Value) -> Shapes:
        found = cell.shapes(x)
        return found | ({"bias": (2, *found["bias"])} if "bias" in found else {})

    def convert(weights: Weights, flip: bool) -> Weights:
        if "bias" not in weights:
            return cell.convert(weights, flip)
        bias, recurrent_bias = weights["bias"]
        return weights | {"bias": bias, "recurrent_bias": recurrent_bias}

    return replace(cell, shapes=shapes, convert=convert)


def cudnn_cell(args: Arguments) -> Cell:
    """What Keras 2's CuDNNLSTM and CuDNNGRU do with a frame.

    Kernels are gates side by side, each as cuDNN keeps it: transposed in memory, though not in shape.
    There are two biases, one after the other.
    """
    lstm = args.layer.class_name == "CuDNNLSTM"
    kind: type[spec.VectorRecurrent] = spec.LSTM if lstm else spec.GRU
    units = args.count("units")
    sigmoid = spec.Function("sigmoid")
    arguments = {"units": units, "recurrent_activation": sigmoid}
    arguments |= {} if lstm else {"reset_after": True}
    columns = kind.GATES * units

    def shapes(x: Value) -> Shapes:
        return {
            "kernel": (x.shape[0], columns),
            "recurrent_kernel": (units, columns),
            "bias": (2 * columns,),
        }

    def transposed(kernel: Array) -> Array:
        gates = np.split(kernel, kind.GATES, axis=1)
        return np.concatenate([gate.reshape(gate.shape[::-1]).T for gate in gates], axis=1)

    def convert(weights: Weights, _: bool) -> Weights:
        bias, recurrent_bias = weights["bias"].reshape(2, columns)
        biases = {"bias": bias, "recurrent_bias": recurrent_bias}
        if lstm:
            biases = {"bias": bias + recurrent_bias}
        kernels = {name: transposed(weights[name]) for name in ("kernel", "recurrent_kernel")}
        return kernels | biases

    return Cell(args.what, kind, arguments, 3, shapes, convert)


CELLS: dict[str, ReadCell] = {
    "ConvLSTM1D": conv_lstm_cell(spec.ConvLSTM1D),
    "ConvLSTM2D": conv_lstm_cell(spec.ConvLSTM2D),
    "ConvLSTM3D": conv_lstm_cell(spec.ConvLSTM3D),
    "LSTM": lstm_cell,
    "GRU": gru_cell,
    "SimpleRNN": simple_rnn_cell,
    "CuDNNLSTM": cudnn_cell,
    "CuDNNGRU": cudnn_cell,
}


@dataclass(frozen=True)
class Stack:
    """The cells of a recurrent layer, mostly one: each reads the frames that the one before made."""

    cells: tuple[Cell, ...]
    flow: Flow

    @property
    def weights(self) -> int:
        """How many weights all cells have."""
        return sum(cell.weights for cell in self.cells)

    def call(
        self, site: CallSite, x: Tensor, states: Sequence[Tensor], weights: tuple[Array, ...]
    ) -> tuple[Tensor, ...]:
        """A node a cell; gives y and, where they are wanted, the last states of all cells."""
        names = [name for cell in self.cells for name in cell.kind.STATES]
        if states and len(states) != len(names):
            raise UnsupportedModelError(
                f"initial_state: expected {', '.join(names)}, found {len(states)} tensor(s)"
            )
        last_states: list[Tensor] = []
        for i, cell in enumerate(self.cells):
            more = i + 1 < len(self.cells)
            flow = replace(
                self.flow,
                return_sequences=self.flow.return_sequences or more,
                # The first cell turns the sequence for all.
                go_backwards=self.flow.go_backwards and i == 0,
            )
            own, weights = (
                (weights[: cell.weights], weights[cell.weights :]) if more else (weights, ())
            )
            given, states = states[: len(cell.kind.STATES)], states[len(cell.kind.STATES) :]
            x, *made = cell.call(site, (x, *given), own, flow)
            last_states += made
        return (x, *last_states)


def _layer(read_cell: ReadCell) -> Parse:
    def parse(args: Arguments) -> Builder:
        stack = Stack((read_cell(args),), read_flow(args))
        return lambda site: stack.call(site, site.inputs[0], site.inputs[1:], site.weights)

    return parse


LAYERS: dict[str, Parse] = {name: _layer(read_cell) for name, read_cell in CELLS.items()}
READS_TIME = RECURRENT = frozenset(LAYERS)
