"""What the readers of Keras layers share.

One function a Keras layer reads its arguments and returns what builds the layer where it is called.
The two steps are apart because arguments are read without knowing shapes, so that every problem of
every layer can be told at once; the second step knows the values that the call reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from convlstm_native import spec
from convlstm_native.errors import ModelFormatError, UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.spec import Array, Value


@dataclass(frozen=True)
class Tensor:
    """A value of the spec under its name; ``mask`` tells which frames count, as Keras' masks do."""

    name: str
    value: Value
    mask: Tensor | None = None


@dataclass(frozen=True)
class CallSite:
    """What a layer meets when it is called.

    ``lead`` counts the Keras axes before those of the frame of the first input: 2 for a sequence
    (batch, time), 1 for a single and within TimeDistributed. ``options`` are the call arguments that
    are no tensors. ``flip`` is set for weights of the Theano backend, whose convolutions ran over a
    mirrored kernel. ``per_frame`` is set within TimeDistributed, where a frame is all that a layer
    sees. ``add`` puts a node into the network and gives back what it makes.
    """

    inputs: tuple[Tensor, ...]
    lead: int
    weights: tuple[Array, ...]
    add: Callable[[spec.Layer, Sequence[Tensor]], tuple[Tensor, ...]]
    options: dict[str, Any] = field(default_factory=dict)
    flip: bool = False
    per_frame: bool = False

    @property
    def value(self) -> Value:
        """The first input."""
        return self.inputs[0].value

    def as_single(self, x: Tensor) -> Tensor:
        """``x`` with time as its first axis, for layers that mix frames; holds the whole sequence.

        Within TimeDistributed the layer mixes what is in a frame, so it is ``x`` as it is. Raises
        :class:`UnsupportedModelError` when the model leaves the number of frames open.
        """
        if not x.value.sequence or self.per_frame:
            return x
        if x.value.length is None:
            raise UnsupportedModelError(
                "input: expected a known number of frames, which this layer mixes, found None"
            )
        return self.add(spec.Collect(x.value.length), (x,))[0]

    def as_sequence(self, x: Tensor) -> Tensor:
        """``x`` with its first axis as time, for layers that go through it."""
        return x if x.value.sequence else self.add(spec.Emit(), (x,))[0]


# Builds a call: the tensors that Keras' layer gives out.
Builder = Callable[[CallSite], tuple[Tensor, ...]]
Parse = Callable[[Arguments], Builder]


def one(layer_of: Callable[[CallSite], spec.Layer]) -> Builder:
    """Builds a call that is one node of the spec on all inputs of the call."""
    return lambda site: site.add(layer_of(site), site.inputs)


def identity(site: CallSite) -> tuple[Tensor, ...]:
    """A layer that does nothing at inference: its output is its input."""
    return site.inputs


def take(site: CallSite, what: str, **shapes: tuple[int, ...]) -> dict[str, Array]:
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


def with_frame_axes(axes: Sequence[int], site: CallSite) -> tuple[Tensor, tuple[int, ...]]:
    """The first input, and Keras axes as axes of its frame; with time among them, as a single.

    :func:`as_before` makes a sequence of the result again.
    """
    x, lead = site.inputs[0], site.lead
    rank = len(x.value.shape) + lead
    found = [axis + rank if axis < 0 else axis for axis in axes]
    if not all(1 <= axis < rank for axis in found):
        raise UnsupportedModelError(
            f"axis: expected 1 to {rank - 1} (batch is not supported), "
            f"found {', '.join(map(str, axes))}"
        )
    if lead == 2 and 1 in found:
        x, lead = site.as_single(x), 1
    return x, tuple(axis - lead for axis in found)


def as_before(site: CallSite, y: Tensor) -> tuple[Tensor]:
    """``y`` as a sequence where the input of the call is one."""
    return (site.as_sequence(y) if site.value.sequence else y,)


def frame_axis(axis: int, site: CallSite) -> int:
    """A Keras axis, which counts batch and time, as an axis of the frame."""
    rank = len(site.value.shape)
    index = axis + rank if axis < 0 else axis - site.lead
    if not 0 <= index < rank:
        raise UnsupportedModelError(
            f"axis: expected an axis of the frame ({site.lead} to {site.lead + rank - 1}), "
            f"found {axis}; batch and time are not supported"
        )
    return index


T = TypeVar("T")


def over_axes(
    site: CallSite, data_format: str, values: Sequence[T], channel: T
) -> tuple[T | None, tuple[T, ...]]:
    """One value an axis of a layer over rows, columns...: that of time, and those of the frame.

    ``values`` are those of the layer's own axes, ``channel`` that of the channels. With channels_last
    the first axis of the layer is the first one behind batch: time, where the layer is called on a
    sequence. There is no value of time where there is no such axis.
    """
    every = (channel, *values) if data_format == "channels_first" else (*values, channel)
    rank = len(site.value.shape) + site.lead
    if rank != len(every) + 1:
        raise UnsupportedModelError(
            f"input: expected {len(every) + 1} axes with batch, found {rank}"
        )
    return (every[0], every[1:]) if site.lead == 2 else (None, every)
