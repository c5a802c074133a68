"""A real sshd on a free port of loopback that lets this very user in with a key of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.mediation_server import wait_until

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin")


@dataclass(frozen=True)
class SshServer:
    """How it is reached."""

    host: str
    port: int
    command: str
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="session")
def ssh_server() -> Iterator[SshServer]:
    """Skips where sshd or rsync is missing."""
    if SSHD is None or shutil.which("rsync") is None or shutil.which("ssh") is None:
        pytest.skip("needs openssh-server, openssh-client and rsync")
    with running_ssh_server() as server:
        yield server


@contextmanager
def running_ssh_server() -> Iterator[SshServer]:
    """Until the end of the block, or of its process."""
    assert SSHD is not None, "needs openssh-server"
    folder = Path(tempfile.mkdtemp(prefix="ringfence-ssh-"))
    try:
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        host_key = (folder / "host.pub").read_text().split()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key[0]} {host_key[1]}\n")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
            "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stdout=log, stderr=log)
        try:
            wait_until(lambda: _listens(port), 20)
            options = f"-i {folder}/user -o UserKnownHostsFile={folder}/known_hosts -o IdentitiesOnly=yes"
            yield SshServer(f"{getpass.getuser()}@127.0.0.1", port, f"ssh -p {port} {options}", process)
        finally:
            process.terminate()
            process.wait()
    finally:
        shutil.rmtree(folder)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
