"""`ringfence logs`: what this node's processes logged, from files and from systemd's journal, in one order."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.period import parse_moment
from ringfence.logs.files import FileFollower, read_files
from ringfence.logs.journal import Journal
from ringfence.logs.lines import Entry
from ringfence.service.installation import installed_units
from ringfence.service.manager import Systemd

_POLL_S = 0.5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("logs")(logs)


def logs(
    processes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROCESS]...", help="mediation, enum, probe, database, up; all.", show_default=False),
    ] = None,
    only_errors: Annotated[bool, typer.Option("--errors", help="Errors only.", show_default=False)] = False,
    since: Annotated[str, typer.Option(help="90s, 30m, 2h ago, or a time.")] = "1h",
    is_followed: Annotated[bool, typer.Option("--follow", "-f", help="Go on.", show_default=False)] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show what this node's processes logged, oldest first; `--json` prints one object a line."""
    settings = settings_from(config, data)
    begin = parse_moment("--since", since, datetime.now(UTC))
    folders = node_folders(settings.data, is_named=data is not None)
    journal = Journal() if Systemd().is_running and data is None else None
    follower = FileFollower(folders) if is_followed else None
    found = [entry for folder in folders for entry in read_files(folder, begin)]
    if journal is not None:
        found += journal.new_entries(begin)
    wanted = set(processes or ())
    _print(sorted(found, key=lambda entry: entry.at), wanted, only_errors, as_json)
    while follower is not None:
        time.sleep(_POLL_S)
        fresh = follower.new_entries() + (journal.new_entries(begin) if journal is not None else [])
        _print(sorted(fresh, key=lambda entry: entry.at), wanted, only_errors, as_json)


def node_folders(data: Path, *, is_named: bool) -> list[Path]:
    """The data folder, and where none was named those of the services that this node has; each once."""
    others = [] if is_named else [unit.data for unit in installed_units(Path("/"))]
    return list(dict.fromkeys([data, *others]))


def _print(entries: Iterable[Entry], processes: set[str], only_errors: bool, as_json: bool) -> None:
    for entry in entries:
        if (processes and entry.process not in processes) or (only_errors and not entry.is_error):
            continue
        line = json.dumps(entry.as_json(), ensure_ascii=False, default=str) if as_json else _shown(entry.as_line())
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _shown(text: str) -> str:
    """What came from the network must not steer the terminal."""
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)
