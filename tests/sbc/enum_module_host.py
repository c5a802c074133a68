"""A machine of its own for Kamailio's `enum` module, which asks the resolver of the machine it is on, at port 53.

Run inside namespaces, as `unshare --net --mount --pid --fork python -m tests.sbc.enum_module_host FOLDER NUMBER…`.
Starts the ENUM server and Kamailio there, sends an OPTIONS for each number, and prints the request URI that Kamailio
goes on with, one JSON object.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.conformance.targets import APEX, ringfence

CONFIGURATION = """
listen=udp:127.0.0.1:5060
fork=no
log_stderror=yes
dns_try_ipv6=no
mpath="MODULES"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "textops.so"
loadmodule "enum.so"
modparam("enum", "domain_suffix", "APEX.")
request_route {
    if (!enum_query()) {
        sl_send_reply("404", "No NAPTR");
        exit;
    }
    append_to_reply("X-Goes-To: $ru\\r\\n");
    sl_send_reply("200", "OK");
}
"""
OPTIONS = (
    "OPTIONS sip:{number}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{number};rport\r\n"
    "From: <sip:test@127.0.0.1>;tag=1\r\nTo: <sip:{number}@127.0.0.1>\r\nCall-ID: {number}@127.0.0.1\r\n"
    "CSeq: 1 OPTIONS\r\nMax-Forwards: 5\r\nContent-Length: 0\r\n\r\n"
)
START_S = 60.0


def modules_folder() -> Path:
    """Where Debian keeps Kamailio's modules, which depends on the architecture."""
    return next(Path("/usr/lib").glob("*/kamailio/modules"))


def goes_to(channel: socket.socket, number: str) -> str | None:
    """The request URI after the query; None while nobody answers."""
    port = channel.getsockname()[1]
    try:
        channel.sendto(OPTIONS.format(number=number, port=port).encode(), ("127.0.0.1", 5060))
        answer = channel.recv(65535).decode()
    except (TimeoutError, ConnectionError):
        return None
    lines = answer.split("\r\n")
    return next((line.partition(": ")[2] for line in lines if line.startswith("X-Goes-To")), lines[0])


def main(folder: Path, numbers: list[str]) -> int:
    """Bring the machine up, ask, print."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", str(resolver), "/etc/resolv.conf"], check=True)
    configuration = folder / "kamailio.cfg"
    configuration.write_text(CONFIGURATION.replace("MODULES", f"{modules_folder()}/").replace("APEX", APEX))
    program = shutil.which("kamailio", path="/usr/sbin:/usr/bin")
    assert program is not None
    log = folder / "kamailio.log"
    with ringfence(folder / "enum", "127.0.0.1:53"), log.open("wb") as output:
        command = [program, "-f", str(configuration), "-DD", "-E", "-m", "16", "-M", "4", "-Y", str(folder)]
        kamailio = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
                channel.settimeout(1.0)
                channel.bind(("127.0.0.1", 0))
                deadline = time.monotonic() + START_S
                while goes_to(channel, numbers[0]) is None:
                    assert kamailio.poll() is None, log.read_text(errors="replace")
                    assert time.monotonic() < deadline, log.read_text(errors="replace")
                channel.settimeout(20.0)
                print(json.dumps({number: goes_to(channel, number) for number in numbers}))
        finally:
            kamailio.kill()  # its other processes end with this one, the first of its namespace
            kamailio.wait(30)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
