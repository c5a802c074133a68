"""Machines of a trial: namespaces of network, mounts, processes and host name, joined by a bridge. Needs root.

    first 10.89.0.1 ─┐
    second 10.89.0.2 ─┼─ bridge (a namespace of its own: this machine's network is not touched)
    enum-1 10.89.0.11 ─┘ …

A machine has its own /etc, /var/lib/ringfence, /run and /root, kept in a folder, so that it comes back after a power
cut as it was. Its first process reaps what is left to it, and with it everything on the machine ends at once.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]
NETWORK = "10.89.0"
# Folders that are a machine's own.
OWN = ("etc", "var/lib/ringfence", "root", "run", "usr/local/bin", "dev/shm")
_INIT = "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nprint(flush=True)\nwhile True: signal.pause()"
LAUNCHER = f"""#!/bin/sh
if [ -z "${{RINGFENCE_CONFIG+set}}" ] && [ -r /etc/ringfence/ringfence.toml ]; then
  export RINGFENCE_CONFIG=/etc/ringfence/ringfence.toml
fi
export PYTHONPATH={ROOT / "python"}:{ROOT} RINGFENCE_STORAGE_FULL_PERCENT=98
exec {sys.executable} -s -m ringfence "$@"
"""


def shell(*command: str | Path) -> str:
    """Run a program of this machine; its output."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr.strip() or done.returncode}")
    return done.stdout


class Namespaces:
    """Namespaces that live as long as their first process."""

    def __init__(self, *kinds: str) -> None:
        self._kinds = kinds
        command = ["unshare", *(f"--{kind}" for kind in kinds), "--propagation", "private", "--fork", "--kill-child"]
        if "pid" in kinds:
            command.append("--mount-proc")
        self._outer = subprocess.Popen([*command, sys.executable, "-S", "-c", _INIT], stdout=subprocess.PIPE)
        assert self._outer.stdout is not None
        self._outer.stdout.readline()
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text(encoding="ascii")
        self.pid = int(children.split()[0])

    def inside(self, *command: str | Path) -> list[str]:
        """The command line that runs this one inside."""
        flags = [f"--{kind}" for kind in self._kinds]
        return ["nsenter", "--target", str(self.pid), *flags, "--", *(str(word) for word in command)]

    def end(self) -> None:
        """Everything inside at once, without a word."""
        self._outer.kill()
        self._outer.wait()
        while Path(f"/proc/{self.pid}").exists():
            time.sleep(0.05)


class Bridge:
    """What the machines are plugged into."""

    def __init__(self) -> None:
        self.namespaces = Namespaces("net", "mount")
        for command in (
            "ip link set lo up",
            "ip link add bridge0 type bridge",
            "ip link set bridge0 up",
        ):
            shell(*self.namespaces.inside(*command.split()))

    def plug(self, name: str, pid: int, address: str) -> None:
        """A wire from a machine to here."""
        port = f"to-{name}"
        inside = ("nsenter", "--target", str(pid), "--net", "--")
        shell(*self.namespaces.inside("ip", "link", "add", port, "type", "veth", "peer", "eth0", "netns", str(pid)))
        shell(*self.namespaces.inside("ip", "link", "set", port, "master", "bridge0", "up"))
        shell(*inside, "ip", "link", "set", "lo", "up")
        shell(*inside, "ip", "address", "add", f"{address}/24", "dev", "eth0")
        shell(*inside, "ip", "link", "set", "eth0", "up")


class Machine:
    """One of the trial's machines; `run` and `start` are what its operator types."""

    def __init__(self, bridge: Bridge, folder: Path, name: str, number: int, hosts: str) -> None:
        self.name = name
        self.address = f"{NETWORK}.{number}"
        self.log = folder / f"{name}.log"
        self._bridge = bridge
        self._own = folder / name
        shutil.copytree("/etc", self._own / "etc", symlinks=True)
        for place in OWN[1:]:
            (self._own / place).mkdir(parents=True, mode=0o755)
        (self._own / "dev/shm").chmod(0o1777)
        (self._own / "etc/hosts").write_text(f"127.0.0.1 localhost\n{hosts}", encoding="ascii")
        launcher = self._own / "usr/local/bin/ringfence"
        launcher.write_text(LAUNCHER, encoding="utf-8")
        launcher.chmod(0o755)
        self.power_on()

    def power_on(self) -> None:
        """With what its disk held."""
        for volatile in ("run", "dev/shm"):
            shutil.rmtree(self._own / volatile, ignore_errors=True)
            (self._own / volatile).mkdir(parents=True)
        (self._own / "dev/shm").chmod(0o1777)
        self.namespaces = Namespaces("net", "mount", "pid", "uts", "ipc")
        self._mount()
        self.run(f"hostname {self.name}", user="root")
        self._bridge.plug(self.name, self.namespaces.pid, self.address)

    def _mount(self) -> None:
        """Its own folders; of root's home what Python itself is made of, which others may read here."""
        for place in OWN:
            if place == "root":
                continue
            Path("/", place).mkdir(parents=True, exist_ok=True)
            shell(*self.namespaces.inside("mount", "--bind", self._own / place, f"/{place}"))
        homes = {Path(place).resolve() for place in (sys.base_prefix, sys.prefix, ROOT)}
        needed = sorted(home for home in homes if home.is_relative_to("/root"))
        for home in needed:
            (self._own / "root" / home.relative_to("/root")).mkdir(parents=True, exist_ok=True)
            within = self._own / "root" / home.relative_to("/root")
            shell(*self.namespaces.inside("mount", "--bind", home, within))
        shell(*self.namespaces.inside("mount", "--rbind", self._own / "root", "/root"))

    def power_cut(self) -> None:
        """Nothing on it says a last word, and the network does not hear of it."""
        self.namespaces.end()

    def command(self, text: str, user: str) -> list[str]:
        """The command line for a shell command on it."""
        python = f"PYTHONPATH={ROOT / 'python'}:{ROOT}"
        environment = ("env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", python)
        return self.namespaces.inside("runuser", "-u", user, "--", *environment, "sh", "-c", f"cd / && {text}")

    def run(self, text: str, user: str = "ringfence", timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
        """A command to its end, whatever it says."""
        return subprocess.run(
            self.command(text, user), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=timeout_s, check=False,
        )  # fmt: skip

    def start(self, text: str, user: str = "ringfence") -> subprocess.Popen[str]:
        """What goes on until it is stopped; what it says goes to the machine's log."""
        with self.log.open("a", encoding="utf-8") as log:
            return subprocess.Popen(
                self.command(f"exec {text}", user), stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True,
                start_new_session=True,
            )  # fmt: skip

    def write(self, path: str, text: str, mode: int = 0o640, group: str = "ringfence") -> None:
        """A file on it, as root writes it."""
        done = subprocess.run(
            self.command(f"cat > {path} && chmod {mode:o} {path} && chgrp {group} {path}", "root"),
            input=text, text=True, check=False, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def processes(self, pattern: str) -> list[int]:
        """Those whose command line has it, as numbered on the machine."""
        return [int(pid) for pid in self.run(f"pgrep -f '{pattern}'", "root").stdout.split()]

    def signal(self, pattern: str, number: int = signal.SIGTERM) -> None:
        """To every such process on it."""
        for pid in self.processes(pattern):
            self.run(f"kill -{number} {pid}", "root")
