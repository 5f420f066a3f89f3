"""This runtime, and the portable ONNX file that it writes for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import convlstm_native as cn
import numpy as np
from numpy.typing import NDArray

from peer_runners import Job


def write(job: Job) -> None:
    """The portable file."""
    cn.convert(job.file("keras"), job.file("portable"))


def load(job: Job, **options: Any) -> Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """The portable file by our own engine."""
    model = cn.Model.load(job.file("portable"), threads=job.threads, **options)

    def run(clip: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return list(model.predict(clip).values())

    return run
