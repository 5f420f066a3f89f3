"""PyTorch as one would write the network by hand for speed.

All layers for one frame, then the next; a cell is one convolution over its input and its state together;
channels_last memory; what follows the last cell runs once over all frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from convlstm_native import spec
from convlstm_native.readers import read
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from peer_runners import Job

Tensor = Any  # torch is not installed where types are checked


def function(given: spec.Function) -> Callable[[Tensor], Tensor]:
    """An activation by PyTorch's own operator."""
    plain: dict[str, Callable[[Tensor], Tensor]] = {
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "relu": torch.relu,
        "hard_sigmoid": functional.hardsigmoid,
        "linear": torch.nn.Identity(),
    }
    if given.name not in plain or given != spec.Function(given.name):
        raise ValueError(f"expected a common activation, found {given}")
    return plain[given.name]


class FusedCell(nn.Module):  # type: ignore[misc]
    """A ConvLSTM2D step: one convolution over cat(x, h) for all four gates."""

    def __init__(self, layer: spec.ConvLSTM2D) -> None:
        super().__init__()
        odd = all(size % 2 for size in layer.kernel_size)
        if not odd or layer.strides != (1, 1) or layer.dilation_rate != (1, 1):
            raise ValueError("expected an odd kernel, stride 1 and dilation 1")
        joined = np.concatenate([layer.kernel, layer.recurrent_kernel], axis=1)
        weight = torch.from_numpy(joined).contiguous(memory_format=torch.channels_last)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(torch.from_numpy(layer.bias))
        self.filters = layer.filters
        self.margins = [(size - 1) // 2 for size in layer.kernel_size]
        self.same = layer.padding == "same"
        self.gate = function(layer.recurrent_activation)
        self.activation = function(layer.activation)

    def zeros(self, frame: Sequence[int], dtype: Any) -> Tensor:
        """A zero state for frames (C, H, W)."""
        lost = [0 if self.same else 2 * margin for margin in self.margins]
        rows, cols = (size - less for size, less in zip(frame[1:], lost, strict=True))
        shape = (1, self.filters, rows, cols)
        return torch.zeros(shape, dtype=dtype).contiguous(memory_format=torch.channels_last)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """(x, h, c) to the next (h, c)."""
        rows, cols = self.margins
        if self.same:
            both, padding = torch.cat([x, h], 1), (rows, cols)
        else:
            # The state is smaller than x by just the border of zeros that its convolution wants.
            both = torch.cat([x, functional.pad(h, (cols, cols, rows, rows))], 1)
            padding = (0, 0)
        gates = functional.conv2d(both, self.weight, self.bias, padding=padding)
        i, f, g, o = gates.chunk(4, 1)
        c = self.gate(f) * c + self.gate(i) * self.activation(g)
        return self.gate(o) * self.activation(c), c


class Frozen(nn.Module):  # type: ignore[misc]
    """A frame-wise layer; pictures are (N, C, H, W) whatever the axis order of the spec."""

    def __init__(self, layer: spec.Layer, last: bool, rank: int) -> None:
        super().__init__()
        self.layer, self.last = layer, last
        if isinstance(layer, spec.BatchNormalization):
            shape = [1] * (rank + 1)
            # Where the axis of the spec's frame lies in (N, C, H, W).
            axes = (2, 3, 1) if last and rank == 3 else tuple(range(1, rank + 1))
            shape[axes[layer.axis]] = -1
            self.scale = nn.Parameter(torch.from_numpy(layer.scale).reshape(shape))
            self.shift = nn.Parameter(torch.from_numpy(layer.shift).reshape(shape))
        elif isinstance(layer, spec.Dense):
            self.weight = nn.Parameter(torch.from_numpy(layer.kernel.T.copy()))
            self.bias = nn.Parameter(torch.from_numpy(layer.bias))
            self.activation = function(layer.activation)

    def forward(self, x: Tensor) -> Tensor:
        """One frame, or all of them as a batch."""
        layer = self.layer
        if isinstance(layer, spec.BatchNormalization):
            return x * self.scale + self.shift
        if isinstance(layer, spec.Dense):
            return self.activation(functional.linear(x, self.weight, self.bias))
        if isinstance(layer, spec.Flatten):
            return (x.permute(0, 2, 3, 1) if self.last else x).reshape(x.shape[0], -1)
        if isinstance(layer, spec.MaxPooling):
            return self._pool(x, layer)
        raise ValueError(f"no form of {type(layer).__name__} by hand")

    def _pool(self, x: Tensor, layer: spec.MaxPooling) -> Tensor:
        size = layer.pool_size[:2] if self.last else layer.pool_size[1:]
        if math.prod(size) != math.prod(layer.pool_size) or layer.strides != layer.pool_size:
            raise ValueError("expected pools over rows and columns alone, as far apart as large")
        if layer.padding == "valid":
            return functional.max_pool2d(x, size)
        pads: list[int] = []
        for length, window in zip(reversed(x.shape[2:]), reversed(size), strict=True):
            pads += spec.same_padding(length, window, window)
        if pads[0] or pads[2]:
            x = functional.pad(x, pads, value=-math.inf)
        # What remains to be padded lies behind, where the last window may be cut short.
        return functional.max_pool2d(x, size, ceil_mode=True)


class Steps(nn.Module):  # type: ignore[misc]
    """A network from its spec: :meth:`forward` is one frame up to the last cell, :meth:`tail` the rest."""

    def __init__(self, network: spec.NetworkSpec) -> None:
        super().__init__()
        cells = [n for n in network.nodes if isinstance(n.layer, spec.ConvLSTM2D)]
        values = network.values()
        (self.frames,) = network.inputs
        self.last = cells[0].layer.data_format == "channels_last"  # type: ignore[attr-defined]
        self.outputs = [output.value for output in network.outputs]
        needed = {name for node in cells for name in (*node.inputs, *node.outputs)}
        for node in reversed(network.nodes):
            if needed & set(node.outputs):
                needed.update(node.inputs)
        self.early = [node for node in network.nodes if needed & set(node.outputs)]
        self.late = [node for node in network.nodes if node not in self.early]
        read_later = {name for node in self.late for name in node.inputs} | set(self.outputs)
        self.border = [n.outputs[0] for n in self.early if n.outputs[0] in read_later]
        self.ranks = {name: len(value.shape) for name, value in values.items()}
        self.cells = [node.name for node in cells]
        self.shapes = [self._picture(values[node.inputs[0]].shape) for node in cells]
        self.layers = nn.ModuleDict()
        for node in network.nodes:
            layer = node.layer
            self.layers[_key(node.name)] = (
                FusedCell(layer)
                if isinstance(layer, spec.ConvLSTM2D)
                else Frozen(layer, self.last, self.ranks[node.inputs[0]])
            )

    def _picture(self, shape: Sequence[int]) -> tuple[int, ...]:
        return (shape[2], *shape[:2]) if self.last else tuple(shape)

    def zeros(self, dtype: Any) -> list[Tensor]:
        """Zero states: h and c of every cell, one after another."""
        states = []
        for name, shape in zip(self.cells, self.shapes, strict=True):
            cell = self.layers[_key(name)]
            states += [cell.zeros(shape, dtype), cell.zeros(shape, dtype)]
        return states

    def forward(self, frame: Tensor, states: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """One frame (1, C, H, W) and the states to what :meth:`tail` reads, and the next states."""
        known, after = {self.frames.name: frame}, []
        for node in self.early:
            layer, x = self.layers[_key(node.name)], known[node.inputs[0]]
            if isinstance(layer, FusedCell):
                at = 2 * self.cells.index(node.name)
                h, c = layer(x, states[at], states[at + 1])
                after += [h, c]
                known[node.outputs[0]] = h
            else:
                known[node.outputs[0]] = layer(x)
        return [known[name] for name in self.border], after

    def tail(self, frames: list[list[Tensor]]) -> list[Tensor]:
        """The outputs, from what :meth:`forward` gave for every frame."""
        known = {
            name: torch.cat([frame[k] for frame in frames]) for k, name in enumerate(self.border)
        }
        for node in self.late:
            known[node.outputs[0]] = self.layers[_key(node.name)](known[node.inputs[0]])
        return [
            known[name].permute(0, 2, 3, 1) if self.last and self.ranks[name] == 3 else known[name]
            for name in self.outputs
        ]

    def pictures(self, clip: Tensor) -> Tensor:
        """A clip (T, *frame) as (T, C, H, W) in channels_last memory."""
        pictures = clip.permute(0, 3, 1, 2) if self.last else clip
        return pictures.contiguous(memory_format=torch.channels_last)


def _key(name: str) -> str:
    """Modules must not have dots in their names."""
    return name.replace(".", "_").replace("/", "_")


def load(
    job: Job, precision: str, compiled: bool
) -> Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """The network in float32 or all in bfloat16, eager or each frame by ``torch.compile``."""
    torch.set_num_threads(job.threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
    steps = Steps(read(job.file("keras"))).eval().to(dtype)
    step = steps
    if compiled:
        # Weights become constants of the program, so that they are packed for the kernels once.
        step = torch.compile(steps, options={"freezing": True})

    def run(clip: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        with torch.no_grad():
            states, results = steps.zeros(dtype), []
            for frame in steps.pictures(torch.from_numpy(clip)).to(dtype).split(1):
                result, states = step(frame, states)
                results.append(result)
            return [output.float().numpy() for output in steps.tail(results)]

    return run
