"""One run of a model over one sample, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convlstm_native import _core, tensors
from convlstm_native.errors import InputError
from convlstm_native.spec import NetworkSpec

Outputs = dict[str, NDArray[np.float32]]

_FRAMES = "frames"  # keys of the state dict beside the states of the layers
_ENDED = "ended"


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
        self._live = self._core.live_outputs()
        values = spec.values()
        self._shapes = {output.name: values[output.value].shape for output in spec.outputs}
        self._singles: list[tensors.Tensor] = []
        self._ended = False
        self.reset(singles)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the first sequence input: time (free), then the frame."""
        return (None, *next(i.shape for i in self._spec.inputs if i.sequence))

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
        expected = [i for i in self._spec.inputs if not i.sequence]
        if singles is not None or len(self._singles) != len(expected):
            given = singles or {}
            if set(given) != {i.name for i in expected}:
                names = [i.name for i in expected]
                raise InputError(f"singles: expected {names}, found {list(given)}")
            self._singles = [tensors.single(i, given[i.name]) for i in expected]
        self._begin(keep=False)

    def push(self, frame: Any) -> Outputs | None:
        """Runs one frame and returns what it gives, by output name; None when nothing does yet.

        ``frame``: array of the frame's shape, float32, float16, float64 or uint8; a dict of them for a
        model with several sequence inputs. After :meth:`flush` a new sequence begins, in which only
        stateful layers remember the old one.

        Raises :class:`InputError`, and leaves the stream as it was, for another shape or type, NaN and
        infinity.
        """
        given = tensors.one_frame(self._spec, frame)
        if self._ended:
            self._begin(keep=True)
        to = self._new_arrays(1)
        self._core.push(given, to)
        if not self._live:
            return None
        return {self._names[i]: array[0] for i, array in zip(self._live, to, strict=True)}

    def flush(self) -> Outputs | None:
        """Ends the sequence and returns the outputs that needed all of it; None when there are none.

        Outputs of single tensors have their shape, sequences (T, *shape). Raises :class:`InputError`
        when no frame was pushed.
        """
        if self._ended:
            raise InputError("stream: expected a frame before flush(), found none")
        finished = self._core.finish()
        self._ended = True
        late = {
            name: array
            for name, array in zip(self._names, finished, strict=True)
            if array is not None
        }
        return late or None

    def predict(self, given: tensors.Frames) -> Outputs:
        """Runs a whole sequence: :meth:`push` for every frame, then :meth:`flush`.

        ``given``: array (T, *shape) or any iterable of frames; a dict of arrays for a model with several
        sequence inputs. Returns each output as (T, *shape), or as one tensor where it is a single.
        A new sequence begins; only stateful layers go on from the sequence before.
        """
        if self._ended or self.frames:
            self._begin(keep=True)
        whole = self._arrays(given)
        if whole is None:
            return self._predict_iterable(given)
        outputs = self._new_arrays(len(whole[0]))
        done = 0
        for parts in zip(*(tensors.chunks(array) for array in whole), strict=True):
            end = done + len(parts[0])
            self._core.push(parts, [output[done:end] for output in outputs])
            done = end
        return self._join(dict(zip(self._live, outputs, strict=True)))

    def clone(self) -> Stream:
        """A second stream in the same state; both go on independently."""
        copy = object.__new__(Stream)
        copy.__dict__.update(self.__dict__)
        copy._core = self._core.clone()
        return copy

    def state_dict(self) -> Outputs:
        """All that the stream remembers, by name; ``numpy.savez(path, **state)`` keeps it."""
        state = self._core.export_state()
        state[_FRAMES] = np.array(self.frames, np.float32)
        state[_ENDED] = np.array(self._ended, np.float32)
        return state

    def load_state_dict(self, state: Mapping[str, NDArray[np.float32]]) -> None:
        """Goes on from what :meth:`state_dict` gave, of this or another stream of the same model.

        Raises :class:`InputError` when names or shapes are not those of this model.
        """
        expected = [*self._core.export_state(), _FRAMES, _ENDED]
        if set(state) != set(expected):
            raise InputError(f"state: expected {sorted(expected)}, found {sorted(state)}")
        parts = [np.asarray(state[name], np.float32) for name in expected[:-2]]
        self._core.import_state(int(state[_FRAMES]), parts)
        self._ended = bool(state[_ENDED])

    def _begin(self, keep: bool) -> None:
        self._core.begin(self._singles, keep)
        self._ended = False

    def _new_arrays(self, count: int) -> list[NDArray[np.float32]]:
        shapes = [self._shapes[self._names[i]] for i in self._live]
        return [np.empty((count, *shape), np.float32) for shape in shapes]

    def _arrays(self, given: Any) -> list[tensors.Tensor] | None:
        """The sequence inputs as arrays (T, *shape), or None for an iterable of frames."""
        sequences = [i for i in self._spec.inputs if i.sequence]
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
        lengths = {len(array) for array in arrays}
        if len(lengths) != 1 or not lengths.pop():
            found = [len(array) for array in arrays]
            raise InputError(f"inputs: expected as many frames in each, at least 1, found {found}")
        return arrays

    def _predict_iterable(self, given: Any) -> Outputs:
        if not isinstance(given, Iterable):
            found = type(given).__name__
            raise InputError(f"frames: expected an array or an iterable, found {found}")
        rows: list[Outputs] = []
        for frame in given:
            row = self.push(frame)
            if row is not None:
                rows.append(row)
        live = {i: np.stack([row[self._names[i]] for row in rows]) for i in self._live if rows}
        return self._join(live)

    def _join(self, live: dict[int, NDArray[np.float32]]) -> Outputs:
        """All outputs in the model's order."""
        late = self.flush() or {}
        return {name: live[i] if i in live else late[name] for i, name in enumerate(self._names)}
