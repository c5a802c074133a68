"""`ringfence fst sbc`: be an SBC. Ask ENUM servers as one of a make does, and show what it saw."""

from __future__ import annotations

import re
import time
from ipaddress import ip_address
from typing import Annotated, Any

import typer

from ringfence.acceptance.sbc.emulator import Call, SbcEmulator
from ringfence.acceptance.sbc.presets import PRESETS, preset_named
from ringfence.cli.options import JsonOption
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import InvalidInputError

group = typer.Typer(no_args_is_help=True, help="The SBC emulator.")
_NUMBER = re.compile(r"\+[1-9][0-9]{1,14}")
_CALL_COLUMNS = ("call", "source", "destination", "becomes", "server", "ms", "asked")


@group.command("presets")
def presets(as_json: JsonOption = False) -> None:
    """The makes whose behaviour is known, with their figures."""
    rows = list(PRESETS.values())
    if as_json:
        print_json([_preset_json(preset) for preset in rows])
        return
    print_table(
        ("preset", "order", "retry s", "timeout s", "rest s", "failures", "out s", "all down", "what it is"),
        [
            (p.name, p.distribution.replace("_", " "), p.retransmit_s, p.timeout_s, p.rest_s, p.failures,
             p.out_of_service_s, p.all_down, p.title)
            for p in rows
        ],
    )  # fmt: skip


@group.command("call")
def call(
    server: Annotated[list[str], typer.Option("--server", "-s", metavar="ADDRESS:PORT", help="Repeatable, in order.")],
    source: Annotated[str, typer.Option("--from", metavar="NUMBER", help="The caller, +E.164.")],
    destination: Annotated[str, typer.Option("--to", metavar="NUMBER", help="The called number, +E.164.")],
    preset: Annotated[str, typer.Option(help="The make: `ringfence fst sbc presets`.")] = "oracle",
    apex: Annotated[str, typer.Option(help="ENUM zone that is asked.")] = "e164.internal",
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=100_000, help="How many calls.")] = 1,
    interval: Annotated[float, typer.Option(min=0, max=3600, help="Seconds between calls.")] = 0.0,
    timeout: Annotated[float | None, typer.Option(help="Seconds for one server.", show_default=False)] = None,
    failures: Annotated[int | None, typer.Option(help="In a row until out of service.", show_default=False)] = None,
    out_of_service: Annotated[float | None, typer.Option(help="Seconds out of service.", show_default=False)] = None,
    bind: Annotated[str | None, typer.Option(metavar="ADDRESS", help="The SBC's own address.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Place calls and print what the SBC saw; exit code 1 when one found no server at all."""
    figures = preset_named(preset, timeout_s=timeout, failures=failures, out_of_service_s=out_of_service)
    sbc = SbcEmulator([parse_server(text) for text in server], apex, figures, bind=bind)
    for option, number in (("--from", source), ("--to", destination)):
        if not _NUMBER.fullmatch(number):
            raise InvalidInputError(f"{option}: {number!r} is not a number; expected E.164, such as +12105550123")
    calls: list[Call] = []
    for place in range(count):
        if place and interval:
            time.sleep(interval)
        calls.append(sbc.call(source, destination))
    if as_json:
        print_json({"preset": _preset_json(figures), "calls": [one.as_json() for one in calls]})
    else:
        _print(sbc, calls)
    if any(one.server is None for one in calls):
        raise typer.Exit(1)


def parse_server(text: str) -> tuple[str, int]:
    """ADDRESS:PORT; without a port 53. InvalidInputError names the option."""
    host, colon, port = text.rpartition(":") if not text.endswith("]") and text.count(":") != 0 else (text, "", "")
    try:
        address = ip_address((host if colon else text).strip("[]"))
        number = int(port) if colon else 53
        if not 1 <= number <= 65535:
            raise ValueError(port)
    except ValueError:
        raise InvalidInputError(f"--server: {text!r} is not an address; expected 192.0.2.11:53") from None
    return str(address), number


def _print(sbc: SbcEmulator, calls: list[Call]) -> None:
    rows: list[tuple[object, ...]] = []
    for number, one in enumerate(calls, 1):
        decided = next((a.address for a in one.attempts if a.server == one.server), None)
        becomes = one.action if one.action != "redirect" else f"redirect {one.number}"
        asked = ", ".join(f"{a.address} {a.result}" + (f" ×{a.sent}" if a.sent > 1 else "") for a in one.attempts)
        rows.append((number, one.source, one.destination, becomes, decided, round(one.took_ms, 2), asked))
    print_table(_CALL_COLUMNS, rows)
    print_line("")
    for (host, port), condition in zip(sbc.servers, sbc.conditions(), strict=True):
        served = sum(one.server == sbc.servers.index((host, port)) for one in calls)
        print_line(f"{host}:{port}: {condition.replace('_', ' ')}, answered {served} of {len(calls)} calls")


def _preset_json(preset: Any) -> dict[str, Any]:
    return {
        field: sorted(value) if isinstance(value, frozenset) else value
        for field, value in vars(preset).items()
    }  # fmt: skip
