"""Verification: the engine and ONNX Runtime run the same file and are compared."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from convlstm_native import verification
from convlstm_native.errors import InputError, UnsupportedModelError
from convlstm_native.onnx_writer import to_onnx
from convlstm_native.spec import Activation, Function, Value
from onnx_files import genre_net, random, single_layer

pytest.importorskip("onnxruntime")

GOLDEN = Path(__file__).parent / "golden"


def test_verify_runs_both(tmp_path: Path) -> None:
    model = to_onnx(genre_net())
    path = tmp_path / "genre.onnx"
    path.write_bytes(model.SerializeToString())
    for source in (model, path, path.read_bytes(), GOLDEN / "genre-keras-2.13.1.h5"):
        result = verification.verify(source, frames=3)
        assert result.agrees
        assert all(output.largest_value > 0 for output in result.outputs)
    names = [output.name for output in verification.verify(model).outputs]
    assert names == [output.name for output in genre_net().outputs]


def test_verify_sees_a_difference() -> None:
    """The body of a function says something else than its call: ONNX Runtime runs the body."""
    model = to_onnx(single_layer(Activation(Function("silu")), Value((50,), sequence=True)))
    other = to_onnx(single_layer(Activation(Function("mish")), Value((50,), sequence=True)))
    model.functions[0].ClearField("node")
    model.functions[0].node.extend(other.functions[0].node)
    result = verification.verify(model, frames=2)
    assert not result.agrees
    assert 0.01 < result.outputs[0].largest_difference < 1


def test_numbers_that_are_not_finite_do_not_agree() -> None:
    assert not verification.OutputDifference("y", math.nan, math.nan).agrees
    assert not verification.OutputDifference("y", math.inf, 1.0).agrees


def test_verify_without_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"expected onnxruntime.*pip install"):
        verification.run_onnx_runtime(to_onnx(genre_net()), {})


def test_what_onnx_runtime_refuses() -> None:
    model = to_onnx(genre_net())
    model.functions[0].node[0].op_type = "Nonesuch"
    with pytest.raises(UnsupportedModelError, match=r"expected ONNX Runtime .* to run the model"):
        verification.run_onnx_runtime(model, {"trailer_input": random(1, 1, 3, 24, 24)})
