"""`ringfence events`: the call log, oldest first, so that the newest stands last and following goes on from it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.analytics.calls import MAX_EXPORT
from ringfence.analytics.filters import FILTERS
from ringfence.cli.client import connect
from ringfence.cli.export_file import form_of, write_export
from ringfence.cli.options import ConfigOption, DataOption, FilterOption, JsonOption, settings_from
from ringfence.cli.output import print_table
from ringfence.cli.period import parse_moment, parse_named
from ringfence.errors import InvalidInputError, UnavailableError
from ringfence.mediation.client import Client

_PAGE = 1000
_PRINTED = 100
_POLL_S = 0.5
_COLUMNS = {
    "enum": ("time", "device", "source", "destination", "direction", "action", "rule", "target"),
    "sip": ("time", "device", "source", "destination", "direction", "result", "status", "duration", "mos", "codec"),
}

Call = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("events")(events)


def events(
    since: Annotated[str | None, typer.Option(help="Begin: so long ago (90s, 1h) or a time.")] = None,
    until: Annotated[str | None, typer.Option(help="End: so long ago or a time.")] = None,
    number: Annotated[
        str | None, typer.Option(help="Source or destination: a number, or a pattern such as +1900*.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Source.")] = None,
    destination: Annotated[str | None, typer.Option(help="Destination.")] = None,
    device: Annotated[str, typer.Option(help="Name of one device, or All.")] = "All",
    action: Annotated[str | None, typer.Option(help="allow, terminate, redirect or none.")] = None,
    rule: Annotated[str | None, typer.Option(help="Name of the rule that decided.")] = None,
    result: Annotated[str | None, typer.Option(help="Of dataset sip: answered, busy, no_answer …")] = None,
    call_id: Annotated[str | None, typer.Option(help="Of dataset sip: Call-ID.")] = None,
    dataset: Annotated[str, typer.Option(help="enum or sip.")] = "enum",
    named: FilterOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most calls to print or export; following goes on beyond.",
            show_default=f"{_PRINTED}; {MAX_EXPORT:,} to a file",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new calls until stopped.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write them, newest first, to FILE, .csv, .parquet or .ndjson.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Print calls and what was decided, or with --dataset sip how they went; with --json one object a line."""
    now = datetime.now(UTC)
    filters = parse_named("--filter", named)
    for name in filters.keys() - set(FILTERS):
        raise InvalidInputError(f"--filter: {name!r} is not one of {', '.join(FILTERS)}")
    wanted = {
        **filters,
        "dataset": dataset,
        "device": None if device.casefold() == "all" else device,
        "number": number or filters.get("number"),
        "source": source or filters.get("source"),
        "destination": destination or filters.get("destination"),
        "action": action or filters.get("action"),
        "rule": rule or filters.get("rule"),
        "result": result or filters.get("result"),
        "call_id": call_id,
        "start": parse_moment("--since", since, now).isoformat() if since else None,
        "end": parse_moment("--until", until, now).isoformat() if until else None,
    }
    if export is not None and follow:
        raise InvalidInputError("--export: cannot be given with --follow, which has no end")
    with connect(settings_from(config, data)) as client:
        if export is not None:
            form = form_of(export, ("csv", "parquet", "ndjson"))
            write_export(client, "events/export", wanted | {"format": form, "limit": limit or MAX_EXPORT}, export)
            return
        position = client.get("events/new", **wanted)["position"] if follow else None
        calls = _newest(client, wanted, limit or _PRINTED)
        if position is not None:
            # What arrived after the position was taken comes again below.
            calls = [call for call in calls if not _is_after(call, position)]
        _print(calls, dataset, as_json, heading=True)
        if position is not None:
            for fresh in _new(client, wanted, position):
                _print(fresh, dataset, as_json, heading=False)


def _newest(client: Client, wanted: dict[str, Any], limit: int) -> list[Call]:
    """The newest `limit` calls, oldest first."""
    calls: list[Call] = []
    before: str | None = None
    while len(calls) < limit:
        page = client.get("events", **wanted, limit=min(limit - len(calls), _PAGE), before=before)
        calls += page["calls"]
        before = page["next"]
        if before is None:
            break
    return calls[::-1]


def _new(client: Client, wanted: dict[str, Any], position: str) -> Iterator[list[Call]]:
    """New calls, for ever; a mediation that is away for a while is waited for."""
    is_away = False
    while True:
        try:
            answer = client.get("events/new", **wanted, position=position)
        except UnavailableError as error:
            if not is_away:
                typer.echo(f"ringfence: {error.message}; waiting", err=True)
            is_away = True
            time.sleep(1.0)
            continue
        is_away = False
        position = answer["position"]
        if answer["calls"]:
            yield answer["calls"]
        else:
            time.sleep(_POLL_S)


def _is_after(call: Call, position: str) -> bool:
    known = dict(part.split(":") for part in position.split(",") if part)
    return bool(call["sequence"] > int(known.get(str(call["stream"]), 0)))


def _print(calls: list[Call], dataset: str, as_json: bool, heading: bool) -> None:
    columns = _COLUMNS[dataset]
    if as_json:
        for call in calls:
            sys.stdout.write(json.dumps(call) + "\n")
        sys.stdout.flush()
    elif heading:
        print_table(columns, [_row(call, columns) for call in calls])
    else:
        for call in calls:
            sys.stdout.write("  ".join(_printable(value) for value in _row(call, columns)) + "\n")
        sys.stdout.flush()


def _row(call: Call, columns: tuple[str, ...]) -> list[Any]:
    local = datetime.fromisoformat(call["time"]).astimezone()
    milliseconds = call.get("duration_ms")
    shown = {
        "time": local.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
        "duration": None if milliseconds is None else f"{milliseconds / 1000:.3f} s",
    }
    return [shown.get(column, call.get(column)) for column in columns]


def _printable(value: object) -> str:
    return "".join(character if character.isprintable() else "�" for character in str(value or "-"))
