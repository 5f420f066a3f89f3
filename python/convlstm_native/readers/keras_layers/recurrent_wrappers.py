"""Keras' RNN and Bidirectional: recurrent layers made of others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_graph import expect, parse_layer
from convlstm_native.readers.keras_layers.base import Builder, CallSite, Parse, Tensor, identity
from convlstm_native.readers.keras_layers.recurrent import (
    CELLS,
    Cell,
    ReadCell,
    Stack,
    gru_cell,
    lstm_cell,
    read_flow,
    simple_rnn_cell,
)

# Cells that Keras saves by themselves.
RNN_CELLS: dict[str, ReadCell] = {
    "LSTMCell": lstm_cell,
    "GRUCell": gru_cell,
    "SimpleRNNCell": simple_rnn_cell,
}


def _inner(args: Arguments, config: object) -> Arguments:
    """The arguments of a layer or a cell within this one, under this one's name."""
    inner = parse_layer(
        {"config": {}, **expect({"layer": config}, "layer", dict, args.what)}, args.what
    )
    if inner.custom:
        raise UnsupportedModelError(
            f"{args.what}: expected a layer of Keras within, found custom Python code "
            f"({inner.class_name}), which is never run"
        )
    return Arguments(replace(inner, name=args.layer.name), args.keras_major)


def _finish(inner: Arguments, outer: Arguments) -> None:
    """Check what is left, and tell the layer around of the precision."""
    inner.read_precision()
    inner.finish()
    outer.precision = inner.precision


def _cells(args: Arguments, config: object) -> tuple[Cell, ...]:
    """The cell of an RNN layer, or those of its StackedRNNCells."""
    inner = _inner(args, config)
    kind = inner.layer.class_name
    if kind == "StackedRNNCells":
        inner.off("reverse_state_order")
        cells = expect(inner.layer.arguments, "cells", list, inner.what)
        inner.seen.add("cells")
        found = [cell for one in cells for cell in _cells(args, one)]
    elif kind in RNN_CELLS:
        found = [RNN_CELLS[kind](inner)]
    else:
        known = ", ".join((*RNN_CELLS, "StackedRNNCells"))
        raise UnsupportedModelError(f"{args.what}: cell: expected one of {known}, found {kind}")
    _finish(inner, args)
    if not found:
        raise UnsupportedModelError(f"{args.what}: cell: expected at least one, found none")
    return tuple(found)


def read_stack(args: Arguments) -> Stack:
    """What an RNN or any other recurrent layer computes.

    Raises :class:`UnsupportedModelError` when ``args`` are those of another layer.
    """
    kind = args.layer.class_name
    if kind == "RNN":
        args.seen.add("cell")
        cells = _cells(args, expect(args.layer.arguments, "cell", dict, args.what))
    elif kind in CELLS:
        cells = (CELLS[kind](args),)
    else:
        known = ", ".join((*CELLS, "RNN"))
        raise UnsupportedModelError(f"{args.what}: layer: expected one of {known}, found {kind}")
    return Stack(cells, read_flow(args))


def _rnn(args: Arguments) -> Builder:
    args.off("num_constants")
    stack = read_stack(args)
    return lambda site: stack.call(site, site.inputs[0], site.inputs[1:], site.weights)


MERGES = {"sum": "add", "mul": "multiply", "ave": "average"}


def _bidirectional(args: Arguments) -> Builder:
    args.off("num_constants")
    args.seen |= {"layer", "backward_layer", "merge_mode"}
    # Null is a mode of its own, not the default.
    mode = args.layer.arguments.get("merge_mode", "concat")
    if mode is not None and mode != "concat" and mode not in MERGES:
        args.reject("merge_mode", "concat, sum, mul, ave or null", mode)
        return identity
    forward = _direction(args, "layer")
    if args.layer.arguments.get("backward_layer") is None:
        turned = replace(forward.flow, go_backwards=not forward.flow.go_backwards)
        backward = replace(forward, flow=turned)
    else:
        backward = _direction(args, "backward_layer")
    if replace(backward.flow, go_backwards=not backward.flow.go_backwards) != forward.flow:
        args.reject("backward_layer", f"{forward.flow} the other way round", backward.flow)

    forward, backward = (_zeros_for_mask(stack) for stack in (forward, backward))

    def build(site: CallSite) -> tuple[Tensor, ...]:
        x, *states = site.inputs
        half = len(states) // 2
        weights = site.weights[: forward.weights], site.weights[forward.weights :]
        y, *last = forward.call(site, x, states[:half], weights[0])
        back, *last_back = backward.call(site, x, states[half:], weights[1])
        if backward.flow.return_sequences:
            (back,) = site.add(spec.Reverse(), (back,))
        merged = (replace(tensor, mask=y.mask) for tensor in _merged(site, mode, y, back))
        return (*merged, *last, *last_back)

    return build


def _zeros_for_mask(stack: Stack) -> Stack:
    """Bidirectional shows zeros for masked frames of a sequence, whatever the layers say."""
    flow = stack.flow
    return replace(stack, flow=replace(flow, zero_output_for_mask=flow.return_sequences))


def _direction(args: Arguments, name: str) -> Stack:
    inner = _inner(args, args.layer.arguments.get(name))
    stack = read_stack(inner)
    _finish(inner, args)
    return stack


def _merged(site: CallSite, mode: str | None, y: Tensor, back: Tensor) -> tuple[Tensor, ...]:
    if mode is None:
        return y, back
    if mode == "concat":
        return site.add(spec.Concatenate(len(y.value.shape) - 1), (y, back))
    return site.add(spec.Merge(MERGES[mode]), (y, back))


def _masking(args: Arguments) -> Builder:
    # As float32, in which Keras compares.
    value = float(str(np.float32(args.number("mask_value", 0.0))))

    def build(site: CallSite) -> tuple[Tensor, ...]:
        x = site.as_sequence(site.inputs[0])
        if len(x.value.shape) != 1:
            raise UnsupportedModelError(
                "input: expected a sequence of vectors (of larger frames Keras would make a mask for "
                f"each row), found {x.value}"
            )
        y, mask = site.add(spec.Masking(value), (x,))
        return (replace(y, mask=mask),)

    return build


LAYERS: dict[str, Parse] = {
    "RNN": _rnn,
    "Bidirectional": _bidirectional,
    "Masking": _masking,
}
READS_TIME = frozenset(LAYERS)
RECURRENT = frozenset(LAYERS) - {"Masking"}
