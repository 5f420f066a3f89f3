"""The exceptions of the package. Every message says what was expected, what was found and where."""

from __future__ import annotations


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
        """One error that lists all ``problems`` found in ``what``."""
        lines = "".join(f"\n  - {problem}" for problem in problems)
        return cls(f"{what} cannot be run, {len(problems)} problem(s):{lines}", tuple(problems))


class InputError(ConvLSTMError, ValueError):
    """Frames, states or arguments that do not fit the model."""
