"""The clients people use: dig, kdig, drill and dnspython ask, and show the decision; dnsdist asks for others."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.edns
import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest
from tests.conformance.targets import ALLOW, TERMINATE, Target, enum_name

SOURCE = "sip:+19005550111@sbc.example"


def run(program: str, package: str, *arguments: str) -> str:
    if shutil.which(program) is None:
        pytest.skip(f"needs the Debian package {package} (apt-get install {package})")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=20, check=True).stdout


def shown(regexp: str) -> str:
    """The regexp as a master file shows it."""
    return '"' + regexp.replace("\\", "\\\\") + '"'


@pytest.mark.parametrize(("options", "regexp"), [((), ALLOW), ((f"+ednsopt=4:{SOURCE.encode().hex()}",), TERMINATE)])
def test_dig_shows_the_decision(ringfence_target: Target, options: tuple[str, ...], regexp: str) -> None:
    host, port = ringfence_target.address
    output = run(
        "dig", "bind9-dnsutils", f"@{host}", "-p", str(port), "+norecurse", *options, "NAPTR", enum_name("+12105550123")
    )

    assert "status: NOERROR" in output
    assert f'100 10 "u" "E2U+sip" {shown(regexp)} .' in output
    assert "WARNING" not in output
    assert "malformed" not in output


@pytest.mark.parametrize(("options", "regexp"), [((), ALLOW), ((f"+ednsopt=4:{SOURCE.encode().hex()}",), TERMINATE)])
def test_kdig_shows_the_decision(ringfence_target: Target, options: tuple[str, ...], regexp: str) -> None:
    host, port = ringfence_target.address
    output = run("kdig", "knot-dnsutils", f"@{host}", "-p", str(port), *options, "NAPTR", enum_name("+12105550123"))

    assert "status: NOERROR" in output
    assert f'100 10 "u" "E2U+sip" {shown(regexp)} .' in output
    assert "WARNING" not in output


def test_drill_shows_the_decision(ringfence_target: Target) -> None:
    host, port = ringfence_target.address
    output = run("drill", "ldnsutils", "-p", str(port), enum_name("+19005550100"), "NAPTR", f"@{host}")

    assert "rcode: NOERROR" in output
    assert shown(TERMINATE) in output


def test_dnspython_shows_the_decision(ringfence_target: Target) -> None:
    host, port = ringfence_target.address
    asked = dns.message.make_query(enum_name("+19005550100") + ".", dns.rdatatype.NAPTR, use_edns=0)

    answer = dns.query.udp(asked, host, port=port, timeout=5)

    assert answer.answer[0][0].regexp.decode() == TERMINATE


@contextmanager
def dnsdist(folder: Path, behind: Target) -> Iterator[tuple[str, int]]:
    """dnsdist in front of a server, which it checks for health with a query of its own."""
    program = shutil.which("dnsdist")
    if program is None:
        pytest.skip("needs the Debian package dnsdist (apt-get install dnsdist)")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind(("127.0.0.1", 0))
        address: tuple[str, int] = channel.getsockname()
    configuration = folder / "dnsdist.lua"
    configuration.write_text(
        f"""setSecurityPollSuffix("")
setLocal("{address[0]}:{address[1]}")
newServer({{
  address="{behind.address[0]}:{behind.address[1]}", mustResolve=true,
  checkName="health.e164.internal.", checkType="NAPTR"
}})
"""
    )
    log = folder / "log"
    with log.open("w") as output:
        command = [program, "--supervised", "--disable-syslog", "-C", str(configuration)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while not _answers(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _answers(address: tuple[str, int]) -> bool:
    asked = dns.message.make_query("health.e164.internal.", dns.rdatatype.NAPTR)
    try:
        return bool(dns.query.udp(asked, address[0], port=address[1], timeout=0.5).answer)
    except (dns.exception.Timeout, OSError):
        return False


def test_dnsdist_takes_the_server_for_healthy_and_forwards_source_and_answer(
    ringfence_target: Target, tmp_path: Path
) -> None:
    source = dns.edns.GenericOption(dns.edns.OptionType.make(4), SOURCE.encode())
    name = enum_name("+12105550123") + "."
    with dnsdist(tmp_path, ringfence_target) as (host, port):
        plain = dns.message.make_query(name, dns.rdatatype.NAPTR, use_edns=0)
        blocked = dns.message.make_query(name, dns.rdatatype.NAPTR, use_edns=0, options=[source])
        answers = [
            ask(query, host, port=port, timeout=20)
            for query in (plain, blocked)
            for ask in (dns.query.udp, dns.query.tcp)
        ]

    assert [answer.answer[0][0].regexp.decode() for answer in answers] == [ALLOW, ALLOW, TERMINATE, TERMINATE]
    assert all(answer.answer[0].ttl == 0 for answer in answers)
