"""The engine's ConvLSTM2D against the reference and live Keras, on every kernel table there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import convlstm_native as cn
import numpy as np
import pytest
import reference
from convlstm_native import spec
from convlstm_native.spec import ACTIVATIONS, OVER_LAST_AXIS, Array, NetworkSpec
from hypothesis import given
from strategies import (
    BOUNDED,
    UNBOUNDED,
    Case,
    conv_lstm,
    conv_lstm_cases,
    examples,
    function,
    genre_net,
    networks,
)
from tolerances import check

ISAS = cn.available_isas()
THREADS = (1, 2, 3, 7)
GENRE = genre_net()


@pytest.fixture(scope="module")
def frames() -> Array:
    rng = np.random.default_rng(5)
    return rng.standard_normal((6, 3, 24, 36)).astype(np.float32)


def model_on(isa: str, net: NetworkSpec, **arguments: object) -> cn.Model:
    """A model on one kernel table, after proof that the engine took that one."""
    model = cn.Model(net, isa=isa, **arguments)  # type: ignore[arg-type]
    assert model.isa == isa
    return model


def check_case(case: Case, operation: str) -> None:
    expected = reference.run(case.network(), case.inputs())
    for isa in ISAS:
        found = model_on(isa, case.network()).predict(case.inputs())
        assert list(found) == list(expected)
        for name, value in expected.items():
            check(found[name], value, operation)


def assert_same_bits(found: dict[str, Array], expected: dict[str, Array]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], value, err_msg=name, strict=True)


# --- against the reference -----------------------------------------------------------------------


@examples(150)
@given(conv_lstm_cases(BOUNDED))
def test_arguments(case: Case) -> None:
    check_case(case, "conv_lstm bounded")


@examples(60)
@given(conv_lstm_cases(UNBOUNDED))
def test_arguments_with_unbounded_activations(case: Case) -> None:
    check_case(case, "conv_lstm unbounded")


@pytest.mark.parametrize("where", ["activation", "recurrent_activation"])
@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - OVER_LAST_AXIS))
def test_activations(name: str, where: str) -> None:
    rng = np.random.default_rng(11)
    layer = conv_lstm(rng, 2, 3, return_sequences=True, **{where: function(name)})
    # From the second step on it would be the exponential of an exponential: beyond float32.
    steps = 1 if name == "exponential" else 3
    x = rng.standard_normal((1, steps, 6, 20, 2)).astype(np.float32)
    check_case(Case(layer, x), "conv_lstm unbounded")


@pytest.mark.parametrize("cols", [*range(1, 20), 31, 32, 33, 47, 48, 49, 63, 64, 65])
def test_widths_around_the_vectors(cols: int) -> None:
    rng = np.random.default_rng(cols)
    layer = conv_lstm(rng, 3, 5, padding="same", data_format="channels_first")
    x = rng.standard_normal((1, 3, 3, 4, cols)).astype(np.float32)
    check_case(Case(layer, x), "conv_lstm bounded")


@pytest.mark.parametrize("filters", [*range(1, 20), 31, 32, 33])
def test_filters_around_the_vectors(filters: int) -> None:
    rng = np.random.default_rng(filters)
    layer = conv_lstm(rng, 3, filters, padding="same", data_format="channels_first")
    x = rng.standard_normal((1, 3, 3, 4, 9)).astype(np.float32)
    check_case(Case(layer, x), "conv_lstm bounded")


def test_a_hundred_steps() -> None:
    rng = np.random.default_rng(1)
    layer = conv_lstm(rng, 2, 4, padding="same", return_sequences=True)
    x = rng.standard_normal((1, 100, 7, 11, 2)).astype(np.float32)
    check_case(Case(layer, x), "conv_lstm bounded")


@examples(60)
@given(networks())
def test_networks(net: NetworkSpec) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, *net.inputs[0].shape)).astype(np.float32)
    expected = reference.run(net, {"x": x})
    for optimize in (True, False):
        for isa in ISAS:
            found = model_on(isa, net, optimize=optimize).predict(x)
            assert list(found) == list(expected)
            for name, value in expected.items():
                check(found[name], value, "network")


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("isa", ISAS)
def test_genre_net(isa: str, optimize: bool, frames: Array) -> None:
    expected = reference.run(GENRE, {"trailer_input": frames[np.newaxis]})
    found = model_on(isa, GENRE, optimize=optimize).predict(frames[np.newaxis])
    for name, value in expected.items():
        check(found[name], value, "network")


# --- against live Keras --------------------------------------------------------------------------


# Keras 3.15 itself, when it saves a variable with NumPy 2.
keras_saves = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras") / "case.keras"


@keras_saves
@examples(40)
@given(case=conv_lstm_cases((*BOUNDED, "relu", "elu")))
def test_keras_file(case: Case, path: Path) -> None:
    pytest.importorskip("keras")
    import live_keras

    model = live_keras.model(case)
    model.save(path)
    expected = live_keras.predict(model, case)
    found = cn.Model.load(path).predict(case.inputs())
    for ours, theirs in zip(found.values(), expected, strict=True):
        check(ours, theirs, "keras conv_lstm")


@keras_saves
@examples(6)
@given(case=conv_lstm_cases(stateful=True))
def test_stateful_keras_file(case: Case, path: Path) -> None:
    pytest.importorskip("keras")
    import live_keras

    model = live_keras.model(case)
    model.save(path)
    native = cn.Model.load(path)
    streams = [native.stream() for _ in case.x]
    for _ in range(2):
        expected = live_keras.predict(model, case)
        samples = [stream.predict(x) for stream, x in zip(streams, case.x, strict=True)]
        for k, name in enumerate(samples[0]):
            ours = np.stack([sample[name] for sample in samples])
            check(ours, expected[k], "keras conv_lstm")


# --- kernel tables -------------------------------------------------------------------------------


def test_the_first_table_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVLSTM_NATIVE_ISA", raising=False)
    assert cn.Model(GENRE).isa == ISAS[0]
    assert "scalar" in ISAS


@pytest.mark.parametrize("isa", ISAS)
def test_the_environment_chooses_a_table(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVLSTM_NATIVE_ISA", isa)
    assert cn.Model(GENRE).isa == isa


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(cn.InputError, match="avx1024") as caught:
        cn.Model(GENRE, isa="avx1024")
    assert all(isa in str(caught.value) for isa in ISAS)


# --- the same bits, however the frames come ------------------------------------------------------


@examples(30)
@given(conv_lstm_cases())
def test_threads_do_not_change_a_bit(case: Case) -> None:
    for isa in ISAS:
        results = [
            model_on(isa, case.network(), threads=threads).predict(case.inputs())
            for threads in THREADS
        ]
        for result in results[1:]:
            assert_same_bits(result, results[0])


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("isa", ISAS)
def test_frames_come_in_any_form(isa: str, optimize: bool, frames: Array, tmp_path: Path) -> None:
    expected = model_on(isa, GENRE, threads=1, optimize=optimize).predict(frames)
    np.save(tmp_path / "frames.npy", frames)
    mapped = np.load(tmp_path / "frames.npy", mmap_mode="r")

    def generated() -> Iterator[Array]:
        yield from frames

    for threads in THREADS:
        model = model_on(isa, GENRE, threads=threads, optimize=optimize)
        assert_same_bits(model.predict(frames), expected)
        assert_same_bits(model.predict(list(frames)), expected)
        assert_same_bits(model.predict(generated()), expected)
        assert_same_bits(model.predict(mapped), expected)
        assert_same_bits(model.predict(frames.astype(np.float64)), expected)
        assert_same_bits(model.predict(np.asfortranarray(frames)), expected)
        stream = model.stream()
        pushed = [stream.push(frame) for frame in frames]
        assert stream.flush() is None
        rows = {name: np.stack([row[name] for row in pushed if row]) for name in expected}
        assert_same_bits(rows, expected)


def test_uint8_and_float16_are_taken_as_numbers(frames: Array) -> None:
    model = cn.Model(GENRE)
    pixels = (frames * 40 + 128).clip(0, 255).astype(np.uint8)
    assert_same_bits(model.predict(pixels), model.predict(pixels.astype(np.float32)))
    half = frames.astype(np.float16)
    assert_same_bits(model.predict(half), model.predict(half.astype(np.float32)))


def test_one_sample_drops_the_batch_axis(frames: Array) -> None:
    model = cn.Model(GENRE)
    one = model.predict(frames)
    assert {value.shape for value in one.values()} == {(6, 1)}
    batch = model.predict(frames[np.newaxis])
    assert_same_bits({name: value[0] for name, value in batch.items()}, one)


@examples(20)
@given(conv_lstm_cases())
def test_samples_do_not_touch_each_other(case: Case) -> None:
    model = cn.Model(case.network())
    together = model.predict(case.inputs())
    for n in range(len(case.x)):
        alone = model.predict({name: value[n] for name, value in case.inputs().items()})
        assert_same_bits(alone, {name: value[n] for name, value in together.items()})


def test_a_call_does_not_remember_the_one_before(frames: Array) -> None:
    model = cn.Model(GENRE)
    first = model.predict(frames)
    model.predict(frames[::-1])
    assert_same_bits(model.predict(frames), first)


# --- streams -------------------------------------------------------------------------------------


def pushed(stream: cn.Stream, frames: Array) -> dict[str, Array]:
    rows = [row for frame in frames if (row := stream.push(frame)) is not None]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def test_a_clone_goes_its_own_way(frames: Array) -> None:
    stream = cn.Model(GENRE).stream()
    pushed(stream, frames[:3])
    clone = stream.clone()
    rest = pushed(stream, frames[3:])
    assert_same_bits(pushed(clone, frames[3:]), rest)


def test_a_state_moves_to_another_stream(frames: Array) -> None:
    model = cn.Model(GENRE)
    stream = model.stream()
    pushed(stream, frames[:3])
    state = {name: value.copy() for name, value in stream.state_dict().items()}
    rest = pushed(stream, frames[3:])
    other = model.stream()
    other.load_state_dict(state)
    assert_same_bits(pushed(other, frames[3:]), rest)


def test_reset_forgets(frames: Array) -> None:
    stream = cn.Model(GENRE).stream()
    first = pushed(stream, frames)
    stream.reset()
    assert_same_bits(pushed(stream, frames), first)


def test_streams_of_one_model_do_not_mix(frames: Array) -> None:
    model = cn.Model(GENRE)
    forth, back = model.predict(frames), model.predict(frames[::-1])
    streams = model.stream(), model.stream()
    rows: tuple[list[Array], list[Array]] = ([], [])
    for pair in zip(frames, frames[::-1], strict=True):
        for stream, frame, row in zip(streams, pair, rows, strict=True):
            result = stream.push(frame)
            assert result is not None
            row.append(result["cat_other"])
    np.testing.assert_array_equal(np.stack(rows[0]), forth["cat_other"])
    np.testing.assert_array_equal(np.stack(rows[1]), back["cat_other"])


@examples(20)
@given(conv_lstm_cases(stateful=True))
def test_stateful_layers_go_on_from_sequence_to_sequence(case: Case) -> None:
    states: reference.States = {}
    streams = [cn.Model(case.network()).stream() for _ in case.x]
    for _ in range(3):
        expected = reference.run(case.network(), case.inputs(), states)
        samples = [stream.predict(x) for stream, x in zip(streams, case.x, strict=True)]
        for name, value in expected.items():
            ours = np.stack([sample[name] for sample in samples])
            check(ours, value, "conv_lstm bounded")


def test_what_needs_the_whole_sequence_comes_with_flush() -> None:
    rng = np.random.default_rng(2)
    layer = conv_lstm(rng, 2, 3, return_state=True)
    case = Case(layer, rng.standard_normal((1, 4, 5, 6, 2)).astype(np.float32))
    model = cn.Model(case.network())
    stream = model.stream()
    assert [stream.push(frame) for frame in case.x[0]] == [None] * 4
    late = stream.flush()
    assert late is not None
    assert_same_bits(late, model.predict(case.x[0]))


def test_spec_is_kept_as_read() -> None:
    model = cn.Model(GENRE)
    assert model.spec is GENRE
    assert [output.name for output in model.outputs] == [o.name for o in GENRE.outputs]
    assert spec.describe(GENRE.nodes[0]) == "ConvLSTM2D 'conv_lstm_1'"
