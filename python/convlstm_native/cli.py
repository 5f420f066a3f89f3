"""The command line ``convlstm-native``.

Results go to stdout, progress and messages to stderr. Exit code 0: all well; 1: some inputs failed,
or ``verify`` found a difference; 2: wrong usage or an unusable model; 130: interrupted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

import convlstm_native as cn
from convlstm_native import conversion
from convlstm_native import report as text
from convlstm_native.errors import ConvLSTMError
from convlstm_native.media import FrameFormat
from convlstm_native.progress import score_progress

app = typer.Typer(
    name="convlstm-native",
    help="Run ConvLSTM networks over videos and arrays, frame by frame, on the CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

SOME_FAILED = 1
UNUSABLE = 2
INTERRUPTED = 130

DEMO_PICTURE = Path("genre-demo.png")
TIMELINE_WIDTH = 100

ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX, .keras or .h5 file.")]
ModelConfig = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="JSON", help="What model.to_json() gave, for Keras weights alone."
    ),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Default: the processors this process may use.")
]
Isa = Annotated[
    str | None, typer.Option(help="Instruction set, one of `info`'s list. Default: the best.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def main() -> None:
    """Run the command line; the console script."""
    # A batch system ends a job with SIGTERM: leave by an exception, so that temporary files go.
    signal.signal(signal.SIGTERM, _terminated)
    app()


def _terminated(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """Register a command whose typed errors become one message and exit code 2."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        with _exit_codes():
            function(*args, **kwargs)

    return app.command()(run)


@contextlib.contextmanager
def _exit_codes() -> Iterator[None]:
    try:
        yield
    except ConvLSTMError as error:
        _fail(str(error))
    except BrokenPipeError:
        raise  # The reader of our output has gone; typer ends quietly.
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _fail(message: str) -> NoReturn:
    print(f"convlstm-native: {message}", file=sys.stderr)
    raise typer.Exit(UNUSABLE)


def _console() -> Console:
    """Stdout. Where it is no terminal, lines are as long as they are: nothing is cut or wrapped."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=10_000)


def _print_json(record: object) -> None:
    print(json.dumps(record, indent=2))


@_command
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="ONNX, .keras or .h5 file.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="The ONNX file to write.")],
    size: Annotated[
        str | None, typer.Option(metavar="ROWSxCOLS", help="Frame size to record.")
    ] = None,
    scale: Annotated[float | None, typer.Option(help="Pixels are (pixel - mean) * scale.")] = None,
    mean: Annotated[
        str | None, typer.Option(help="One value or one a channel: 104,117,124.")
    ] = None,
    color: Annotated[str | None, typer.Option(help="rgb, bgr or gray.")] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frame rate the network was trained on.")
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(help="Name of an output's category; once an output, in order."),
    ] = None,
    config: ModelConfig = None,
) -> None:
    """Write any readable model as portable ONNX, and record how its frames are made."""
    given = {
        "size": None if size is None else _numbers("--size", size.lower(), "x", int, 2),
        "scale": scale,
        "mean": None if mean is None else _numbers("--mean", mean, ",", float),
        "color": color,
        "fps": fps,
    }
    rules = {name: value for name, value in given.items() if value is not None}
    conversion.convert(source, target, category or (), config, **rules)


def _numbers(
    option: str, given: str, separator: str, kind: Callable[[str], float], count: int | None = None
) -> tuple[float, ...]:
    try:
        numbers = tuple(kind(part) for part in given.split(separator))
    except ValueError:
        numbers = ()
    if not numbers or count not in (None, len(numbers)):
        raise typer.BadParameter(
            f"{option}: expected numbers separated by {separator!r}, found {given!r}"
        )
    return numbers


@_command
def info(
    model: ModelPath,
    kernels: Annotated[
        bool, typer.Option("--kernels", help="Show which kernel runs each layer, and why.")
    ] = False,
    threads: Threads = None,
    isa: Isa = None,
    config: ModelConfig = None,
    as_json: Json = False,
) -> None:
    """Show layers, shapes, parameters, work a frame, state and look-ahead."""
    loaded = cn.Model.load(model, threads=threads, isa=isa, config=config)
    summary = loaded.summary()
    spec = loaded.spec
    if as_json:
        _print_json(
            {
                "model": str(model),
                "name": spec.name,
                "source": spec.source,
                "inputs": [dataclasses.asdict(i) for i in spec.inputs],
                "outputs": [dataclasses.asdict(o) for o in spec.outputs],
                **dataclasses.asdict(summary),
                "available_isas": cn.available_isas(),
            }
        )
        return
    console = _console()
    out = functools.partial(console.print, markup=False, soft_wrap=True)
    for line in (*text.model_lines(model, loaded), *text.summary_lines(spec, summary)):
        out(line)
    out(f"could use    {', '.join(cn.available_isas())}")
    out()
    console.print(text.kernels_table(summary) if kernels else text.layers_table(summary))


@_command
def score(
    model: ModelPath,
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="Videos, .npy arrays, folders of pictures."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="OUT", help="The .csv, .jsonl or .parquet file to write."
        ),
    ],
    threads: Threads = None,
    isa: Isa = None,
    config: ModelConfig = None,
    as_json: Json = False,
) -> None:
    """Score every frame of every input into one table; failed inputs are listed."""
    from convlstm_native.scoring import score_files

    loaded = cn.Model.load(model, threads=threads, isa=isa, config=config)
    with score_progress(FrameFormat.of(loaded.spec), inputs) as progress:
        result = score_files(
            loaded, inputs, output, on_frame=progress.on_frame, on_result=progress.on_result
        )
    if as_json:
        _print_json(dataclasses.asdict(result))
    else:
        good = len(result.results) - len(result.failed)
        print(
            f"{result.output}: {result.frames} frames of {good} input(s), {len(result.failed)} failed"
        )
        for failure in result.failed:
            print(f"  {failure.input}: {failure.reason}")
    if result.failed:
        raise typer.Exit(SOME_FAILED)


@_command
def verify(
    model: ModelPath,
    frames: Annotated[int, typer.Option(min=1, help="Random frames to run.")] = 8,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    config: ModelConfig = None,
    as_json: Json = False,
) -> None:
    """Compare with ONNX Runtime on random frames, and show the largest difference."""
    from convlstm_native.verification import AGREEMENT
    from convlstm_native.verification import verify as compare

    result = compare(model, frames=frames, seed=seed, config=config)
    if as_json:
        _print_json({"model": str(model), **dataclasses.asdict(result), "agrees": result.agrees})
    else:
        _console().print(text.verify_table(result))
        print("agrees" if result.agrees else "DIFFERS", f"within {AGREEMENT:g}")
    if not result.agrees:
        raise typer.Exit(SOME_FAILED)


@_command
def bench(
    model: ModelPath,
    frames: Annotated[int, typer.Option(min=1, help="Frames a run.")] = 10,
    repeats: Annotated[int, typer.Option(min=1, help="Runs, of which the median counts.")] = 5,
    threads: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="One number, or several to compare. Default: the processors this process may use.",
        ),
    ] = None,
    isa: Isa = None,
    profile: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="Show each layer, and write a Chrome trace there."),
    ] = None,
    config: ModelConfig = None,
    as_json: Json = False,
) -> None:
    """Measure the speed on random frames beside this machine's multiply-add peak."""
    from convlstm_native import benchmark
    from convlstm_native.scoring.atomic import replacing

    counts = [None] if threads is None else _thread_counts(threads)
    if profile is not None and len(counts) > 1:
        raise typer.BadParameter("--profile: expected one number of --threads, found several")
    loaded = cn.Model.load(model, threads=counts[0], isa=isa, config=config)
    results = benchmark.bench_threads(loaded, counts, frames, repeats)
    layers = None
    if profile is not None:
        layers = benchmark.profile(loaded, frames)
        with replacing(profile) as file:
            file.write(json.dumps(layers.chrome_trace()).encode())
    if as_json:
        _print_json({"model": str(model), **text.bench_record(results, layers)})
        return
    console = _console()
    for part in text.bench_parts(results, layers):
        console.print(part)


