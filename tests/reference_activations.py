"""Activation functions in float64 NumPy, by the formulas of Keras 3."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from convlstm_native import spec
from numpy.typing import NDArray

Array64 = NDArray[np.float64]


def relu(x: Array64, negative_slope: float, max_value: float, threshold: float) -> Array64:
    if min(negative_slope, max_value, threshold) < 0:
        raise ValueError("relu: Keras defines it for parameters >= 0")
    return np.where(x > threshold, np.minimum(x, max_value), negative_slope * (x - threshold))


def sigmoid(x: Array64) -> Array64:
    return 1 / (1 + np.exp(-x))


def elu(x: Array64, alpha: float) -> Array64:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def selu(x: Array64) -> Array64:
    # The constants of Klambauer et al. 2017, "Self-Normalizing Neural Networks", section 2.
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def celu(x: Array64, alpha: float) -> Array64:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def gelu(x: Array64) -> Array64:
    # erfc keeps the small values of the negative side, where 1 + erf would cancel to zero.
    erfc: Array64 = np.vectorize(math.erfc, otypes=[np.float64])(-x / math.sqrt(2))
    return 0.5 * x * erfc


def gelu_tanh(x: Array64) -> Array64:
    y: Array64 = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return y


def softplus(x: Array64) -> Array64:
    return np.logaddexp(x, 0)


def hard_sigmoid(x: Array64, slope: float, offset: float) -> Array64:
    return np.clip(slope * x + offset, 0, 1)


def squareplus(x: Array64, b: float) -> Array64:
    return (x + np.sqrt(x**2 + b)) / 2


def sparse_plus(x: Array64) -> Array64:
    return np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4))


def soft_shrink(x: Array64, threshold: float) -> Array64:
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0)


def threshold(x: Array64, above: float, otherwise: float) -> Array64:
    return np.where(x > above, x, otherwise)


def log_softmax(x: Array64) -> Array64:
    shifted = x - x.max(axis=-1, keepdims=True)
    y: Array64 = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return y


FUNCTIONS: dict[str, Callable[..., Array64]] = {
    "linear": lambda x: x,
    "relu": relu,
    "hard_sigmoid": hard_sigmoid,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "elu": elu,
    "selu": selu,
    "celu": celu,
    "exponential": np.exp,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": lambda x: x * sigmoid(x),
    "hard_silu": lambda x, slope, offset: x * hard_sigmoid(x, slope, offset),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "log_sigmoid": lambda x: -softplus(-x),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_shrink": lambda x, threshold: np.where(np.abs(x) > threshold, x, 0),
    "soft_shrink": soft_shrink,
    "tanh_shrink": lambda x: x - np.tanh(x),
    "squareplus": squareplus,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "threshold": threshold,
    "softmax": lambda x: np.exp(log_softmax(x)),
    "log_softmax": log_softmax,
}


def activation(function: spec.Function, x: Array64) -> Array64:
    """``function`` of every element of ``x`` (of the last axis for softmax and log_softmax)."""
    # exp of a large number is infinite, and every formula above takes 1 / inf = 0 from there.
    with np.errstate(over="ignore"):
        return FUNCTIONS[function.name](np.asarray(x, np.float64), *function.parameters)
