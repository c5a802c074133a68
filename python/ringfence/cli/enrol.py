"""`ringfence enum enrol` and `ringfence probe enrol`: this machine becomes a device of a mediation, with a token."""

from __future__ import annotations

import socket
import sys
from typing import Annotated

import typer

from ringfence import __version__
from ringfence.cli.options import ConfigOption, DataOption, settings_from
from ringfence.cli.output import print_line
from ringfence.edge.enrolment import enrol
from ringfence.trust.enrolment_token import EnrolmentToken

Token = Annotated[str, typer.Argument(help="As `ringfence device invite` printed it; - reads it from standard input.")]

_STDIN = ("-", "/dev/stdin")


def enrol_enum(token: Token, config: ConfigOption = None, data: DataOption = None) -> None:
    """Make a key and get this ENUM server's certificate for it, once; then start or restart the server."""
    _enrol("enum", token, config, data)


def enrol_probe(token: Token, config: ConfigOption = None, data: DataOption = None) -> None:
    """Make a key and get this probe's certificate for it, once; then start or restart the probe."""
    _enrol("probe", token, config, data)


def _enrol(kind: str, token: str, config: ConfigOption, data: DataOption) -> None:
    settings = settings_from(config, data)
    parsed = EnrolmentToken.parse(sys.stdin.read() if token in _STDIN else token)
    done = enrol(parsed, kind, settings.data / kind, __version__, socket.gethostname()[:64])
    print_line(f"Enrolled as {done.device} at {done.address}. What it was given is in {settings.data / kind}.")
    print_line(f"Start it, or restart it if it runs: ringfence {'enum' if kind == 'enum' else 'probe run'}")
