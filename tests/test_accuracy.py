"""Rounding over many recurrent steps: Winograd and direct kernels against float64."""

from __future__ import annotations

from dataclasses import replace

import convlstm_native as cn
import numpy as np
import pytest
import reference
from convlstm_native.spec import Function, Input, NetworkSpec, Node, Output
from strategies import conv_lstm

STEPS = 1000


@pytest.mark.parametrize(
    ("channels", "filters", "activation", "tolerance"),
    # Relative to the largest |h|. Saturating cells forget old errors; relu passes them on, so its
    # weights are kept small enough for the state not to diverge.
    [(3, 20, "tanh", 3e-6), (20, 10, "tanh", 3e-6), (8, 16, "tanh", 3e-6), (3, 8, "relu", 1e-5)],
)
def test_error_stays_small(channels: int, filters: int, activation: str, tolerance: float) -> None:
    random = np.random.default_rng(5)
    layer = conv_lstm(
        random,
        channels,
        filters,
        (3, 3),
        padding="same",
        data_format="channels_first",
        return_sequences=True,
        activation=Function(activation),
    )
    if activation == "relu":
        small = np.float32(0.4)
        layer = replace(
            layer, kernel=layer.kernel * small, recurrent_kernel=layer.recurrent_kernel * small
        )
    net = NetworkSpec(
        "cell",
        (Input("x", (channels, 13, 18)),),
        (Node("cell", layer, ("x",), ("y",)),),
        (Output("y", "y"),),
    )
    x = random.standard_normal((STEPS, channels, 13, 18)).astype(np.float32)
    expected = reference.run(net, {"x": x[np.newaxis]})["y"][0]
    scale = np.abs(expected).max()
    for algorithm in ("auto", "direct"):
        for isa in cn.available_isas():
            model = cn.Model(net, algorithm=algorithm, isa=isa)
            winograd = algorithm == "auto" and isa != "scalar"
            kernel = "winograd 4x4" if winograd else "direct"
            assert model.summary().layers[0].kernel == f"{kernel} {isa}"
            worst = np.abs(model.predict(x)["y"] - expected).max()
            assert worst <= tolerance * scale, (algorithm, isa, worst / scale)


def test_unknown_algorithm_is_refused() -> None:
    with pytest.raises(cn.InputError, match="algorithm: expected one of"):
        cn.Model.load(cn.demo_model(), algorithm="fast")
