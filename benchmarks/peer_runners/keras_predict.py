"""Keras ``predict`` on TensorFlow: what a user of the file has before anything is converted."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow
from numpy.typing import NDArray

from peer_runners import Job


def load(job: Job) -> Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """The saved network, with TensorFlow's pools limited to the threads of the job."""
    tensorflow.config.threading.set_intra_op_parallelism_threads(job.threads)
    tensorflow.config.threading.set_inter_op_parallelism_threads(job.threads)
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(f"Keras runs on {keras.backend.backend()}, not on tensorflow")
    model = keras.models.load_model(job.file("keras"), compile=False)

    def run(clip: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        try:
            outputs = model.predict(clip[np.newaxis], batch_size=1, verbose=0)
        except tensorflow.errors.OpError as error:
            raise RuntimeError(_cause(str(error))) from error
        outputs = outputs if isinstance(outputs, list) else [outputs]
        return [output[0] for output in outputs]

    return run


def _cause(message: str) -> str:
    """The sentence of a TensorFlow error that says what is wrong: it stands last, after the trace."""
    lines = [line.strip() for line in message.splitlines()]
    return [line for line in lines if line and not line.startswith("[[")][-1]
