"""How far results of layers and networks may lie from the reference: one table, a reason a line.

A difference counts relative to the largest magnitude in the reference, because every sum mixes
elements of that magnitude and the small elements of a frame inherit its rounding. Where terms may
cancel, the largest term counts instead. ``EPS`` is the spacing of float32 at one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

EPS = float(np.finfo(np.float32).eps)
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)

TOLERANCES: dict[str, float] = {
    # Gates below one and a state that is pulled back each step: sums of up to 500 products, each
    # rounded once, and a few rational approximations good to some EPS.
    "conv_lstm bounded": 3e-6,
    # Functions without a limit pass errors on at full size, to the states and from there to the
    # next step: as above, times the few steps that the tests run.
    "conv_lstm unbounded": 1e-5,
    # The same on vectors: sums of up to 150 products.
    "recurrent bounded": 3e-6,
    "recurrent unbounded": 1e-5,
    # One multiplication and one addition.
    "batch_normalization": 2 * EPS,
    # Sums whose error does not grow with their length, a square root and a division, and one
    # multiplication and addition each for the weights.
    "layer_normalization": 4 * EPS,
    # One multiplication at most.
    "prelu": EPS,
    # A choice among its inputs, without arithmetic.
    "max_pooling": 0.0,
    "pad": 0.0,
    "nearest": 0.0,
    "slice": 0.0,
    "flatten": 0.0,
    # A compensated sum and a division.
    "reduce_time": 2 * EPS,
    "concatenate": 0.0,
    # One operation for each input more, each rounded once.
    "merge": 2 * EPS,
    # A sum of up to 125 numbers in float32, column by column, and a division.
    "average_pooling": 4 * EPS,
    # The same for up to 300 numbers one after another.
    "average_pooling long": 16 * EPS,
    # Sums of 64 numbers in float32, all others in float64.
    "mean": 4 * EPS,
    # Two sums of a few products, one along rows and one along columns, by rounded weights.
    "resize": 8 * EPS,
    # Sums of up to a few hundred products in any order.
    "dot": 16 * EPS,
    "dense": 16 * EPS,
    # Sums of up to two thousand products one after another: their errors walk at random.
    "convolution": 32 * EPS,
    # One rational approximation or one library call in float64, rounded once. Element by element.
    "activation": 2 * EPS,
    # The same after exp, a sum over the axis and a division, all in float32.
    "softmax": 4 * EPS,
    # A whole network: the errors of its layers add up.
    "network": 5e-6,
    # Both sides in float64; weights that a rewrite multiplies together are rounded to float32.
    "rewrite folded": 8 * EPS,
    # Both sides in float64 on the same float32 weights: only the order of sums differs.
    "rewrite": 1e-12,
    # Keras computes in float32 too: its own rounding comes on top of ours.
    "keras conv_lstm": 3e-6,
    "keras layer": 16 * EPS,
    # A layer that divides what a cell leaves by its deviation, some tenths of its largest value:
    # the difference of the cells grows by as much.
    "keras normalized": 2e-5,
    # Keras' rounding in a network of up to a dozen layers, whose errors add up.
    "keras network": 1e-5,
    # Keras computes the weights of an interpolation in float32: places of up to a dozen pixels, each
    # rounded, beside ours from float64.
    "keras resize": 48 * EPS,
    # Keras puts some functions together from others, in float32. Element by element.
    "keras activation": 16 * EPS,
}


def check(
    found: NDArray[Any], expected: NDArray[Any], operation: str, largest_term: float = 0.0
) -> None:
    """Fails unless ``found`` has the shape of ``expected`` and its numbers within the tolerance."""
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    scale = float(np.abs(expected).max(initial=largest_term))
    worst = float(np.abs(found.astype(np.float64) - expected).max(initial=0.0))
    allowed = TOLERANCES[operation] * max(scale, np.finfo(np.float32).tiny)
    assert worst <= allowed, (
        f"{operation}: difference {worst:.3g}, allowed {allowed:.3g}, largest value {scale:.3g}"
    )


def check_elements(
    found: NDArray[Any], expected: NDArray[Any], x: NDArray[Any], operation: str
) -> None:
    """Like :func:`check` for a function of ``x``, each element by itself.

    A difference counts relative to the larger of argument and result: a function that subtracts, such
    as x - tanh(x), cannot be better than its argument. Infinities must agree.
    """
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    with np.errstate(over="ignore"):
        rounded = expected.astype(np.float32)
    np.testing.assert_array_equal(np.isinf(found), np.isinf(rounded))
    finite = np.isfinite(rounded)
    scale = np.maximum(np.abs(x), np.abs(expected))[finite]
    # Denormals: one step of the grid, where no relative tolerance reaches.
    allowed = TOLERANCES[operation] * scale.astype(np.float64) + SMALLEST
    difference = np.abs(found.astype(np.float64)[finite] - expected[finite])
    worst = int(np.argmax(difference - allowed)) if difference.size else 0
    assert (difference <= allowed).all(), (
        f"{operation}: f({x[finite][worst]}) = {found[finite][worst]}, "
        f"expected {expected[finite][worst]}"
    )
