"""OpenVINO on the unrolled export; it refuses the Loop of the Keras export."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import openvino
from numpy.typing import NDArray

from peer_runners import Job


def load(job: Job, precision: str) -> Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Compiled for one stream of requests on all threads.

    Raises RuntimeError where the CPU has no such arithmetic and OpenVINO would quietly use float32.
    """
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": job.threads,
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = core.compile_model(core.read_model(job.file("unrolled")), "CPU", settings)
    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if used != precision:
        raise RuntimeError(f"asked for {precision}, OpenVINO runs {used} on this CPU")
    request = compiled.create_infer_request()

    def run(clip: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        results = request.infer([clip])
        return [np.array(results[output]) for output in compiled.outputs]

    return run
