"""What every layer of the spec is made of: values, the base class, shape rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from convlstm_native.errors import UnsupportedModelError

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Value:
    """Shape of a value without its batch and time axes, and whether it is a sequence.

    ``length`` is the number of frames of a sequence, None where any will do.
    """

    shape: tuple[int, ...]
    sequence: bool
    length: int | None = None

    def with_shape(self, shape: tuple[int, ...]) -> Value:
        """The same value with frames of another shape."""
        return replace(self, shape=shape)


class Layer:
    """Base of the layer dataclasses. A layer is plain data; ``infer`` holds its shape rule.

    The fields of a layer are its arguments and, as arrays, its weights; readers and writers go by their
    types. ``NOT_IN_FILES`` names those that only the rewrites set, or that the number of inputs tells;
    ``ADDED_LATER`` those that older files lack, which files leave out where they have their defaults.
    """

    NOT_IN_FILES: ClassVar[frozenset[str]] = frozenset()
    ADDED_LATER: ClassVar[frozenset[str]] = frozenset()

    def infer(self, inputs: Sequence[Value]) -> tuple[Value, ...]:
        """Values of the outputs, given those of the inputs.

        Raises :class:`UnsupportedModelError` with what was expected and found.
        """
        raise TypeError(f"{type(self).__name__} states no shape rule")

    def flops(self, inputs: Sequence[Value]) -> int:
        """Arithmetic of a frame without any shortcut, a multiply-add as two; only sums of products."""
        del inputs
        return 0


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Zeros before and after an axis under Keras' padding='same': the odd one goes behind."""
    reach = (kernel - 1) * dilation + 1
    total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def window_output(size: int, kernel: int, stride: int, padding: str, dilation: int = 1) -> int:
    """Output length of a convolution or pooling window along one axis (Keras' 'same' and 'valid')."""
    if padding == "same":
        return math.ceil(size / stride)
    return (size - (kernel - 1) * dilation - 1) // stride + 1


# The largest length of an axis, kernel, stride or dilation: the engine's limit.
LARGEST_LENGTH = 2**31 - 1


def expect_lengths(what: str, lengths: Sequence[int]) -> None:
    """Raise :class:`UnsupportedModelError` unless each is a length the engine can hold."""
    found = tuple(lengths)
    expect(all(1 <= length <= LARGEST_LENGTH for length in found), what, "at least 1 each", found)


def expect(condition: bool, what: str, expected: object, found: object) -> None:
    """Raise :class:`UnsupportedModelError` unless ``condition`` holds."""
    if not condition:
        raise UnsupportedModelError(f"{what}: expected {expected}, found {found}")
