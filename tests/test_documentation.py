"""What the documents say of the code, as far as it can be compared."""

from __future__ import annotations

import re
from pathlib import Path

import convlstm_native as cn
from convlstm_native.readers import keras_layers

ROOT = Path(__file__).parents[1]


def test_the_table_of_layers_names_those_that_are_read() -> None:
    rows = re.findall(
        r"^\| (`[A-Z][^|]*)\|", (ROOT / "docs" / "layers.md").read_text(), re.MULTILINE
    )
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(keras_layers.LAYERS)


def test_a_message_shows_a_long_list_once() -> None:
    known = ", ".join(keras_layers.LAYERS)
    problems = [f"{name}: expected one of {known}, found another layer" for name in ("A", "B")]
    error = cn.UnsupportedModelError.from_problems("model 'm'", problems)
    assert str(error).count(known) == 1
    assert "B: expected one of those above, found another layer" in str(error)
    assert list(error.problems) == problems
