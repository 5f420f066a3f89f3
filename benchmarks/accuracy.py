"""Rounding over many recurrent steps: each ConvLSTM2D of the suite against float64.

    python benchmarks/accuracy.py --steps 1000

The cells have the suite's arguments and seeded weights on a small map, 13x18, whose size divides by no
tile. Frames are uniform, in [0, 1) for up to three channels as pictures are, else in [-1, 1) as states are.
An error is the largest over all steps, relative to the largest magnitude of h.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import convlstm_native as cn
import networks
import numpy as np
from convlstm_native.model import ALGORITHMS
from harness import machine, options, tables
from kernels import shapes
from rich.table import Table

# The float64 twin of every layer.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

ROWS, COLS = 13, 18
PICTURE_CHANNELS = 3
HEADINGS = ("cell", "in", *ALGORITHMS)


@dataclass(frozen=True)
class Accuracy:
    """One cell: its kernel and its largest error by algorithm."""

    cell: str
    networks: str
    kernels: dict[str, str]
    errors: dict[str, float]

    @property
    def cells(self) -> tuple[str, ...]:
        """Texts for tables, under :data:`HEADINGS`."""
        texts = (f"{self.errors[name]:.1e} ({self.kernels[name]})" for name in ALGORITHMS)
        return self.cell, self.networks, *texts


def measure(shape: networks.CellShape, owners: Sequence[str], steps: int, seed: int) -> Accuracy:
    """Run one cell for ``steps`` frames with every algorithm and in float64."""
    import reference

    network = networks.cell_network(shape, seed)
    low = 0.0 if shape.channels <= PICTURE_CHANNELS else -1.0
    size = (steps, *network.inputs[0].shape)
    frames = np.random.default_rng(seed).uniform(low, 1.0, size).astype(np.float32)
    name = network.inputs[0].name
    (expected,) = reference.run(network, {name: frames[np.newaxis]}).values()
    scale = np.abs(expected).max()
    found, errors = {}, {}
    for algorithm in ALGORITHMS:
        model = cn.Model(network, algorithm=algorithm)
        found[algorithm] = model.summary().layers[0].kernel
        (result,) = model.predict(frames).values()
        errors[algorithm] = float(np.abs(result - expected[0]).max() / scale)
    title = shape.title.replace(f" at {ROWS}x{COLS}", "")
    return Accuracy(title, ", ".join(owners), found, errors)


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    suite = [network.name for network in networks.suite()]
    parser.add_argument("--networks", type=options.names(networks.NETWORKS), default=suite)
    parser.add_argument("--steps", type=options.positive, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    chosen = parser.parse_args(given)
    cells: dict[networks.CellShape, list[str]] = {}
    for shape, owners in shapes(chosen.networks).items():
        kept = cells.setdefault(replace(shape, rows=ROWS, cols=COLS), [])
        kept += [owner for owner in owners if owner not in kept]
    console = tables.console()
    console.print(machine.this_machine().line)
    results = []
    with console.status("cells") as status:
        for shape, owners in cells.items():
            status.update(shape.title)
            results.append(measure(shape, owners, chosen.steps, chosen.seed))
    shown = Table(*HEADINGS, title=f"largest error over {chosen.steps} steps")
    for result in results:
        shown.add_row(*result.cells)
    console.print(shown)
    if chosen.json:
        options.write_json(chosen.json, [asdict(result) for result in results])
    if chosen.markdown:
        rows = [result.cells for result in results]
        chosen.markdown.write_text(tables.markdown_table(HEADINGS, rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
