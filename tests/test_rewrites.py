"""Rewrites: fewer nodes, the same outputs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import reference
from convlstm_native import spec
from convlstm_native.errors import UnsupportedModelError
from convlstm_native.rewrites import (
    fold_linear_dense,
    fuse_norm_and_pool,
    merge_sibling_conv_lstms,
    optimize,
)
from convlstm_native.spec import NetworkSpec, Node, Output
from hypothesis import given
from strategies import batch_normalization, conv_lstm, dense, examples, genre_net, networks
from tolerances import check

RNG = np.random.default_rng(7)
POOL = spec.MaxPooling((1, 2, 2), (1, 2, 2), "same")
FRAME = (2, 6, 7)
CELL = {"padding": "same", "data_format": "channels_first", "return_sequences": True}


def cell(channels: int = 2, filters: int = 3, **arguments: object) -> spec.ConvLSTM2D:
    return conv_lstm(RNG, channels, filters, **{**CELL, **arguments})


def network(*nodes: Node, outputs: tuple[str, ...], frame: tuple[int, ...] = FRAME) -> NetworkSpec:
    shown = tuple(Output(f"out_{value}", value) for value in outputs)
    return NetworkSpec("net", (spec.Input("x", frame),), nodes, shown)


def node(name: str, layer: spec.Layer, source: str = "x") -> Node:
    return Node(name, layer, (source,), (name,))


def kinds(net: NetworkSpec) -> Counter[str]:
    return Counter(type(n.layer).__name__ for n in net.nodes)


def assert_same(found: NetworkSpec, net: NetworkSpec, operation: str = "rewrite") -> None:
    """Same names, order, shapes and numbers of the outputs."""
    assert found.inputs == net.inputs
    assert found.outputs == net.outputs
    shapes, expected_shapes = found.values(), net.values()
    assert [shapes[o.value] for o in net.outputs] == [expected_shapes[o.value] for o in net.outputs]
    assert len({n.name for n in found.nodes}) == len(found.nodes)
    x = np.random.default_rng(0).standard_normal((2, 3, *net.inputs[0].shape))
    expected = reference.run(net, {net.inputs[0].name: x})
    results = reference.run(found, {net.inputs[0].name: x})
    assert list(results) == list(expected)
    for name, value in expected.items():
        check(results[name], value, operation)


# --- all of them ---------------------------------------------------------------------------------


def test_genre_net_becomes_three_conv_lstms() -> None:
    net = genre_net()
    found = optimize(net)
    assert kinds(found) == {"ConvLSTM2D": 3, "Slice": 6, "Flatten": 6, "Dense": 6}
    layers = [n.layer for n in found.nodes if isinstance(n.layer, spec.ConvLSTM2D)]
    assert [layer.groups for layer in layers] == [1, 1, 6]
    assert [layer.norm is not None for layer in layers] == [True, True, False]
    assert all(layer.pool is not None for layer in layers)
    assert_same(found, net, "rewrite folded")


def test_optimize_is_done_after_one_pass() -> None:
    once = optimize(genre_net())
    assert optimize(once) == once


def test_optimize_leaves_its_argument_alone() -> None:
    net = genre_net()
    nodes = net.nodes
    before = reference.run(net, {"trailer_input": np.ones((1, 2, 3, 24, 36))})
    optimize(net)
    assert net.nodes is nodes
    after = reference.run(net, {"trailer_input": np.ones((1, 2, 3, 24, 36))})
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_network_that_does_not_fit_together_is_refused() -> None:
    broken = network(node("a", cell(channels=5)), outputs=("a",))
    with pytest.raises(UnsupportedModelError, match="kernel shape"):
        optimize(broken)


@examples(80)
@given(networks())
def test_rewrites_keep_outputs_and_numbers(net: NetworkSpec) -> None:
    assert_same(merge_sibling_conv_lstms(net), net)
    assert_same(fuse_norm_and_pool(net), net)
    assert_same(fold_linear_dense(net), net, "rewrite folded")
    assert_same(optimize(net), net, "rewrite folded")


@pytest.mark.parametrize("layer", [spec.Merge("add"), spec.Concatenate(0)], ids=str)
def test_siblings_that_meet_in_one_layer(layer: spec.Layer) -> None:
    """The layer reads both, so that it follows neither alone."""
    norm, other = batch_normalization(RNG, 0, 3), batch_normalization(RNG, 0, 3)
    both = Node("both", layer, ("an", "bn"), ("both",))
    twice = Node("twice", layer, ("both", "both"), ("twice",))
    net = network(
        node("a", cell()),
        node("b", cell()),
        node("an", norm, "a"),
        node("bn", other, "b"),
        both,
        twice,
        outputs=("twice",),
    )
    found = optimize(net)
    assert kinds(found) == {"ConvLSTM2D": 1, "Slice": 2, type(layer).__name__: 2}
    assert_same(found, net)
    # One sibling is read before its normalization too.
    plain = Node("both", layer, ("an", "a"), ("both",))
    net = network(node("a", cell()), node("an", norm, "a"), plain, outputs=("both",))
    assert kinds(optimize(net))["BatchNormalization"] == 1
    assert_same(optimize(net), net)


# --- siblings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_siblings_merge(data_format: str) -> None:
    frame = FRAME if data_format == "channels_first" else (6, 7, 2)
    net = network(
        *(node(name, cell(data_format=data_format)) for name in "abc"),
        outputs=("c", "a", "b"),
        frame=frame,
    )
    found = merge_sibling_conv_lstms(net)
    assert kinds(found) == {"ConvLSTM2D": 1, "Slice": 3}
    assert found.nodes[0].name == "a+b+c"
    assert_same(found, net)


def test_common_pool_and_norm_move_before_the_slices() -> None:
    nodes = [node(name, cell()) for name in "ab"]
    nodes += [node(f"norm_{s}", batch_normalization(RNG, 0, 3), s) for s in "ab"]
    nodes += [node(f"pool_{s}", POOL, f"norm_{s}") for s in "ab"]
    net = network(*nodes, outputs=("pool_a", "pool_b"))
    found = merge_sibling_conv_lstms(net)
    assert kinds(found) == {"ConvLSTM2D": 1, "BatchNormalization": 1, "MaxPooling": 1, "Slice": 2}
    assert [n.name for n in found.nodes[:3]] == ["a+b", "norm_a+norm_b", "pool_a+pool_b"]
    assert_same(found, net)


def test_norms_of_the_width_move_only_when_equal() -> None:
    norms = [batch_normalization(RNG, 2, 7) for _ in range(2)]
    for second, count in ((norms[0], 1), (norms[1], 2)):
        net = network(
            *(node(name, cell()) for name in "ab"),
            node("norm_a", norms[0], "a"),
            node("norm_b", second, "b"),
            outputs=("norm_a", "norm_b"),
        )
        found = merge_sibling_conv_lstms(net)
        assert kinds(found)["BatchNormalization"] == count
        assert_same(found, net)


@pytest.mark.parametrize(
    ("pool_a", "pool_b"),
    [
        (POOL, spec.MaxPooling((1, 3, 3), (1, 2, 2), "same")),
        (spec.MaxPooling((2, 2, 2), (2, 2, 2), "same"),) * 2,
        (spec.MaxPooling((1, 2, 2), (2, 2, 2), "same"),) * 2,
    ],
    ids=["different", "window over channels", "stride over channels"],
)
def test_poolings_that_stay_behind_the_slices(
    pool_a: spec.MaxPooling, pool_b: spec.MaxPooling
) -> None:
    net = network(
        *(node(name, cell()) for name in "ab"),
        node("pool_a", pool_a, "a"),
        node("pool_b", pool_b, "b"),
        outputs=("pool_a", "pool_b"),
    )
    found = merge_sibling_conv_lstms(net)
    assert kinds(found) == {"ConvLSTM2D": 1, "Slice": 2, "MaxPooling": 2}
    assert_same(found, net)


def test_a_pooling_of_one_sibling_stays() -> None:
    net = network(
        *(node(name, cell()) for name in "ab"), node("pool_a", POOL, "a"), outputs=("pool_a", "b")
    )
    found = merge_sibling_conv_lstms(net)
    assert kinds(found) == {"ConvLSTM2D": 1, "Slice": 2, "MaxPooling": 1}
    assert_same(found, net)


def test_a_pooled_sibling_that_is_an_output_too_is_kept() -> None:
    net = network(
        *(node(name, cell()) for name in "ab"),
        *(node(f"pool_{name}", POOL, name) for name in "ab"),
        outputs=("pool_a", "b", "pool_b"),
    )
    assert_same(optimize(net), net)


@pytest.mark.parametrize(
    "difference",
    [
        {"filters": 4},
        {"kernel_size": (1, 3)},
        {"activation": spec.Function("relu")},
        {"recurrent_activation": spec.Function("hard_sigmoid")},
        {"go_backwards": True},
        {"return_sequences": False},
        {"return_state": True},
        {"stateful": True},
    ],
    ids=lambda d: next(iter(d)),
)
def test_layers_that_are_no_siblings(difference: dict[str, object]) -> None:
    other = cell(**difference)
    values = ("b", "h", "c") if other.return_state else ("b",)
    net = network(node("a", cell()), Node("b", other, ("x",), values), outputs=("a", "b"))
    assert kinds(merge_sibling_conv_lstms(net)) == {"ConvLSTM2D": 2}
    assert_same(optimize(net), net)


def test_equal_layers_that_return_or_keep_a_state_are_no_siblings() -> None:
    for arguments in ({"return_state": True}, {"stateful": True}, {"return_sequences": False}):
        count = 3 if "return_state" in arguments else 1
        nodes = (
            Node(name, cell(**arguments), ("x",), (name, f"{name}_h", f"{name}_c")[:count])
            for name in "ab"
        )
        net = network(*nodes, outputs=("a", "b"))
        assert merge_sibling_conv_lstms(net) == net


def test_layers_that_were_merged_before_are_left_alone() -> None:
    layers = [cell(filters=4) for _ in "ab"]
    grouped = [
        replace(layer, groups=2, recurrent_kernel=layer.recurrent_kernel[:, :2]) for layer in layers
    ]
    net = network(node("a", grouped[0]), node("b", grouped[1]), outputs=("a", "b"))
    assert optimize(net) == net


def test_layers_that_were_fused_before_are_left_alone() -> None:
    pooled = replace(cell(), pool=POOL)
    net = network(node("a", pooled), node("pool", POOL, "a"), outputs=("pool",))
    assert optimize(net) == net


def test_merged_names_avoid_names_in_use() -> None:
    net = network(
        *(node(name, cell()) for name in "ab"),
        node("a+b", spec.Flatten()),
        outputs=("a+b", "a", "b"),
    )
    found = merge_sibling_conv_lstms(net)
    assert "a+b+" in [n.name for n in found.nodes]
    assert_same(found, net)


# --- dense ---------------------------------------------------------------------------------------


def dense_net(*layers: spec.Dense, outputs: tuple[str, ...] = ("d2",)) -> NetworkSpec:
    sources = ("x", "d0", "d1", "d2")
    nodes = [node(f"d{k}", layer, sources[k]) for k, layer in enumerate(layers)]
    return network(*nodes, outputs=outputs, frame=(20,))


def test_a_linear_chain_folds_to_one_dense() -> None:
    net = dense_net(dense(RNG, 20, 12), dense(RNG, 12, 6), dense(RNG, 6, 1, "sigmoid"))
    found = fold_linear_dense(net)
    assert [n.name for n in found.nodes] == ["d0+d1+d2"]
    layer = found.nodes[0].layer
    assert isinstance(layer, spec.Dense)
    assert layer.activation.name == "sigmoid"
    assert layer.kernel.dtype == layer.bias.dtype == np.float32
    assert_same(found, net, "rewrite folded")


def test_a_chain_is_cut_at_an_activation_and_at_an_output() -> None:
    relu = dense_net(dense(RNG, 20, 12), dense(RNG, 12, 6, "relu"), dense(RNG, 6, 1))
    assert [n.name for n in fold_linear_dense(relu).nodes] == ["d0+d1", "d2"]
    shown = dense_net(dense(RNG, 20, 12), dense(RNG, 12, 6), dense(RNG, 6, 1), outputs=("d1", "d2"))
    assert [n.name for n in fold_linear_dense(shown).nodes] == ["d0+d1", "d2"]
    assert_same(fold_linear_dense(relu), relu, "rewrite folded")
    assert_same(fold_linear_dense(shown), shown, "rewrite folded")


def test_a_dense_with_two_readers_stays() -> None:
    net = network(
        node("a", dense(RNG, 20, 8)),
        node("b", dense(RNG, 8, 2), "a"),
        node("c", dense(RNG, 8, 3), "a"),
        outputs=("b", "c"),
        frame=(20,),
    )
    assert fold_linear_dense(net) == net


def test_a_bottleneck_is_not_multiplied_out() -> None:
    net = dense_net(dense(RNG, 20, 2), dense(RNG, 2, 30), outputs=("d1",))
    assert fold_linear_dense(net) == net


# --- norm and pool -------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_norm_and_pool_move_into_the_cell(axis: int, data_format: str) -> None:
    first = data_format == "channels_first"
    window = (1, 2, 3) if first else (2, 3, 1)
    shape = (3, 6, 7) if first else (6, 7, 3)
    net = network(
        node("cell", cell(data_format=data_format)),
        node("norm", batch_normalization(RNG, axis, shape[axis]), "cell"),
        node("pool", spec.MaxPooling(window, window, "same"), "norm"),
        outputs=("pool",),
        frame=FRAME if first else (6, 7, 2),
    )
    found = fuse_norm_and_pool(net)
    assert [n.name for n in found.nodes] == ["cell"]
    assert_same(found, net)


def test_a_norm_behind_the_pool_stays() -> None:
    net = network(
        node("cell", cell()),
        node("pool", POOL, "cell"),
        node("norm", batch_normalization(RNG, 2, 4), "pool"),
        outputs=("norm",),
    )
    found = fuse_norm_and_pool(net)
    assert [n.name for n in found.nodes] == ["cell", "norm"]
    assert_same(found, net)


@pytest.mark.parametrize(
    ("arguments", "pool", "outputs"),
    [
        ({}, spec.MaxPooling((2, 2, 2), (1, 2, 2), "same"), ("pool",)),
        ({"return_sequences": False}, POOL, ("pool",)),
        ({"return_state": True}, POOL, ("pool",)),
        ({}, POOL, ("pool", "cell")),
    ],
    ids=["window over channels", "single", "return_state", "output"],
)
def test_what_is_not_fused(
    arguments: dict[str, object], pool: spec.MaxPooling, outputs: tuple[str, ...]
) -> None:
    layer = cell(**arguments)
    values = ("cell", "h", "c") if layer.return_state else ("cell",)
    net = network(Node("cell", layer, ("x",), values), node("pool", pool, "cell"), outputs=outputs)
    assert fuse_norm_and_pool(net) == net
