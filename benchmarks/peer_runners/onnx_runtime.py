"""ONNX Runtime on any of the ONNX files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from peer_runners import Job


def load(job: Job, kind: str) -> Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """A session on the file ``kind``; operators run one after another, each on all threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(job.file(kind)), options, providers=["CPUExecutionProvider"]
    )
    (frames,) = session.get_inputs()

    def run(clip: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        outputs = session.run(None, {frames.name: clip[np.newaxis]})
        return [output[0] for output in outputs]

    return run
