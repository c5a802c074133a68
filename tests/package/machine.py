"""A machine to install on: a fresh Debian with a booted systemd, in a container with a network of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

BOOT_TIMEOUT_S = 180.0
_INCLUDED = "systemd,dbus,python3,tzdata,init-system-helpers,passwd,procps,iproute2"


def make_system(folder: Path) -> None:
    """Debian 12 as a small server has it, with what the package depends on."""
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_INCLUDED}", "bookworm", str(folder)], check=True
    )


class Machine:
    """Boots, runs commands as root, and stops as if its power was cut."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def boot(self) -> None:
        """Return when systemd has started all that is enabled."""
        options = ["--boot", "--register=no", "--keep-unit", "--link-journal=no", "--private-network"]
        self._nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "-D", str(self.root), "--console=pipe", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        give_up = time.monotonic() + BOOT_TIMEOUT_S
        while self._state() not in ("running", "degraded"):
            assert self._nspawn.poll() is None, "systemd-nspawn ended: no systemd can be booted in a container here"
            assert time.monotonic() < give_up, f"not booted within {BOOT_TIMEOUT_S:g} s: {self._state()}"
            time.sleep(0.5)

    def run(self, *command: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root with an ordinary environment."""
        done = subprocess.run(
            ["nsenter", f"--target={self._leader}", "--all", "--", *command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"},
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}\n{self._words()}"
        return done

    def ask(self, name: str) -> str:
        """What the ENUM server inside answers; the client is this machine's `dig`."""
        dig = ["dig", "@127.0.0.1", "-p", "53", "+short", "+tries=3", "+time=2", "NAPTR", name]
        inside = ["nsenter", f"--target={self._leader}", "--net", "--"]
        return subprocess.run([*inside, *dig], capture_output=True, text=True, check=False).stdout.strip()

    def cut_power(self) -> None:
        """Everything ends at once."""
        if self._nspawn is None:
            return
        if self._leader:
            os.kill(self._leader, signal.SIGKILL)
        try:
            self._nspawn.wait(30)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()
        self._nspawn, self._leader = None, 0

    def _state(self) -> str:
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children") if self._nspawn else None
        pids = children.read_text(encoding="ascii").split() if children is not None and children.exists() else []
        if not pids:
            return "no process"
        self._leader = int(pids[0])
        return self.run("systemctl", "is-system-running", check=False).stdout.strip()

    def _words(self) -> str:
        inside = ["nsenter", f"--target={self._leader}", "--all", "--"]
        journal = ["journalctl", "--no-pager", "--quiet", "--unit=ringfence-*", "--lines=60"]
        return subprocess.run([*inside, *journal], capture_output=True, text=True, check=False).stdout
