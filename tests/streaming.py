"""A model run frame by frame, its outputs gathered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import convlstm_native as cn
import numpy as np


def streamed(model: cn.Model, given: Any) -> dict[str, np.ndarray]:
    """What :meth:`Model.predict` gives for one sample: an array (T, *frame), or a dict of inputs."""
    sequences = {i.name for i in model.spec.inputs if i.sequence}
    if not isinstance(given, Mapping):
        given = dict.fromkeys(sequences, given)
    stream = model.stream({name: x for name, x in given.items() if name not in sequences})
    parts: dict[str, list[np.ndarray]] = {output.name: [] for output in model.outputs}
    in_step = dict(zip(parts, stream._core.in_step(), strict=True))
    frames = {name: given[name] for name in sequences}
    for t in range(len(next(iter(frames.values())))):
        for name, array in (stream.push({n: x[t] for n, x in frames.items()}) or {}).items():
            parts[name].append(array[np.newaxis] if in_step[name] else array)
    late = stream.flush() or {}
    for name, array in late.items():
        parts[name].append(array)
    return {
        name: pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        for name, pieces in parts.items()
    }
