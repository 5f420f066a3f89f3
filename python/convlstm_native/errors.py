"""The exceptions of the package. Every message says what was expected, what was found and where."""

from __future__ import annotations

import re

# What was expected, where that is a long list.
_LONG_LIST = re.compile(r"expected one of .{200,}, (?=found)")


class ConvLSTMError(Exception):
    """Base class of every error that this package raises on purpose."""


class ModelFormatError(ConvLSTMError):
    """A model file is truncated, damaged, or not a model file at all."""


class UnsupportedModelError(ConvLSTMError):
    """A sound model file holds something that the runtime does not support.

    ``problems`` lists every reason, one string each, not only the first.
    """

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems or (message,)

    @classmethod
    def from_problems(cls, what: str, problems: list[str]) -> UnsupportedModelError:
        """One error that lists all ``problems`` found in ``what``; its message shows a long list once."""
        shown: set[str] = set()

        def once(found: re.Match[str]) -> str:
            if found[0] in shown:
                return "expected one of those above, "
            shown.add(found[0])
            return found[0]

        lines = "".join(f"\n  - {_LONG_LIST.sub(once, problem)}" for problem in problems)
        return cls(f"{what} cannot be run, {len(problems)} problem(s):{lines}", tuple(problems))


class InputError(ConvLSTMError, ValueError):
    """Frames, states or arguments that do not fit the model."""
