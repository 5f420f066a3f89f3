"""The same random frames through this runtime and ONNX Runtime, and how far the results differ."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from convlstm_native import readers
from convlstm_native.errors import InputError, UnsupportedModelError
from convlstm_native.onnx_writer import to_onnx
from convlstm_native.readers.onnx_files import parse_onnx
from convlstm_native.spec import NetworkSpec

# For outputs of size 1: two float32 engines that add in different orders stay well below it.
AGREEMENT = 1e-4


@dataclass(frozen=True)
class OutputDifference:
    """One output: the largest absolute difference, and the largest absolute value for scale."""

    name: str
    largest_difference: float
    largest_value: float

    @property
    def agrees(self) -> bool:
        """Within ``AGREEMENT``, taken relative for values above 1; false for NaN."""
        return self.largest_difference <= AGREEMENT * max(1.0, self.largest_value)


@dataclass(frozen=True)
class Verification:
    """Result of :func:`verify`: what was run, and one difference an output, in order."""

    frames: int
    seed: int
    outputs: tuple[OutputDifference, ...]

    @property
    def agrees(self) -> bool:
        """Whether every output agrees."""
        return all(output.agrees for output in self.outputs)


def verify(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto,
    frames: int = 8,
    seed: int = 0,
    config: readers.Config | None = None,
) -> Verification:
    """Run a model here and in ONNX Runtime on the same random frames, uniform in [0, 1).

    ``source`` is a path, the bytes of a file or a parsed ONNX model. ONNX runs in ONNX Runtime as
    it is, a Keras model as :func:`to_onnx` writes it; ``config`` goes with Keras weights alone. Raises
    :class:`InputError` without ONNX Runtime or for ``frames`` below 1, :class:`UnsupportedModelError`
    when ONNX Runtime refuses the model, and what reading the model raises.

    Example::

        assert verify("genre.onnx").agrees
    """
    # Late, so that the writer and reader serve where the engine is not built.
    from convlstm_native.model import Model

    if frames < 1:
        raise InputError(f"frames: expected at least 1, found {frames}")
    proto = as_onnx(source, config)
    model = Model.load(proto)
    data = random_inputs(model.spec, frames, seed)
    theirs = run_onnx_runtime(proto, data)
    ours = model.predict(next(iter(data.values())) if len(data) == 1 else data)
    outputs = (_difference(name, ours[name], expected) for name, expected in theirs.items())
    return Verification(frames, seed, tuple(outputs))


def as_onnx(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto, config: readers.Config | None = None
) -> onnx.ModelProto:
    """A model file as ONNX: as it is, or else converted. ``config`` goes with Keras weights alone."""
    if isinstance(source, onnx.ModelProto):
        return source
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    if data.startswith((readers.HDF5_MAGIC, readers.ZIP_MAGIC)):
        return to_onnx(readers.read(source, config))
    return parse_onnx(data, "<bytes>" if isinstance(source, bytes) else repr(str(source)))


def random_inputs(spec: NetworkSpec, frames: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """One sample for each input by name: (1, frames, ...) or, for a single, (1, ...).

    An input whose number of frames is fixed has as many.
    """
    generator = np.random.default_rng(seed)
    shapes = {
        i.name: (1, i.length or frames, *i.shape) if i.sequence else (1, *i.shape)
        for i in spec.inputs
    }
    return {name: generator.random(shape, np.float32) for name, shape in shapes.items()}


def run_onnx_runtime(
    model: onnx.ModelProto, inputs: dict[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """The outputs of a model in ONNX Runtime, by name and in order.

    Raises :class:`InputError` when the package is missing, :class:`UnsupportedModelError` when it
    refuses the model.
    """
    onnxruntime = _onnxruntime()
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))
    except Exception as error:  # its exceptions have no base class of their own
        raise UnsupportedModelError(
            f"expected ONNX Runtime {onnxruntime.__version__} to run the model, found: {error}"
        ) from error


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            "expected onnxruntime, to compare with: pip install 'convlstm-native[verify]'"
        ) from error
    return onnxruntime


def _difference(
    name: str, ours: NDArray[np.float32], theirs: NDArray[np.float32]
) -> OutputDifference:
    if ours.shape != theirs.shape:
        raise UnsupportedModelError(
            f"output {name!r}: expected shape {theirs.shape} as in ONNX Runtime, found {ours.shape}"
        )
    difference = np.abs(ours.astype(np.float64) - theirs)
    return OutputDifference(name, float(difference.max()), float(np.abs(theirs).max()))
