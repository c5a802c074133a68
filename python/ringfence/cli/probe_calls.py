"""`ringfence probe calls` and `probe ladder`: what the probe on this machine sees now, and the messages it has kept."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ringfence.capture.ladder import build_ladder
from ringfence.capture.pcap import write_pcap
from ringfence.capture.summary import number_of
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_table
from ringfence.edge.evidence import read_ladders
from ringfence.errors import InvalidInputError, UnavailableError

_COLUMNS = ("since", "source", "destination", "state", "codec", "messages", "call-id")
_WAIT_S = 5.0
_REFRESH_S = 1.0


def calls(
    once: Annotated[bool, typer.Option("--once", help="Print the table and end.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show the calls in progress, refreshed each second on a terminal until Ctrl-C."""
    file = settings_from(config, data).data / "run" / "probe-calls.json"
    found = _ask(file)
    if as_json:
        print_json(found)
    elif once or not sys.stdout.isatty():
        print_table(_COLUMNS, [_row(call) for call in found])
    else:
        with Live(_table(found), console=Console(), auto_refresh=False, screen=False) as live:
            while True:
                time.sleep(_REFRESH_S)
                live.update(_table(_ask(file)), refresh=True)


def ladder(
    call_id: Annotated[str, typer.Argument(metavar="CALL-ID", help="As in the call log.")],
    pcap: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the messages as a capture.")] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the ladder as a drawing.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show the SIP messages of a call that the probe on this machine has kept, secrets covered."""
    kept = read_ladders(settings_from(config, data).data / "probe" / "evidence.sqlite", call_id)
    messages = [message for one in kept for message in one["messages"]]
    for file, content in (
        (pcap, write_pcap(messages)),
        (svg, build_ladder(messages, sum(one["left_out"] for one in kept)).svg().encode()),
    ):
        if file is not None:
            _write(file, content)
    if as_json:
        print_json({"call_id": call_id, "ladders": kept})
    elif pcap is None and svg is None:
        drawn = build_ladder(messages, sum(one["left_out"] for one in kept))
        begin = drawn.steps[0].time_us if drawn.steps else 0
        columns = ("seconds", "from", "to", "message")
        rows = [
            (
                f"{(step.time_us - begin) / 1e6:.6f}",
                drawn.columns[step.source],
                drawn.columns[step.destination],
                f"{step.label} {step.note}".strip(),
            )
            for step in drawn.steps
        ]
        print_table(columns, rows)


def _ask(file: Path) -> list[dict[str, Any]]:
    """Let the probe write its table, and read it."""
    if not file.parent.joinpath("probe.json").exists():
        raise UnavailableError("no probe runs on this data folder: start `ringfence probe run`")
    begin = time.time()
    file.with_suffix(".wanted").touch()
    while not file.exists() or file.stat().st_mtime < begin - _REFRESH_S:
        if time.time() - begin > _WAIT_S:
            raise UnavailableError("the probe does not answer")
        time.sleep(0.05)
    found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _row(call: dict[str, Any]) -> list[object]:
    since = max(0.0, time.time() - call["times"]["start_us"] / 1e6)
    state = "up" if call["times"]["answer_us"] else "ringing" if call["times"]["ringing_us"] else "calling"
    source, destination = number_of(call, "source"), number_of(call, "destination")
    return [f"{since:.0f} s", source, destination, state, call["codec"], call["counts"]["messages"], call["call_id"]]


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table(title=f"{len(found):,} calls in progress", title_justify="left")
    for column in _COLUMNS:
        table.add_column(column)
    for call in found[: max(1, Console().height - 6)]:
        table.add_row(*(Text(_plain(value)) for value in _row(call)))
    return table


def _plain(value: object) -> str:
    return "".join(character if character.isprintable() else "�" for character in str(value))


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise InvalidInputError(f"{file}: cannot be written: {error.strerror}") from None
