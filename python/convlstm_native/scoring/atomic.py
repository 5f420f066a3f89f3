"""Files that are whole or not there at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from convlstm_native.errors import InputError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the name ``path`` only when the block ends well.

    It is written under a temporary name in the same folder; any exception, an interrupt too,
    removes it and leaves what was there before. Symbolic links are followed. Raises
    :class:`InputError` where ``path`` is something other than a plain file, ``OSError`` where it
    cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise InputError(f"output {str(path)!r}: expected the name of a plain file")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
