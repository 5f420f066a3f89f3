"""Stand-ins for two Keras layers that train many times faster on a CPU: same weights, same numbers.

Keras' ConvLSTM2D runs eight small convolutions a frame, whose gradients XLA computes with plain loops,
and its TimeDistributed writes the wrapped layer into the program once for every frame, which takes minutes
to compile. Here convolutions are matrix products over shifted copies of the picture, the input
convolution sees all frames at once, the four gates share one product, and TimeDistributed joins the batch
and time axes.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def convolve_same(pictures: Any, kernel: Any) -> Any:
    """Convolve (..., rows, cols, in) with (kh, kw, in, out), stride 1 and zeros around the edges."""
    height, width, _, out = kernel.shape
    rows, cols = pictures.shape[-3:-1]
    edges = [((size - 1) // 2, size // 2) for size in (height, width)]
    padded = ops.pad(pictures, [(0, 0)] * (len(pictures.shape) - 3) + edges + [(0, 0)])
    shifted = [
        padded[..., i : i + rows, j : j + cols, :] for i in range(height) for j in range(width)
    ]
    return ops.matmul(ops.concatenate(shifted, axis=-1), ops.reshape(kernel, (-1, out)))


@keras.saving.register_keras_serializable(package="convlstm_native")
class ConvLSTM2D(keras.layers.ConvLSTM2D):  # type: ignore[misc]
    """ConvLSTM2D for channels_first, padding='same', return_sequences=True, from a zero state."""

    def call(
        self, sequences: Any, initial_state: None = None, mask: None = None, training: bool = False
    ) -> Any:
        """(N, T, C, H, W) to (N, T, filters, H, W)."""
        cell = self.cell
        time_first = ops.transpose(sequences, (1, 0, 3, 4, 2))
        inputs = convolve_same(time_first, cell.kernel) + cell.bias

        def step(state: tuple[Any, Any], x: Any) -> tuple[tuple[Any, Any], Any]:
            h, c = state
            gates = x + convolve_same(h, cell.recurrent_kernel)
            i, f, candidate, o = ops.split(gates, 4, axis=-1)
            c = self.recurrent_activation(f) * c
            c = c + self.recurrent_activation(i) * self.activation(candidate)
            h = self.recurrent_activation(o) * self.activation(c)
            return (h, c), h

        zeros = ops.zeros_like(inputs[0, ..., : self.filters])
        _, outputs = ops.scan(step, (zeros, zeros), inputs)
        return ops.transpose(outputs, (1, 0, 4, 2, 3))


@keras.saving.register_keras_serializable(package="convlstm_native")
class TimeDistributed(keras.layers.TimeDistributed):  # type: ignore[misc]
    """TimeDistributed for layers that treat every sample alike."""

    def call(self, inputs: Any, training: bool | None = None, mask: None = None) -> Any:
        """(N, T, ...) to (N, T, ...)."""
        outputs = self.layer(ops.reshape(inputs, (-1, *inputs.shape[2:])))
        return ops.reshape(outputs, (*inputs.shape[:2], *outputs.shape[1:]))
