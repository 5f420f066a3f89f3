"""What becomes of a file that was damaged."""

from __future__ import annotations

from collections.abc import Callable

from convlstm_native.errors import ConvLSTMError
from convlstm_native.spec import NetworkSpec


def outcome(load: Callable[[bytes], NetworkSpec], data: bytes) -> str:
    """The error's name, or '' for a sound network; any other exception is the test's failure."""
    try:
        load(data).values()
    except ConvLSTMError as error:
        return type(error).__name__
    return ""
