"""The public face: load a model, predict, stream."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convlstm_native import _core, tensors
from convlstm_native.batch import Check, side_by_side
from convlstm_native.errors import InputError, UnsupportedModelError
from convlstm_native.lowering import lower
from convlstm_native.profile import Profile, join
from convlstm_native.rewrites import optimize as rewrite
from convlstm_native.spec import NetworkSpec, Value
from convlstm_native.stream import Outputs, Stream
from convlstm_native.summary import Summary, summarize
from convlstm_native.threads import chosen_threads

if TYPE_CHECKING:
    import onnx

    from convlstm_native.readers import Config


ALGORITHMS = ("auto", "direct")


@dataclass(frozen=True)
class TensorInfo:
    """An input or output: ``shape`` with its batch and time axes, None where any length will do."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"


class Model:
    """A network ready to run. Immutable; threads may share it.

    ``threads``: how many to use; by default what the CPUs, the container's quota and
    ``OMP_NUM_THREADS`` allow. Results have the same bits for any number. ``isa``: name of the
    kernels, one of :func:`available_isas`; by default ``CONVLSTM_NATIVE_ISA`` or the best.
    ``optimize=False`` skips the load-time rewrites. ``algorithm``: ``"auto"`` computes 3x3
    convolutions and the cells of 3x3 and 5x5 by Winograd where that is faster, ``"direct"`` never
    does. Where an inner layer overflows, convolutions may give NaN to pixels beside an infinity.

    Raises :class:`UnsupportedModelError` that lists every reason why the network cannot run, and
    :class:`InputError` for an unknown ``isa`` or ``threads`` below 1.

    >>> import numpy as np
    >>> import convlstm_native as cn
    >>> model = cn.Model.load(cn.demo_model())
    >>> frames = np.zeros((4, *model.inputs[0].shape[2:]), np.uint8)
    >>> model.predict(frames)["cat_comedy"].shape
    (4, 1)
    """

    def __init__(
        self,
        spec: NetworkSpec,
        threads: int | None = None,
        isa: str | None = None,
        optimize: bool = True,
        algorithm: str = "auto",
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise InputError(f"algorithm: expected one of {ALGORITHMS}, found {algorithm!r}")
        if not spec.inputs:
            raise UnsupportedModelError(f"network {spec.name!r}: expected an input, found none")
        self._spec = spec
        self._values = spec.values()
        self._sequences = [i.name for i in spec.inputs if i.sequence]
        self._singles = [i.name for i in spec.inputs if not i.sequence]
        self._running = rewrite(spec) if optimize else spec
        self._threads = chosen_threads(threads)
        self._optimize = optimize
        self._algorithm = algorithm
        self._network = lower(self._running, _chosen_isa(isa), algorithm == "auto")
        self._idle: dict[int, list[Stream]] = {}  # by threads; see _run

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the spec and the choices made for it, for workers in other processes."""
        return Model, (
            self._spec,
            self._threads,
            self.isa,
            self._optimize,
            self._algorithm,
        )

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] | bytes | onnx.ModelProto,
        threads: int | None = None,
        isa: str | None = None,
        optimize: bool = True,
        algorithm: str = "auto",
        config: Config | None = None,
    ) -> Model:
        """Reads a ``.onnx``, ``.keras`` or ``.h5`` file; its content decides, not its name.

        ``source``: path, the file's bytes, or a loaded ``onnx.ModelProto``. ``config`` goes with a Keras
        file of weights alone: what ``model.to_json()`` gave, as a path, text, bytes or dict.

        Raises FileNotFoundError, :class:`ModelFormatError` for a damaged file,
        :class:`UnsupportedModelError` for one with layers that do not run here.
        """
        from convlstm_native.readers import read

        return cls(read(source, config), threads, isa, optimize, algorithm)

    @property
    def spec(self) -> NetworkSpec:
        """The network as it was read, before any rewrite."""
        return self._spec

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """Name, shape and type of every input."""
        return tuple(TensorInfo(i.name, _with_lead(i.value)) for i in self._spec.inputs)

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """Name, shape and type of every output, in the order of the results."""
        return tuple(
            TensorInfo(output.name, _with_lead(self._values[output.value]))
            for output in self._spec.outputs
        )

    @property
    def isa(self) -> str:
        """Name of the kernels in use, as the engine reports it."""
        return self._network.isa

    @property
    def threads(self) -> int:
        """How many threads a frame is split over."""
        return self._threads

    def with_threads(self, threads: int | None) -> Model:
        """The same network on another number of threads; weights are shared, not copied.

        Raises :class:`InputError` for ``threads`` below 1.
        """
        other = object.__new__(Model)
        other.__dict__.update(self.__dict__)
        other._threads = chosen_threads(threads)
        return other

    def stream(self, singles: Mapping[str, Any] | None = None) -> Stream:
        """A new stream: frames one at a time, in constant memory.

        ``singles``: a tensor for each input that is not a sequence, without a batch axis.
        """
        return Stream(self._running, self._network, self._threads, singles)

    def predict(self, given: tensors.Frames) -> Outputs:
        """Runs whole sequences and returns each output by name, float32, in the model's order.

        ``given``: array (N, T, *frame) for N samples, (T, *frame) for one (outputs then lack N), or any
        iterable of frames; for a model with several inputs a dict of arrays. float32, float16,
        float64 or uint8; memory-mapped arrays are read frame by frame.

        At least as many samples as :attr:`threads` run side by side, a thread each, and take the memory
        of a state each; of fewer, and of one, each frame is split over all threads. The bits are the same.

        Every call starts from zero states, also those of stateful layers: to carry them on, use
        :meth:`Stream.predict`. The memory of the states stays with the model for the next call. Raises
        :class:`InputError` for wrong shapes or types, no frames, NaN.
        """
        inputs = tensors.named_inputs(self._spec, given)
        batch = self._batch(inputs)
        if batch is None:
            return self._run(inputs, self._threads, _unchecked)
        if batch == 1:
            sample = {name: array[0] for name, array in inputs.items()}
            try:
                outputs = self._run(sample, self._threads, _unchecked)
            except InputError as error:
                raise InputError(f"sample 0: {error}") from error
            return {name: output[None] for name, output in outputs.items()}  # nothing to copy
        # Samples on a thread each never wait for one another; a split frame does, after every layer.
        workers = self._threads if batch >= self._threads else 1
        threads = self._threads // workers

        def run(n: int, check: Check) -> Outputs:
            try:
                sample = {name: array[n] for name, array in inputs.items()}
                return self._run(sample, threads, check)
            except InputError as error:
                raise InputError(f"sample {n}: {error}") from error

        if workers > 1:
            samples = side_by_side(batch, workers, run)
        else:
            samples = [run(n, _unchecked) for n in range(batch)]
        return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}

    def profile(self, given: tensors.Frames) -> Profile:
        """Runs one sample and says how long each layer took in each frame, and how much it did.

        Frame after frame, also where :meth:`predict` gives threads a frame each.

        ``given``: array (T, *frame) or any iterable of frames, as for :meth:`predict`; a dict for a model
        with several inputs. Raises :class:`InputError` as :meth:`predict` does, and for a batch.

        >>> import numpy as np
        >>> import convlstm_native as cn
        >>> model = cn.Model.load(cn.demo_model())
        >>> profile = model.profile(np.zeros((4, *model.inputs[0].shape[2:]), np.uint8))
        >>> [layer.kind for layer in profile.layers][:2]
        ['input', 'ConvLSTM2D']
        """
        inputs = tensors.named_inputs(self._spec, given)
        if self._batch(inputs) is not None:
            raise InputError("profile: expected one sample (frames, *shape), found a batch")
        stream, frames = self._sample(inputs, self._threads, None)
        events = stream.profiled(frames)
        return join(self._running, self._network.steps(), events, self.isa, self._threads)

    def summary(self) -> Summary:
        """Layers, shapes, parameters, work and memory of the network as it runs."""
        return summarize(
            self._running,
            self._network.steps(),
            self._network.streams(),
            self._network.look_ahead(),
            self.isa,
            self._threads,
        )

    def _sample(
        self, inputs: dict[str, Any], threads: int, idle: Stream | None
    ) -> tuple[Stream, Any]:
        """A stream for one sample, ``idle`` or a new one, and the frames to run through it."""
        singles = {name: inputs[name] for name in self._singles}
        if len(self._sequences) == 1:
            frames = inputs[self._sequences[0]]
        else:
            frames = {name: inputs[name] for name in self._sequences}
        if idle is None:
            return Stream(self._running, self._network, threads, singles), frames
        idle.reset(singles)
        return idle, frames

    def _run(self, inputs: dict[str, Any], threads: int, check: Check) -> Outputs:
        """One sample, on a stream that an earlier call has left where there is one.

        New memory costs a page fault for every page: 5 ms for the genre net, half of what a frame takes.
        """
        idle = self._idle.setdefault(threads, [])
        try:
            found: Stream | None = idle.pop()
        except IndexError:
            found = None
        stream, frames = self._sample(inputs, threads, found)
        try:
            if isinstance(frames, np.ndarray):  # of the right shape: _batch() has looked
                return stream.predict_arrays([frames], check)
            return stream.predict_checked(frames, check)
        finally:
            idle.append(stream)

    def _batch(self, inputs: dict[str, Any]) -> int | None:
        """Number of samples, None when the inputs are one sample without a batch axis."""
        sizes: set[int | None] = set()
        for i in self._spec.inputs:
            value = inputs[i.name]
            if not tensors.is_tensor(value):
                if i.sequence:
                    sizes.add(None)
                    continue
                inputs[i.name] = value = np.asarray(value)
            array: NDArray[Any] = tensors.as_tensor(value, f"input {i.name!r}")
            inputs[i.name] = array
            rank = len(i.shape) + (1 if i.sequence else 0)
            if (
                array.ndim not in (rank, rank + 1)
                or array.shape[array.ndim - len(i.shape) :] != i.shape
            ):
                time = ("frames",) if i.sequence else ()
                raise InputError(
                    f"input {i.name!r}: expected shape {('samples', *time, *i.shape)} or "
                    f"{(*time, *i.shape)}, found {array.shape}"
                )
            sizes.add(len(array) if array.ndim == rank + 1 else None)
        if len(sizes) != 1:
            raise InputError(f"inputs: expected one number of samples, found {sizes}")
        size = sizes.pop()
        if size == 0:
            raise InputError("inputs: expected at least one sample, found none")
        return size


def _unchecked() -> None:
    """A run that nothing ends early."""


def _with_lead(value: Value) -> tuple[int | None, ...]:
    """A shape with its batch axis and, for a sequence, its time axis."""
    return (None, value.length, *value.shape) if value.sequence else (None, *value.shape)


def available_isas() -> tuple[str, ...]:
    """Names of the kernel tables that this build has and this CPU can run, best first."""
    return tuple(_core.available_isas())


def fma_peak(threads: int | None = None, isa: str | None = None) -> float:
    """Multiply-adds this machine does now in registers alone, in GFLOP/s (one counts as two).

    Raises :class:`InputError` for ``threads`` and ``isa`` as :class:`Model` does.
    """
    return _core.fma_peak(_chosen_isa(isa), chosen_threads(threads))


def _chosen_isa(isa: str | None) -> str:
    if isa is None:
        return os.environ.get("CONVLSTM_NATIVE_ISA", "")
    if not isinstance(isa, str):
        raise InputError(f"isa: expected a name, found {isa!r}")
    return isa


def demo_model() -> str:
    """Path of the small genre network that comes with the package."""
    return str(resources.files("convlstm_native") / "data" / "genre_demo.onnx")
