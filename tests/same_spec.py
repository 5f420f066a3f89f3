"""Equality of networks, weights included."""

from __future__ import annotations

import dataclasses

import numpy as np


def assert_same_spec(found: object, expected: object) -> None:
    """Equality of specs in which arrays are compared by their bits."""
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
    elif dataclasses.is_dataclass(expected):
        for item in dataclasses.fields(expected):
            assert_same_spec(getattr(found, item.name), getattr(expected, item.name))
    elif isinstance(expected, tuple):
        assert isinstance(found, tuple)
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            assert_same_spec(*pair)
    else:
        assert found == expected