def _thread_counts(given: str) -> list[int | None]:
    counts = _numbers("--threads", given, ",", int)
    if min(counts) < 1:
        raise typer.BadParameter(f"--threads: expected numbers of at least 1, found {given!r}")
    return [int(count) for count in counts]


@_command
def report(
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="A file that `score` wrote.")],
    picture: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the curves into this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Summarize a score file: mean, maximum and when, and the leading column of each input."""
    from convlstm_native.scoring import read_scores, summarize

    tables = read_scores(scores)
    summaries = summarize(tables)
    if picture is not None:
        from convlstm_native.picture import draw_scores

        draw_scores(tables, picture)
    if as_json:
        _print_json([dataclasses.asdict(summary) for summary in summaries])
    else:
        _console().print(text.scores_table(summaries))


@_command
def demo(
    seed: Annotated[int | None, typer.Option(min=0, help="Of the trailer.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="Length of the trailer.")] = 240,
    out: Annotated[
        Path | None, typer.Option(metavar="PNG", help="The picture.  [default: genre-demo.png]")
    ] = None,
) -> None:
    """Render a trailer, score it with the network in this package, and show what it saw."""
    from convlstm_native import demo as demonstration
    from convlstm_native.picture import draw_demo

    shown = demonstration.run(demonstration.SEED if seed is None else seed, frames)
    console = _console()
    console.print(text.demo_table(shown))
    print(
        f"\nright in {shown.accuracy:.0%} of {frames} frames; "
        f"always saying the most frequent genre: {shown.majority:.0%}\n"
    )
    for line in text.timeline(shown, min(console.width, TIMELINE_WIDTH), console.encoding):
        console.print(line)
    if out is None and importlib.util.find_spec("matplotlib") is None:
        print("for a picture of the curves: pip install 'convlstm-native[plot]'", file=sys.stderr)
        return
    draw_demo(shown, out or DEMO_PICTURE)
    print(f"\npicture of the curves: {out or DEMO_PICTURE}")
