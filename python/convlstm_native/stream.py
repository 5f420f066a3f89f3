"""One run of a model over one sample, frame by frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlstm_native import _core, tensors
from convlstm_native.errors import InputError
from convlstm_native.spec import NetworkSpec

Outputs = dict[str, NDArray[np.float32]]

State = Mapping[str, NDArray[Any]]

# Keys of the state dict beside the states of the layers.
_FRAMES = "frames"
_ENDED = "ended"
_INPUT = "inputs/"


class Stream:
    """The state of one sample on its way through a model; made by :meth:`Model.stream`.

    Any number of streams share one model. A stream is for one thread at a time; different streams
    may run in different threads, :meth:`push` releases the GIL.

    >>> import numpy as np
    >>> import convlstm_native as cn
    >>> stream = cn.Model.load(cn.demo_model()).stream()
    >>> _, channels, rows, cols = stream.input_shape
    >>> scores = stream.push(np.zeros((channels, rows, cols), np.uint8))
    >>> sorted(scores)[0], scores["cat_action"].shape
    ('cat_action', (1,))
    """

    def __init__(
        self,
        spec: NetworkSpec,
        network: _core.Network,
        threads: int,
        singles: Mapping[str, Any] | None = None,
    ) -> None:
        self._spec = spec
        self._network = network
        self._threads = threads
        self._core = _core.Stream(network, threads)
        self._names = [output.name for output in spec.outputs]
        self._sequences = [i for i in spec.inputs if i.sequence]
        self._in_step = self._core.in_step()
        values = spec.values()
        shown = [values[output.value] for output in spec.outputs]
        self._shapes = [value.shape for value in shown]
        self._sequence_outputs = [value.sequence for value in shown]
        self._limited = [i for i in spec.inputs if i.length is not None]
        self._single_inputs = [i for i in spec.inputs if not i.sequence]
        self._singles: list[tensors.Tensor] = []
        self._ended = False
        self.reset(singles)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the first sequence input: time (free), then the frame.

        Raises :class:`InputError` for a model that reads no sequence.
        """
        self._expect_sequences()
        return (None, *self._sequences[0].shape)

    @property
    def frames(self) -> int:
        """Frames pushed since the sequence began."""
        return self._core.frames

    @property
    def state_bytes(self) -> int:
        """Memory that the states of the layers take."""
        return self._core.state_bytes

    def reset(self, singles: Mapping[str, Any] | None = None) -> None:
        """Forgets everything, the state of stateful layers too, and begins a new sequence.

        ``singles`` holds a tensor for each input that is not a sequence, such as an initial state;
        left out, those of the last time are used again.
        """
        expected = self._single_inputs
        if (singles or expected) and (singles is not None or not self._singles):
            given = singles or {}
            if set(given) != {i.name for i in expected}:
                names = [i.name for i in expected]
                raise InputError(f"singles: expected {names}, found {list(given)}")
            self._singles = [tensors.single(i, given[i.name]) for i in expected]
        self._begin(keep=False)

    def push(self, frame: Any) -> Outputs | None:
        """Runs one frame and returns what it gives, by output name; None when nothing does yet.

        ``frame``: array of the frame's shape, float32, float16, float64 or uint8; a dict of them for a
        model with several sequence inputs. An output that looks ahead in time gives frame ``t`` when the
        frames that it looks at are there, the last ones with :meth:`flush`; one of another frame rate gives
        (k, *shape), the ``k`` frames that have come. After :meth:`flush` a new sequence begins, in which
        only stateful layers remember the old one.

        Raises :class:`InputError`, and leaves the stream as it was, for another shape or type, NaN and
        infinity, and for more frames than the model takes.
        """
        self._expect_sequences()
        given = tensors.one_frame(self._spec, frame)
        if self._ended:
            for array in given:  # a refused frame must not begin a new sequence
                tensors.check_finite(array, "frame")
            self._begin(keep=True)
        self._check_length(self.frames + 1, whole=False)
        to = self._news(self.frames + 1)
        self._core.push(given, to)
        news = zip(self._names, to, self._in_step, strict=True)
        return {
            name: array[0] if in_step else array for name, array, in_step in news if len(array)
        } or None

    def flush(self) -> Outputs | None:
        """Ends the sequence and returns what was left of the outputs; None when that is nothing.

        Outputs of single tensors have their shape, sequences (T, *shape). Raises :class:`InputError`
        when no frame was pushed, or too few.
        """
        if self._ended or (self._sequences and not self.frames):
            raise InputError("stream: expected at least one frame, found none")
        self._check_length(self.frames, whole=True)
        to = self._news(None)
        self._core.finish(to)
        self._ended = True
        return {
            name: array if sequence else array[0, ...]
            for name, array, sequence in zip(self._names, to, self._sequence_outputs, strict=True)
            if len(array)
        } or None

    def predict(self, given: tensors.Frames) -> Outputs:
        """Runs a whole sequence: :meth:`push` for every frame, then :meth:`flush`.

        ``given``: array (T, *shape) or any iterable of frames; a dict of arrays for a model with several
        sequence inputs. Returns each output as (T, *shape), or as one tensor where it is a single.
        A new sequence begins; only stateful layers go on from the sequence before. A model that reads no
        sequence takes its inputs from :meth:`reset`, and an empty dict here.
        """
        return self.predict_checked(given, lambda: None)

    def predict_checked(self, given: tensors.Frames, check: Callable[[], None]) -> Outputs:
        """:meth:`predict` that calls ``check`` before each run of frames, and ends when that raises."""
        whole = self._arrays(given) if self._sequences else None
        if whole is not None:
            return self.predict_arrays(whole, check)
        self._begin_again()
        return self._predict_iterable(given, check) if self._sequences else self.flush() or {}

    def predict_arrays(self, whole: list[tensors.Tensor], check: Callable[[], None]) -> Outputs:
        """:meth:`predict_checked` of an array (T, *shape) for each sequence input, of the right shape."""
        frames = _length(whole)
        self._begin_again()
        self._check_length(frames, whole=True)
        if tensors.is_chunk(whole):  # one call in place of many
            check()
            given = [tensors.engine_tensor(array) for array in whole]
            outputs: Outputs = self._core.run(given)
            self._ended = True
            return outputs
        made = self._new_arrays(self._core.counts(frames, True))
        self._push_chunks(whole, made, check)
        self._ended = True
        return {
            name: output if sequence else output[0, ...]
            for name, output, sequence in zip(
                self._names, made, self._sequence_outputs, strict=True
            )
        }

    def _push_chunks(
        self,
        whole: list[tensors.Tensor],
        outputs: list[NDArray[np.float32]],
        check: Callable[[], None],
    ) -> None:
        done, counts = 0, [0] * len(outputs)
        for parts in tensors.chunks(whole):
            check()
            done += len(parts[0])
            before, counts = counts, self._core.counts(done, False)
            ranges = zip(outputs, before, counts, strict=True)
            self._core.push(parts, [output[a:b] for output, a, b in ranges])
        self._core.finish([output[a:] for output, a in zip(outputs, counts, strict=True)])

    def profiled(self, given: tensors.Frames) -> list[_core.ProfileEvent]:
        """What :meth:`predict` on ``given`` does when, in a new sequence; see :meth:`Model.profile`."""
        self._expect_sequences()
        whole = self._arrays(given)
        self._core.start_profile(_length(whole) if whole else tensors.CHUNK_FRAMES)
        self.reset()
        self.predict(given)
        return self._core.profile_events()

    def __copy__(self) -> Stream:
        return self.clone()

    def clone(self) -> Stream:
        """A second stream in the same state; both go on independently."""
        copy = object.__new__(Stream)
        copy.__dict__.update(self.__dict__)
        copy._core = self._core.clone()
        return copy

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """All that the stream remembers, by name; ``numpy.savez(path, **state)`` keeps it."""
        state: dict[str, NDArray[Any]] = dict(self._core.export_state())
        names = [i.name for i in self._single_inputs]
        for name, array in zip(names, self._singles, strict=True):
            state[_INPUT + name] = array.astype(np.float32)
        state[_FRAMES] = np.array(self.frames)
        state[_ENDED] = np.array(self._ended)
        return state

    def load_state_dict(self, state: State) -> None:
        """Goes on from what :meth:`state_dict` gave, of this or another stream of the same model.

        Raises :class:`InputError`, and leaves the stream as it was, when names or shapes are not those of
        this model or a number is not finite.
        """
        singles = self._single_inputs
        frames = _count(state.get(_FRAMES))
        shapes = self._core.state_shapes(frames)
        inputs = {_INPUT + i.name: i.shape for i in singles}
        expected = {**shapes, **inputs}
        if set(state) != {*expected, _FRAMES, _ENDED}:
            names = sorted([*expected, _FRAMES, _ENDED])
            raise InputError(f"state: expected {names}, found {sorted(state)}")
        arrays = {}
        for name, shape in expected.items():
            array = tensors.engine_tensor(tensors.as_tensor(state[name], f"state {name!r}"))
            tensors.check_shape(array, tuple(shape), f"state {name!r}")
            tensors.check_finite(array, f"state {name!r}")
            arrays[name] = array
        self._singles = [np.array(arrays[name]) for name in inputs]
        self._begin(keep=False)
        self._core.import_state(frames, [np.asarray(arrays[name], np.float32) for name in shapes])
        self._ended = bool(state[_ENDED])

    def _begin_again(self) -> None:
        if self._ended or self.frames:
            self._begin(keep=True)

    def _begin(self, keep: bool) -> None:
        self._core.begin(self._singles, keep)
        self._ended = False

    def _new_arrays(
        self, counts: Iterable[int], before: Iterable[int] | None = None
    ) -> list[NDArray[np.float32]]:
        """An array for so many frames of each output, those it has given ``before`` left out."""
        if before is not None:
            counts = [a - b for a, b in zip(counts, before, strict=True)]
        return [_core.new_array((n, *shape)) for n, shape in zip(counts, self._shapes, strict=True)]

    def _news(self, frames: int | None) -> list[NDArray[np.float32]]:
        """Arrays for what the outputs give up to frame ``frames``; None stands for the end."""
        done = self.frames
        after = self._core.counts(done if frames is None else frames, frames is None)
        return self._new_arrays(after, self._core.counts(done, False))

    def _expect_sequences(self) -> None:
        if not self._sequences:
            names = [i.name for i in self._spec.inputs]
            raise InputError(f"stream: expected a model that reads frames, found inputs {names}")

    def _check_length(self, frames: int, whole: bool) -> None:
        """Raises :class:`InputError` when a sequence has more frames than it must, or fewer."""
        for i in self._limited:
            if i.length is not None and (frames > i.length or (whole and frames < i.length)):
                raise InputError(f"input {i.name!r}: expected {i.length} frames, found {frames}")

    def _arrays(self, given: Any) -> list[tensors.Tensor] | None:
        """The sequence inputs as arrays (T, *shape), or None for an iterable of frames."""
        sequences = self._sequences
        if not isinstance(given, Mapping):
            if not tensors.is_tensor(given) or len(sequences) != 1:
                return None
            given = {sequences[0].name: given}
        if set(given) != {i.name for i in sequences}:
            names = [i.name for i in sequences]
            raise InputError(f"inputs: expected {names}, found {list(given)}")
        arrays = []
        for i in sequences:
            where = f"input {i.name!r}"
            array = tensors.as_tensor(given[i.name], where)
            if array.ndim != len(i.shape) + 1 or array.shape[1:] != i.shape:
                raise InputError(
                    f"{where}: expected shape {('frames', *i.shape)}, found {array.shape}"
                )
            arrays.append(array)
        return arrays

    def _predict_iterable(self, given: Any, check: Callable[[], None]) -> Outputs:
        if not isinstance(given, Iterable):
            found = type(given).__name__
            raise InputError(f"frames: expected an array or an iterable, found {found}")
        parts: list[Outputs] = []
        for frames in _runs(given, self._core.batch):
            check()
            parts.append(self._push_run(frames))
        parts.append(self.flush() or {})
        return {
            name: np.concatenate([part[name] for part in parts if name in part])
            if sequence
            else parts[-1][name]
            for name, sequence in zip(self._names, self._sequence_outputs, strict=True)
        }

    def _push_run(self, frames: list[Any]) -> Outputs:
        """:meth:`push` of several frames at once; all outputs as (k, *shape)."""
        given = [tensors.one_frame(self._spec, frame) for frame in frames]
        self._check_length(self.frames + len(given), whole=False)
        to = self._news(self.frames + len(given))
        self._core.push([np.concatenate(arrays) for arrays in zip(*given, strict=True)], to)
        return dict(zip(self._names, to, strict=True))


def _length(arrays: list[tensors.Tensor]) -> int:
    """The number of frames that all have; raises :class:`InputError` where they differ or it is zero."""
    found = [len(array) for array in arrays]
    if not found[0] or found.count(found[0]) != len(found):
        raise InputError(f"inputs: expected as many frames in each, at least 1, found {found}")
    return found[0]


def _runs(frames: Iterable[Any], count: int) -> Iterator[list[Any]]:
    """``frames`` in lists of ``count``, the last one shorter."""
    rest = iter(frames)
    while run := list(itertools.islice(rest, count)):
        yield run


def _count(value: Any) -> int:
    """The number of frames in a state dict."""
    number = np.asarray(value)
    if number.shape != () or number.dtype.kind not in "iu" or not 0 <= number < 2**62:
        raise InputError(f"state {_FRAMES!r}: expected a number of frames, found {value!r}")
    return int(number)
