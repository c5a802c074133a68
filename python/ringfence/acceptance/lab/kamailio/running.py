"""A small real SBC on loopback: Kamailio that asks ENUM before each call, and SIPp as caller and endpoints.

Every instance has a loopback address of its own (127.x.y.z), so that several run side by side. Nothing needs root.

    caller (SIPp) ──INVITE──► Kamailio + call_logic.py ──INVITE──► endpoint "normal" or "redirect" (SIPp)
                                   └── NAPTR + source URI ──► ENUM servers
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from ringfence.errors import UnavailableError

HERE = Path(__file__).parent
KAMAILIO_MODULES = ("/usr/lib/x86_64-linux-gnu/kamailio/modules", "/usr/lib/aarch64-linux-gnu/kamailio/modules")
START_TIMEOUT_S = 15.0
CALL_TIMEOUT_S = 15.0


def missing_packages() -> list[str]:
    """Debian packages that the SBC needs and this machine does not have."""
    missing = []
    if shutil.which("kamailio", path=_path()) is None:
        missing.append("kamailio")
    if not any(Path(folder, "app_python3.so").exists() for folder in KAMAILIO_MODULES):
        missing.append("kamailio-python3-modules")
    if shutil.which("sipp", path=_path()) is None:
        missing.append("sip-tester")
    return missing


@dataclass(frozen=True)
class EnumBehaviour:
    """How the SBC treats its ENUM servers: `failures` in a row put one out of service."""

    timeout_s: float = 0.25
    rest_s: float = 0.0
    failures: int = 2
    out_of_service_s: float = 1.0


@dataclass(frozen=True)
class CallResult:
    """What the caller saw: final status code, and on 200 which endpoint answered and for which Request-URI."""

    final_code: int
    answered_by: str | None
    request_uri: str | None
    took_s: float


class Sbc:
    """A running SBC. Use as a context manager; `call` places one call and waits for its end."""

    def __init__(
        self,
        folder: Path,
        enum_servers: Sequence[tuple[str, int]],
        apex: str = "e164.internal",
        redirect_numbers: Sequence[str] = (),
        behaviour: EnumBehaviour | None = None,
        host: str | None = None,
    ) -> None:
        self._folder = folder
        self._enum_servers = list(enum_servers)
        self._apex = apex
        self._redirect_numbers = tuple(redirect_numbers)
        self._behaviour = behaviour or EnumBehaviour()
        self._host = host or (
            f"127.{secrets.randbelow(250) + 2}.{secrets.randbelow(250) + 2}.{secrets.randbelow(250) + 2}"
        )
        self._processes: list[subprocess.Popen[bytes]] = []
        self._port = 0

    def __enter__(self) -> Sbc:
        try:
            endpoints = {name: self._start_endpoint(name) for name in ("normal", "redirect")}
            self._start_kamailio(endpoints)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """The loopback address of all its parts; audio is announced there, 40002 the caller's, 40000 the endpoint's."""
        return self._host

    def call(self, source: str, destination: str, asserted: str | None = None, hold_ms: int = 50) -> CallResult:
        """Call `destination` from `source` (From; `asserted` goes into P-Asserted-Identity); hang up after `hold_ms`.

        UnavailableError when the call has no final outcome in CALL_TIMEOUT_S seconds.
        """
        folder = self._folder / f"call-{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        identity = f"P-Asserted-Identity: <sip:{asserted}@{self._host}>" if asserted else "Subject: test call"
        keys = {"source": source, "destination": destination, "identity": identity}
        command = ["sipp", "-sf", str(HERE / "caller.xml"), "-m", "1", "-i", self._host, "-p", str(self._free_port())]
        command += ["-d", str(hold_ms)]
        for name, value in keys.items():
            command += ["-key", name, value]
        command += ["-nostdin", "-trace_logs", "-log_file", "log", "-trace_err", "-error_file", "errors"]
        started = time.monotonic()
        process = self._spawn([*command, f"{self._host}:{self._port}"], folder)
        try:
            process.wait(CALL_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"call {source} → {destination}: no outcome\n{self.log()}") from None
        finally:
            self._end(process)
        return self._result(folder, time.monotonic() - started)

    def log(self) -> str:
        """The last of what Kamailio wrote, for messages of failed tests."""
        file = self._folder / "kamailio" / "output"
        return file.read_text(errors="replace")[-4000:] if file.exists() else ""

    def dips(self) -> list[dict[str, object]]:
        """Every ENUM dip so far, as the call logic logged it: destination, source, status, regexp, server, host."""
        text = (self._folder / "kamailio" / "output").read_text(errors="replace")
        return [json.loads(line.split("CALL ", 1)[1]) for line in text.splitlines() if "CALL {" in line]

    def stop(self) -> None:
        """End every process of this SBC."""
        while self._processes:
            self._end(self._processes[-1])

    def _result(self, folder: Path, took_s: float) -> CallResult:
        log = folder / "log"
        results = [line.split() for line in log.read_text().splitlines() if "RESULT" in line] if log.exists() else []
        if len(results) != 1:
            errors = folder / "errors"
            detail = errors.read_text(errors="replace")[-2000:] if errors.exists() else "no error file"
            raise UnavailableError(f"the caller has no single result: {results}\n{detail}\n{self.log()}")
        _, code, answered_by, request_uri = results[0]
        return CallResult(
            int(code), None if answered_by == "-" else answered_by, None if request_uri == "-" else request_uri, took_s
        )

    def _start_endpoint(self, name: str) -> int:
        folder = self._folder / name
        folder.mkdir(parents=True)
        port = self._free_port()
        command = ["sipp", "-sf", str(HERE / "endpoint.xml"), "-i", self._host, "-p", str(port), "-key", "name", name]
        process = self._spawn([*command, "-nostdin", "-trace_err", "-error_file", "errors"], folder)
        self._await(process, lambda: _is_bound(self._host, port), f"endpoint {name}")
        return port

    def _start_kamailio(self, endpoints: dict[str, int]) -> None:
        folder = self._folder / "kamailio"
        folder.mkdir(parents=True)
        self._port = self._free_port()
        uris = {name: f"sip:{self._host}:{port}" for name, port in endpoints.items()}
        settings = {
            "started": time.monotonic(),
            "enum_servers": self._enum_servers,
            "apex": self._apex,
            "routes": dict.fromkeys(self._redirect_numbers, uris["redirect"]),
            "default_route": uris["normal"],
            **asdict(self._behaviour),
        }
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        template = (HERE / "kamailio.cfg.in").read_text(encoding="utf-8")
        for name, value in (
            ("LISTEN", f"{self._host}:{self._port}"),
            ("SCRIPT", str(HERE / "call_logic.py")),
            ("WORKERS", "3"),
        ):
            template = template.replace(f"@{name}@", value)
        (folder / "kamailio.cfg").write_text(template, encoding="utf-8")
        command = [
            "kamailio",
            "-DD",
            "-E",
            "-m",
            "32",
            "-M",
            "8",
            "-f",
            str(folder / "kamailio.cfg"),
            "-Y",
            str(folder),
        ]
        process = self._spawn(
            command, folder, {"SBC_SETTINGS": str(folder / "settings.json"), "PYTHONPATH": str(HERE.parents[3])}
        )
        self._await(process, self._answers_options, "Kamailio")

    def _answers_options(self) -> bool:
        request = (
            f"OPTIONS sip:{self._host}:{self._port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self._host};rport;branch=z9hG4bK{secrets.token_hex(8)}\r\n"
            f"From: <sip:test@{self._host}>;tag=1\r\nTo: <sip:{self._host}>\r\nCall-ID: {secrets.token_hex(8)}\r\n"
            "CSeq: 1 OPTIONS\r\nMax-Forwards: 5\r\nContent-Length: 0\r\n\r\n"
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.settimeout(0.2)
            try:
                channel.connect((self._host, self._port))
                channel.send(request.encode())
                return channel.recv(2048).startswith(b"SIP/2.0 200")
            except OSError:
                return False

    def _spawn(
        self, command: list[str], folder: Path, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        # A clean environment: Kamailio embeds Debian's Python, which must not see this one's paths.
        variables = {"PATH": _path(), "TERM": "dumb", "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - programs of this machine, words of our own
                command,
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """End a process and what it started; it leads a session of its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process in self._processes:
            self._processes.remove(process)

    def _await(self, process: subprocess.Popen[bytes], ready: Callable[[], bool], what: str) -> None:
        for _ in deadline(START_TIMEOUT_S):
            if ready():
                return
            if process.poll() is not None:
                break
        output = self._folder.rglob("output")
        text = "\n".join(f"{file}: {file.read_text(errors='replace')[-2000:]}" for file in output)
        raise UnavailableError(f"{what} did not start\n{text}")

    def _free_port(self) -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.bind((self._host, 0))
            port: int = channel.getsockname()[1]
            return port


def deadline(timeout_s: float, step_s: float = 0.02) -> Iterator[None]:
    """Turns of a polling loop until `timeout_s` has passed; at least one."""
    end = time.monotonic() + timeout_s
    while True:
        yield
        if time.monotonic() > end:
            return
        time.sleep(step_s)


def _path() -> str:
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin", "/sbin", "/bin"))


def _is_bound(host: str, port: int) -> bool:
    """Whether a UDP socket is bound there; read from the kernel's table, so that nothing is sent to it."""
    wanted = f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
    return any(line.split()[1] == wanted for line in Path("/proc/net/udp").read_text().splitlines()[1:])
