"""Proves that no code compiled for one instruction set can be linked into another's place.

    python tools/check_isa_symbols.py build/release

Every object of ``cpp/kernels/isa`` must define one global symbol, its table, and no weak one: a weak
symbol (an inline function, a template) compiled with AVX-512 could be the copy that the linker keeps
for everyone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def global_symbols(archive_or_object: Path) -> list[str]:
    """Global and weak symbols that the object defines, as ``nm`` prints them, with their kind."""
    printed = subprocess.run(
        ["nm", "--defined-only", "--extern-only", "--demangle", str(archive_or_object)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [line.split(maxsplit=1)[1] for line in printed.splitlines() if line.strip()]


def isa_objects(build: Path) -> list[Path]:
    """The objects of the per-instruction-set files below a build folder."""
    return sorted(build.rglob("kernels/isa/*.o"))


def problems(build: Path) -> list[str]:
    """What is wrong, a line each; empty when all is well."""
    objects = isa_objects(build)
    if not objects:
        return [f"{build}: expected objects of kernels/isa, found none; build it first"]
    wrong = []
    for path in objects:
        isa = path.name.removesuffix(".cpp.o")
        expected = [f"T cn::{isa}_table()"]
        found = global_symbols(path)
        if found != expected:
            wrong.append(f"{path.name}: expected {expected}, found {found}")
    return wrong


def main() -> int:
    """Command line: the build folder; exit code 1 when something is wrong."""
    wrong = problems(Path(sys.argv[1]))
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
