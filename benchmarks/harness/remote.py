"""An object that lives in a child process of its own, called over a pipe.

Every library that is measured gets a process, so that thread pools, allocators and signal handlers never
meet. A child is stopped while it has nothing to do: no pool of one library spins while another
computes.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import Any

BENCHMARKS = Path(__file__).parents[1]

# What the libraries read when they are imported; most of them are told again through their API.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


class ChildError(Exception):
    """Why a child could not do what it was asked. ``missing`` names a module that is not installed."""

    def __init__(self, reason: str, missing: str | None = None) -> None:
        super().__init__(f"{missing} is not installed" if missing else reason)
        self.missing = missing


class Child:
    """A child process with one object in it, made from ``"module:Class"`` and its keyword ``arguments``.

    The child sees ``threads`` in the environment and, for one thread, may run on one CPU only. It is
    killed when a call takes longer than ``timeout`` seconds, and when the parent ends.

    Raises :class:`ChildError`, as :meth:`call` does, for whatever fails in the child.
    """

    def __init__(
        self,
        target: str,
        threads: int,
        arguments: Mapping[str, Any] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        timeout: float = 1800.0,
    ) -> None:
        self._timeout = timeout
        self._pipe, theirs = Pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, closed with the child
        path = os.pathsep.join([str(BENCHMARKS), os.environ.get("PYTHONPATH", "")]).rstrip(":")
        variables = dict.fromkeys(_THREAD_VARIABLES, str(threads))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.remote", str(theirs.fileno()), str(threads)],
            env={**os.environ, **variables, "PYTHONPATH": path, **(environment or {})},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        theirs.close()
        try:
            self._exchange((target, dict(arguments or {})))
        except ChildError:
            self.close()
            raise

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def call(self, method: str, **arguments: Any) -> Any:
        """Run a method of the child's object and return its result."""
        return self._exchange((method, arguments))

    def peak_memory(self) -> int:
        """The largest resident memory that the child ever had, in bytes."""
        return peak_memory(self._process.pid)

    def close(self) -> None:
        """End the child."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()
        self._log.close()

    def _exchange(self, message: tuple[str, dict[str, Any]]) -> Any:
        self._signal(signal.SIGCONT)
        try:
            self._pipe.send(message)
            if not self._pipe.poll(self._timeout):
                self.close()
                raise ChildError(f"no answer within {self._timeout:.0f} s")
            result, reason, missing = self._pipe.recv()
        except (EOFError, OSError) as error:
            code = self._process.wait()
            reason = f"the process ended with code {code}: {self._last_words()}"
            raise ChildError(reason) from error
        if reason is not None:
            raise ChildError(reason, missing)
        self._signal(signal.SIGSTOP)
        return result

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "no message")


def peak_memory(pid: int | None = None) -> int:
    """Peak resident memory of a process in bytes, of this one by default; 0 where there is no /proc.

    Not ``ru_maxrss``: that of a child starts from its parent's.
    """
    return _memory("VmHWM", pid)


def resident_memory() -> int:
    """Resident memory of this process now, in bytes; 0 where there is no /proc."""
    return _memory("VmRSS", None)


def _memory(field: str, pid: int | None) -> int:
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid or 'self'}/status").read_text()
        if found := re.search(rf"{field}:\s*(\d+)", status):
            return int(found[1]) * 1024
    return 0


def _serve(pipe: Connection) -> None:
    """The child's side: make the object, then answer calls until the parent closes the pipe."""
    made: list[Any] = []
    while True:
        try:
            name, arguments = pipe.recv()
        except EOFError:
            return
        result: Any = None
        reason = missing = None
        try:
            if made:
                result = getattr(made[0], name)(**arguments)
            else:
                module, _, attribute = name.partition(":")
                made.append(getattr(importlib.import_module(module), attribute)(**arguments))
        except ModuleNotFoundError as error:
            reason, missing = str(error), error.name
        except Exception as error:  # whatever a library throws is an answer, too
            text = " ".join(str(error).split())
            reason = f"{type(error).__name__}: {text[:300]}"
        pipe.send((result, reason, missing))


def _confine(threads: int) -> None:
    """End with the parent; one thread gets one CPU, so that no library can use a second unseen."""
    if sys.platform != "linux":
        return
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if threads == 1:
        os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])


if __name__ == "__main__":
    _confine(int(sys.argv[2]))
    _serve(Connection(int(sys.argv[1])))
