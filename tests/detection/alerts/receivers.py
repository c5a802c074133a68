"""Receivers on loopback, real ones: sockets for syslog, an HTTP server for webhooks, Debian's snmptrapd for traps."""

from __future__ import annotations

import hashlib
import hmac
import os
import queue
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.mediation_server import wait_until


class SyslogServer:
    """Takes octet-counted messages over TCP, or TLS where a context is given; `messages` has them as they came."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.messages: queue.Queue[bytes] = queue.Queue()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="syslog-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                stream, _ = self._listener.accept()
                with suppress(OSError):
                    self._read(self._context.wrap_socket(stream, server_side=True) if self._context else stream)

    def _read(self, stream: socket.socket) -> None:
        with stream, stream.makefile("rb") as file:
            while digits := _until_space(file.read):
                self.messages.put(file.read(int(digits)))


def _until_space(read: object) -> bytes:
    digits = b""
    while (octet := read(1)) not in (b"", b" "):  # type: ignore[operator]
        digits += octet
    return digits


class WebhookServer:
    """Verifies each delivery's signature as docs/alerts.md says, answers from `answers` (then 200), keeps what came."""

    def __init__(self) -> None:
        self.secret = ""
        self.answers: list[int] = []
        self.came: list[tuple[str, bytes]] = []  # (id, body) of those with a good signature
        self.forged = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stamp, _, given = self.headers["Ringfence-Signature"].partition(",v1=")
                signed = stamp.removeprefix("t=").encode() + b"." + body
                wanted = hmac.new(outer.secret.encode(), signed, hashlib.sha256).hexdigest()
                if hmac.compare_digest(given, wanted):
                    outer.came.append((self.headers["Ringfence-Delivery"], body))
                else:
                    outer.forged += 1
                code = outer.answers.pop(0) if outer.answers else 200
                self.send_response(code)
                if code in (301, 302, 307):
                    self.send_header("Location", f"http://127.0.0.1:{outer.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


# Of the modules that ours builds on, which Debian has only in non-free, what net-snmp needs to read it: the macros it
# knows by itself.
_BASE_MIBS = {
    "SNMPv2-SMI": """
org         OBJECT IDENTIFIER ::= { iso 3 }
dod         OBJECT IDENTIFIER ::= { org 6 }
internet    OBJECT IDENTIFIER ::= { dod 1 }
private     OBJECT IDENTIFIER ::= { internet 4 }
enterprises OBJECT IDENTIFIER ::= { private 1 }
""",
    "SNMPv2-TC": "",
    "SNMPv2-CONF": "",
}


class TrapReceiver:
    """Debian's snmptrapd with its log in a file."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log

    def wait_for(self, words: str) -> str:
        """The whole line that has them."""
        return str(wait_until(lambda: next((line for line in self.lines if words in line), None), 20))

    @property
    def lines(self) -> list[str]:
        """What came."""
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines() if self._log.exists() else []


@contextmanager
def snmptrapd(folder: Path, configuration: str, mibs: Path) -> Iterator[TrapReceiver]:
    """Run it on a free port of loopback until leaving."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config, log = folder / "snmptrapd.conf", folder / "traps.log"
    config.write_text(configuration, encoding="utf-8")
    for name, text in _BASE_MIBS.items():
        (folder / f"{name}.txt").write_text(f"{name} DEFINITIONS ::= BEGIN\n{text}END\n", encoding="utf-8")
    environment = {**os.environ, "SNMP_PERSISTENT_DIR": str(folder), "SNMPCONFPATH": str(folder),
                   "MIBDIRS": f"{folder}:{mibs}", "MIBS": "RINGFENCE-MIB"}  # fmt: skip
    process = subprocess.Popen(
        ["/usr/sbin/snmptrapd", "-f", "-C", "-c", config, "-Lf", log, "-On", "-n",
         "-F", "trap %v\\n", f"udp:127.0.0.1:{port}"],
        env=environment,
    )  # fmt: skip
    try:
        wait_until(lambda: _listens(port), 20)
        yield TrapReceiver(port, log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _listens(port: int) -> bool:
    wanted = f":{port:04X}"
    lines = Path("/proc/net/udp").read_text(encoding="ascii").splitlines()
    return any(line.split()[1].endswith(wanted) for line in lines[1:])
