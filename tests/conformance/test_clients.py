"""The clients people use: dig, kdig, drill and dnspython ask, and show the decision."""

from __future__ import annotations

import shutil
import subprocess

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
