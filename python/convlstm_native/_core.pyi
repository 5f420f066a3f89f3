"""Types of the C++ engine. Only lowering/, model.py and stream.py use it."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.float32]
_Function = tuple[str, Sequence[float]]
_Norm = tuple[int, _Array, _Array] | None
_Pool = tuple[Sequence[int], Sequence[int], bool, bool] | None
_Interpolation = tuple[int, Sequence[int], Sequence[float]] | None

def available_isas() -> list[str]: ...
def has_threads() -> bool: ...
def fma_peak(isa: str, threads: int) -> float: ...

class Step:
    @property
    def name(self) -> str: ...
    @property
    def kernel(self) -> str: ...
    @property
    def choice(self) -> str: ...
    @property
    def state_bytes(self) -> int: ...

class Network:
    def __init__(self, isa: str, allow_winograd: bool) -> None: ...
    @property
    def isa(self) -> str: ...
    def shape(self, value: int) -> list[int]: ...
    def streams(self) -> bool: ...
    def look_ahead(self) -> int: ...
    def steps(self) -> list[Step]: ...
    def add_input(
        self, name: str, shape: Sequence[int], order: Sequence[int], sequence: bool
    ) -> int: ...
    def add_view(self, value: int, offset: int, shape: Sequence[int]) -> int: ...
    def add_window(
        self,
        name: str,
        value: int,
        *,
        size: int,
        stride: int,
        dilation: int,
        before: int,
        after: int,
        fill: float,
    ) -> int: ...
    def add_repeated(self, name: str, value: int, times: int, zeros: bool) -> int: ...
    def add_reversed(self, name: str, value: int) -> int: ...
    def add_slices(self, name: str, single: int) -> int: ...
    def add_collect(self, name: str, value: int, length: int) -> int: ...
    def add_reduce_time(self, name: str, value: int, mean: bool) -> int: ...
    def add_output(self, name: str, value: int, order: Sequence[int]) -> None: ...
    def add_norm_pool(
        self, name: str, value: int, planes: Sequence[int], norm: _Norm, pool: _Pool
    ) -> int: ...
    def add_reduce(self, name: str, value: int, planes: Sequence[int], mean: bool) -> int: ...
    def add_pad(
        self, name: str, value: int, before: Sequence[int], after: Sequence[int], fill: float
    ) -> int: ...
    def add_resize(
        self,
        name: str,
        value: int,
        planes: Sequence[int],
        rows: _Interpolation,
        cols: _Interpolation,
    ) -> int: ...
    def add_convolution(
        self,
        *,
        name: str,
        x: int,
        map: Sequence[int],
        kernel: _Array,
        bias: _Array,
        strides: Sequence[int],
        dilation: Sequence[int],
        before: Sequence[int],
        output: Sequence[int],
        groups: int,
        activation: _Function,
    ) -> int: ...
    def add_convolution_transpose(
        self,
        *,
        name: str,
        x: int,
        map: Sequence[int],
        kernel: _Array,
        bias: _Array,
        strides: Sequence[int],
        dilation: Sequence[int],
        before: Sequence[int],
        output: Sequence[int],
        activation: _Function,
    ) -> int: ...
    def add_dense(
        self, name: str, value: int, kernel: _Array, bias: _Array, function: _Function
    ) -> int: ...
    def add_activation(self, name: str, value: int, function: _Function) -> int: ...
    def add_softmax(self, name: str, value: int, axis: int, logarithm: bool) -> int: ...
    def add_layer_norm(
        self,
        name: str,
        value: int,
        axes: tuple[int, int],
        kind: str,
        epsilon: float,
        scale: _Array | None,
        shift: _Array | None,
    ) -> int: ...
    def add_merge(
        self,
        name: str,
        values: Sequence[int],
        constants: Sequence[_Array],
        shape: Sequence[int],
        strides: Sequence[Sequence[int]],
        functions: Sequence[str],
    ) -> int: ...
    def add_concatenate(self, name: str, values: Sequence[int], axis: int) -> int: ...
    def add_dot(self, name: str, a: int, b: int) -> int: ...
    def add_permute(self, name: str, value: int, order: Sequence[int]) -> int: ...
    def add_conv_lstm(
        self,
        *,
        name: str,
        x: int,
        mask: tuple[int, bool] | None,
        initial: Sequence[int],
        frames: bool,
        final: bool,
        stateful: bool,
        filters: int,
        kernel: _Array,
        recurrent_kernel: _Array,
        bias: _Array,
        kernel_size: Sequence[int],
        strides: Sequence[int],
        dilation_rate: Sequence[int],
        same: bool,
        groups: int,
        activation: _Function,
        recurrent_activation: _Function,
        norm: _Norm,
        pool: _Pool,
    ) -> tuple[list[int], list[int]]: ...
    def add_mask(self, name: str, x: int, value: float) -> tuple[int, int]: ...
    def add_lstm(
        self,
        *,
        name: str,
        x: int,
        mask: tuple[int, bool] | None,
        initial: Sequence[int],
        frames: bool,
        final: bool,
        stateful: bool,
        units: int,
        kernel: _Array,
        recurrent_kernel: _Array,
        bias: _Array,
        recurrent_bias: _Array | None = None,
        activation: _Function,
        recurrent_activation: _Function = ...,
    ) -> tuple[list[int], list[int]]: ...
    add_gru = add_lstm
    add_gru_reset_before = add_lstm
    add_simple_rnn = add_lstm
    def finish(self) -> None: ...

class ProfileEvent:
    @property
    def what(self) -> Literal["input", "layer", "output"]: ...
    @property
    def index(self) -> int: ...
    @property
    def frame(self) -> int | None: ...
    @property
    def frames(self) -> int: ...
    @property
    def start_us(self) -> float: ...
    @property
    def duration_us(self) -> float: ...
    @property
    def bytes(self) -> int: ...
    @property
    def barriers(self) -> int: ...

class Stream:
    def __init__(self, network: Network, threads: int) -> None: ...
    def begin(self, singles: Sequence[NDArray[np.generic]], keep: bool) -> None: ...
    def push(self, frames: Sequence[NDArray[np.generic]], to: Sequence[_Array]) -> None: ...
    def finish(self, to: Sequence[_Array]) -> None: ...
    def run(self, frames: Sequence[NDArray[np.generic]]) -> dict[str, _Array]: ...
    def counts(self, frames: int, ended: bool) -> list[int]: ...
    def in_step(self) -> list[bool]: ...
    @property
    def batch(self) -> int: ...
    @property
    def frames(self) -> int: ...
    def start_profile(self, frames: int) -> None: ...
    def profile_events(self) -> list[ProfileEvent]: ...
    def clone(self) -> Stream: ...
    def export_state(self) -> dict[str, _Array]: ...
    def state_shapes(self, frames: int) -> dict[str, list[int]]: ...
    def import_state(self, frames: int, state: Sequence[_Array]) -> None: ...
    @property
    def state_bytes(self) -> int: ...
