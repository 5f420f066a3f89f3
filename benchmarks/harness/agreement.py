"""Whether two runtimes gave the same answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Largest difference over the largest value of an output. Two float32 engines that add in different orders
# stay well below the first; bfloat16 keeps 8 bits of a number, so its errors are of another size.
TOLERANCES = {"f32": 1e-4, "bf16": 0.1}


def largest_error(expected: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """The largest difference over all outputs, each relative to its largest expected value.

    Infinity where shapes or the number of outputs differ, or where a number is not finite.
    """
    if [array.shape for array in expected] != [array.shape for array in found]:
        return float("inf")
    worst = 0.0
    for ours, theirs in zip(expected, found, strict=True):
        if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
            return float("inf")
        scale = float(np.abs(ours).max()) or 1.0
        worst = max(worst, float(np.abs(theirs.astype(np.float64) - ours).max()) / scale)
    return worst


def disagreement(
    expected: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]], precision: str
) -> str | None:
    """Why ``found`` is not the same answer in ``precision``, or None when it is."""
    shapes = [[array.shape for array in arrays] for arrays in (expected, found)]
    if shapes[0] != shapes[1]:
        return f"expected outputs of shapes {shapes[0]}, found {shapes[1]}"
    error, tolerance = largest_error(expected, found), TOLERANCES[precision]
    if error <= tolerance:
        return None
    return f"differs by {error:.2g} of the largest value, tolerance {tolerance:g}"
