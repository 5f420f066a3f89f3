"""Command-line values that several scripts take."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def numbers(text: str) -> list[int]:
    """``1,2`` as [1, 2], each at least 1."""
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"expected numbers of at least 1, found {text!r}")
    return found


def positive(text: str) -> int:
    """One number of at least 1."""
    found = numbers(text)
    if len(found) != 1:
        raise argparse.ArgumentTypeError(f"expected one number, found {text!r}")
    return found[0]


def names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Parser of a list of known names."""
    allowed = list(known)

    def parse(text: str) -> list[str]:
        found = text.split(",")
        if unknown := [name for name in found if name not in allowed]:
            raise argparse.ArgumentTypeError(
                f"expected some of {', '.join(allowed)}, found {', '.join(unknown)}"
            )
        return found

    return parse


def write_json(path: Path, data: Any) -> None:
    """Plain data, or a dataclass of it."""
    plain = dataclasses.asdict(data) if dataclasses.is_dataclass(data) else data  # type: ignore[arg-type]
    path.write_text(json.dumps(plain, indent=1) + "\n")
