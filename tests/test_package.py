"""What the package promises as a guest in somebody's process."""

from __future__ import annotations

import doctest
import importlib
import os
import subprocess
import sys
import textwrap

import convlstm_native as cn
import pytest
from convlstm_native import _core

FRAMEWORKS = ("tensorflow", "keras", "torch", "jax", "onnxruntime", "openvino")


@pytest.mark.parametrize(
    "module", ["convlstm_native", "convlstm_native.model", "convlstm_native.stream"]
)
def test_examples_in_docstrings(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def run_python(code: str, **environment: str) -> str:
    """Runs ``code`` in a process of its own and returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_loading_and_predicting_needs_no_framework_and_prints_nothing() -> None:
    printed = run_python(
        f"""
        import sys
        for name in {FRAMEWORKS!r}:
            sys.modules[name] = None  # importing it fails
        import numpy as np
        import convlstm_native as cn
        model = cn.Model.load(cn.demo_model())
        model.predict(np.zeros((3, *model.inputs[0].shape[2:]), np.uint8))
        """
    )
    assert printed == ""


def test_environment_chooses_the_kernels() -> None:
    code = "import convlstm_native as cn; print(cn.Model.load(cn.demo_model()).isa)"
    assert run_python(code, CONVLSTM_NATIVE_ISA="scalar").strip() == "scalar"
    assert run_python(code, CONVLSTM_NATIVE_ISA="").strip() == cn.available_isas()[0]


def test_unknown_kernels_are_refused() -> None:
    with pytest.raises(cn.InputError, match=r"isa: expected one .*scalar.*, found 'sse9'"):
        cn.Model.load(cn.demo_model(), isa="sse9")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_hang() -> None:
    printed = run_python(
        """
        import os, warnings
        import numpy as np
        import convlstm_native as cn
        import convlstm_native.spec
        warnings.simplefilter("ignore")  # newer Pythons warn of fork with threads
        model = cn.Model.load(cn.demo_model(), threads=2)
        frames = np.full((3, *model.inputs[0].shape[2:]), 9, np.uint8)
        before = model.predict(frames)
        # Threads take a frame each here, of which the last has been refused.
        spec = cn.spec.NetworkSpec(
            "tanh",
            (cn.spec.Input("x", (60000,)),),
            (cn.spec.Node("y", cn.spec.Activation(cn.spec.Function("tanh")), ("x",), ("y",)),),
            (cn.spec.Output("y", "y"),),
        )
        apart, good = cn.Model(spec, threads=2), np.ones((8, 60000), np.float32)
        bad = good.copy()
        bad[-1, -1] = np.nan
        try:
            apart.predict(bad)
        except cn.InputError:
            refused = True
        child = os.fork()
        if child == 0:
            after = model.predict(frames)
            same = all(np.array_equal(before[name], after[name]) for name in before)
            same = same and apart.predict(good)["y"].shape == good.shape
            os._exit(0 if same and refused else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert printed.strip() == "0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_only_children_of_a_team_lack_threads() -> None:
    printed = run_python(
        """
        import os, warnings
        import numpy as np
        import convlstm_native as cn
        warnings.simplefilter("ignore")  # newer Pythons warn of fork with threads
        model = cn.Model.load(cn.demo_model(), threads=2)
        frames = np.zeros((3, *model.inputs[0].shape[2:]), np.uint8)

        def has_threads():
            return model.profile(frames).barriers_per_frame > 0

        def in_child(run):
            child = os.fork()
            if child == 0:
                found = 2
                try:
                    found = int(run())
                finally:
                    os._exit(found)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        print(in_child(lambda: in_child(has_threads)), in_child(has_threads))
        print(in_child(lambda: 10 * has_threads() + in_child(has_threads)))
        print(int(has_threads()))
        print(in_child(lambda: in_child(has_threads)), in_child(has_threads))
        """
    )
    some = int(_core.has_threads())
    assert printed.splitlines() == [f"{some} {some}", f"{10 * some}", f"{some}", "0 0"]
