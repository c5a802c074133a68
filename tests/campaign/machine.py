"""What a machine gives its processes, and a test can spoil: a wall clock that is stepped, a disk that is full."""

from __future__ import annotations

import os
import resource
import subprocess
from contextlib import suppress
from pathlib import Path

_SOURCE = Path(__file__).with_name("shifted_clock.c")
_PIECE = b"\0" * (256 << 10)
# What a process may still write of a file where no small disk can be mounted.
_PAGE = 4096


def build_clock(folder: Path) -> Path:
    """The library that steps a process's clock; needs the C compiler that the Rust toolchain links with."""
    library = folder / "shifted-clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, _SOURCE], check=True)
    return library


class Clock:
    """The wall clock of one machine's processes."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        file.write_bytes(bytes(8))
        # Its processes find it.
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_SHIFT_FILE": str(file)}

    def step(self, seconds: int) -> None:
        """From now on it is `seconds` off; 0: it is right."""
        with self._file.open("r+b") as shift:
            shift.write((seconds * 1_000_000_000).to_bytes(8, "little", signed=True))


class Disk:
    """A folder on a disk of its own, in memory, where we may mount one; else what its processes write is bounded."""

    def __init__(self, folder: Path, octets: int, *, may_mount: bool = True) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        command = ["mount", "-t", "tmpfs", "-o", f"size={octets},mode=755", "tmpfs", str(folder)]
        self.is_mounted = may_mount and subprocess.run(command, check=False, capture_output=True).returncode == 0
        self._bounded: set[int] = set()

    def fill(self, pids: list[int]) -> None:
        """No octet more; `pids` are who writes on it."""
        if not self.is_mounted:
            for pid in pids:
                self._bound(pid, _PAGE)
            self._bounded.update(pids)
            return
        with suppress(OSError), self._ballast.open("wb", buffering=0) as ballast:
            for size in (len(_PIECE), _PAGE):
                with suppress(OSError):
                    while ballast.write(_PIECE[:size]):
                        pass

    def free(self) -> None:
        """There is room again."""
        if self.is_mounted:
            self._ballast.unlink(missing_ok=True)
        for pid in self._bounded:
            self._bound(pid, resource.RLIM_INFINITY)
        self._bounded.clear()

    def remove(self) -> None:
        """When nobody writes on it any more."""
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", self.folder], check=False, capture_output=True)

    def _bound(self, pid: int, octets: int) -> None:
        with suppress(OSError):
            most = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (octets if octets >= 0 else most, most))


def processes_in(folder: Path) -> dict[int, str]:
    """Those that work in a folder or were told of it: their command lines by process id, without ourselves."""
    found: dict[int, str] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in words or (place / "cwd").readlink().is_relative_to(folder):
                found[int(place.name)] = words
    found.pop(os.getpid(), None)
    return found
