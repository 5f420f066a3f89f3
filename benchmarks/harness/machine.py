"""Which machine, versions and command a figure belongs to."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import convlstm_native as cn

# Feature bits that decide which kernels a library may choose.
_TELLING_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd")


@dataclass(frozen=True)
class Machine:
    """The CPU as the system names it, what it can do and how many CPUs this process may use."""

    cpu: str
    flags: tuple[str, ...]
    cpus: int
    system: str
    isas: tuple[str, ...]

    @property
    def line(self) -> str:
        """One line for tables."""
        flags = ", ".join(self.flags) or "flags unknown"
        return f"{self.cpu} ({flags}), {self.cpus} CPUs, {self.system}"


def this_machine() -> Machine:
    """The machine of this process."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    name = re.search(r"model name\s*:\s*(.+)", text)
    family = re.search(r"cpu family\s*:\s*(\d+)", text)
    model = re.search(r"model\s*:\s*(\d+)", text)
    flags = set((re.search(r"(?:flags|Features)\s*:\s*(.+)", text) or [""])[0].split())
    # Virtual machines often hide the name; family and model still tell the generation.
    cpu = name[1].strip() if name else platform.processor() or platform.machine()
    if family and model:
        cpu += f" family {family[1]} model {model[1]}"
    return Machine(
        cpu,
        tuple(flag for flag in _TELLING_FLAGS if flag in flags),
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        f"{platform.system()} {platform.release().split('-')[0]}",
        cn.available_isas(),
    )


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of the packages that are installed; a package may be named by alternatives, ``a|b``."""
    found = {"python": platform.python_version(), "convlstm_native": _version("convlstm_native")}
    for names in packages:
        for name in names.split("|"):
            if version := _version(name):
                found[name] = version
                break
    return {name: version for name, version in found.items() if version}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def command() -> str:
    """The command line of this process as one would type it in the project's folder."""
    script = Path(sys.argv[0]).resolve()
    root = Path(__file__).parents[2]
    name = script.relative_to(root) if script.is_relative_to(root) else Path(script.name)
    return shlex.join(["python", str(name), *sys.argv[1:]])
