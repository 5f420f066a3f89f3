"""What the reader makes of Keras' convolutions where live Keras cannot show it, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.readers.keras_arguments import Arguments
from convlstm_native.readers.keras_graph import LayerConfig
from convlstm_native.readers.keras_layers import parse
from convlstm_native.readers.keras_layers.base import CallSite, Tensor
from convlstm_native.spec import Value

FRAMES = Value((6, 7, 3), sequence=True)
SINGLE = Value((5, 6, 7, 3), sequence=False)


def build(
    kind: str, x: Value, *, lead: int | None = None, flip: bool = False, **arguments: Any
) -> list[tuple[spec.Layer, Value]]:
    """The nodes that a call becomes, each with what it gives; weights count up from zero."""
    made: list[tuple[spec.Layer, Value]] = []

    def add(layer: spec.Layer, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        (y,) = layer.infer([tensor.value for tensor in tensors])
        made.append((layer, y))
        return (Tensor(f"v{len(made)}", y),)

    config = {"filters": 4, "kernel_size": [3, 3], "use_bias": False, **arguments}
    builder = parse(Arguments(LayerConfig("it", kind, config), keras_major=2))
    shape = (3, 3, 3, config["filters"])
    kernel = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    lead = lead or (2 if x.sequence else 1)
    builder(CallSite((Tensor("x", x),), lead, (kernel,), add, flip=flip))
    return made


def test_conv2d_on_five_axes_goes_frame_by_frame() -> None:
    ((layer, y),) = build("Conv2D", FRAMES)
    assert isinstance(layer, spec.Convolution)
    assert not layer.window
    assert y == Value((4, 5, 4), sequence=True)


def test_conv2d_on_five_axes_of_a_single_takes_the_first_as_frames() -> None:
    kinds = [type(layer) for layer, _ in build("Conv2D", SINGLE)]
    assert kinds == [spec.Emit, spec.Convolution, spec.Collect]


def test_kernels_of_theano_are_mirrored() -> None:
    ((layer, _),) = build("Conv2D", FRAMES)
    ((mirrored, _),) = build("Conv2D", FRAMES, flip=True)
    assert isinstance(layer, spec.Convolution)
    assert isinstance(mirrored, spec.Convolution)
    np.testing.assert_array_equal(mirrored.kernel, layer.kernel[:, :, ::-1, ::-1])


def test_keras_2_writes_groups_that_its_layer_lacks() -> None:
    ((_, y),) = build("Conv2DTranspose", FRAMES, groups=1, filters=3)
    assert y.shape == (8, 9, 3)
    with pytest.raises(UnsupportedModelError, match="Conv2DTranspose 'it': groups: expected 1"):
        build("Conv2DTranspose", FRAMES, groups=3)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("Conv2D", {"padding": "causal"}, "padding: expected 'valid' or 'same', found 'causal'"),
        ("Conv2D", {"kernel_size": [3]}, r"kernel_size: expected 2 positive integer\(s\)"),
        ("Conv2D", {"strides": [0, 1]}, r"strides: expected 2 positive integer\(s\)"),
        ("Conv2D", {"dilation_rate": "two"}, "dilation_rate: expected 2 positive"),
        ("Conv2D", {"data_format": "NCHW"}, "data_format: expected 'channels_last' or"),
        ("Conv2D", {"activation": "snake"}, "activation: expected one of"),
        (
            "Conv2D",
            {"groups": 2},
            "groups: expected a divisor of 3 channels and 4 filters, found 2",
        ),
        ("Conv2D", {"lora_rank": 4}, r"lora_rank: expected it unset \(not supported\)"),
        ("Conv2D", {"theta": 1}, "theta: expected no such argument"),
        (
            "Conv2DTranspose",
            {"strides": 2, "output_padding": 2},
            "output_padding: expected 2 integer.*below its stride, found 2",
        ),
    ],
)
def test_refused_arguments(kind: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        build(kind, FRAMES, **arguments)


def test_every_problem_of_a_layer_is_told() -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        build("Conv2D", FRAMES, padding="full", strides=0, groups="all")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    "x",
    [
        Value((2, 6, 7, 3), sequence=True),
        Value((3,), sequence=True),
        Value((2, 5, 6, 7, 3), sequence=False),
    ],
)
def test_frames_of_another_rank_are_refused(x: Value) -> None:
    with pytest.raises(UnsupportedModelError, match="input: expected 4 axes with batch, or 5"):
        build("Conv2D", x)
