"""`ringfence list import|export|commit`: a list's file in one stream, with progress; every bad line by its number."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line
from ringfence.errors import InvalidInputError, RingfenceError
from ringfence.mediation.client import Client

_CHUNK = 256 << 10
_POLL_S = 0.1
ENFORCED_WAIT_S = 20.0
_ENFORCED_POLL_S = 0.05

Name = Annotated[str, typer.Argument(metavar="NAME", help="A static list.")]
Numbers = Annotated[bool, typer.Option("--numbers", help="One number a line instead of CSV.", show_default=False)]
Commit = Annotated[bool, typer.Option("--commit", help="Commit the newest version with it.", show_default=False)]
Install = Annotated[bool, typer.Option("--install", help="Commit, and let that act everywhere.", show_default=False)]
Message = Annotated[str, typer.Option("--message", "-m", help="Why, kept with the version.")]


def add_to(group: typer.Typer) -> None:
    """Add the commands to `ringfence list`."""
    group.command("import")(import_file)
    group.command("export")(export)
    group.command("commit")(commit_list)


def import_file(
    name: Name,
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV: pattern, note, expires; - reads standard input.")],
    replace: Annotated[bool, typer.Option("--replace", help="Nothing else stays on it.", show_default=False)] = False,
    create: Annotated[bool, typer.Option("--create", help="Make the list if needed.", show_default=False)] = False,
    numbers: Numbers = False,
    commit: Commit = False,
    install: Install = False,
    message: Message = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Import a file into a static list: all of it, or with any bad line nothing. `.txt` is one number a line."""
    is_numbers = numbers or file.endswith(".txt")
    parameters = {
        "format": "numbers" if is_numbers else "csv",
        "replace": replace,
        "create": create,
        "commit": commit,
        "install": install,
        "message": message,
    }
    with connect(settings_from(config, data)) as client, _opened(file) as source, _progress() as shown:
        bar = shown.add_task("sending", total=_size(source))
        path = f"lists/{quote(name, safe='')}/imports"
        job = client.request("POST", path, params=parameters, content=_sent(source, shown, bar))
        result = _finished(client, job, shown, bar)
        enforced = _wait_for_devices(client) if install else None
    if as_json:
        print_json(result | _devices(enforced))
    else:
        print_line(_in_words(name, result, enforced))


def export(
    name: Name,
    file: Annotated[str, typer.Argument(metavar="FILE", help="- writes standard output.")] = "-",
    numbers: Numbers = False,
    revision: Annotated[int | None, typer.Option(min=0, help="The list as it was then.", show_default=False)] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write a static list as a file that `import` takes again; to a FILE that ends in .txt one number a line."""
    parameters: dict[str, Any] = {"format": "numbers" if numbers or file.endswith(".txt") else "csv"}
    if revision is not None:
        parameters["revision"] = revision
    path = f"lists/{quote(name, safe='')}/export"
    with connect(settings_from(config, data)) as client:
        if file == "-":
            for part in client.stream(path, parameters):
                sys.stdout.buffer.write(part)
            return
        fresh = Path(f"{file}.new")
        try:
            with fresh.open("wb") as out:
                out.writelines(client.stream(path, parameters))
            fresh.replace(file)
        except OSError as error:
            raise InvalidInputError(f"{file}: cannot be written: {error.strerror}") from None
        finally:
            fresh.unlink(missing_ok=True)


def commit_list(
    name: Name,
    install: Install = False,
    message: Message = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Commit the newest version with the list as it is now; nothing else of the draft goes with it."""
    with connect(settings_from(config, data)) as client:
        result = client.post(f"lists/{quote(name, safe='')}/commit", {"message": message, "install": install})
        enforced = _wait_for_devices(client) if install else None
    if as_json:
        print_json(result | _devices(enforced))
    else:
        print_line(_committed(result, enforced))


def _opened(file: str) -> IO[bytes]:
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise InvalidInputError(f"{file}: cannot be read: {error.strerror}") from None


def _size(source: IO[bytes]) -> int | None:
    if not source.seekable():
        return None
    size = source.seek(0, 2)
    source.seek(0)
    return size


def _sent(source: IO[bytes], shown: Progress, bar: TaskID) -> Iterator[bytes]:
    while part := source.read(_CHUNK):
        yield part
        shown.update(bar, advance=len(part))


def _finished(client: Client, job: dict[str, Any], shown: Progress, bar: TaskID) -> dict[str, Any]:
    """The job's result; what it refused with every bad line on standard error."""
    while job["state"] in ("queued", "running"):
        time.sleep(_POLL_S)
        job = client.get(f"jobs/{job['id']}")
        shown.update(bar, description=job["phase"] or "waiting", completed=job["done"], total=job["total"] or None)
    if job["state"] == "done":
        result: dict[str, Any] = job["result"]
        return result
    shown.stop()
    error = job["error"] or {"code": "conflict", "message": "the import was cancelled; nothing was imported"}
    detail = error.get("detail") or {}
    for fault in detail.get("faults", [])[1:]:
        typer.echo(f"line {fault['line']}: {fault['text']!r}: {fault['problem']}", err=True)
    raise RingfenceError(error["message"], code=error["code"], detail=detail)


def _wait_for_devices(client: Client) -> tuple[int, int]:
    """How many live devices enforce what they should, and how many are live; waits until all do."""
    deadline = time.monotonic() + ENFORCED_WAIT_S
    while True:
        live = [device for device in client.get("devices")["devices"] if device["is_live"]]
        current = sum(device["is_current"] for device in live)
        if current == len(live) or time.monotonic() >= deadline:
            return current, len(live)
        time.sleep(_ENFORCED_POLL_S)


def _devices(enforced: tuple[int, int] | None) -> dict[str, int]:
    return {"devices_current": enforced[0], "devices_live": enforced[1]} if enforced else {}


def _in_words(name: str, result: dict[str, Any], enforced: tuple[int, int] | None) -> str:
    changes = ", ".join(f"{result[what]:,} {what}" for what in ("added", "changed", "removed") if result[what])
    repeated = f"; {result['repeated']:,} lines came again later" if result["repeated"] else ""
    said = f"List {name}: {changes or 'nothing new'} (revision {result['revision']}){repeated}."
    if result["version"] is None:
        return f"{said} It acts once committed and installed: `ringfence list commit {name} --install`."
    return f"{said} {_committed(result, enforced)}"


def _committed(result: dict[str, Any], enforced: tuple[int, int] | None) -> str:
    known = "" if result["is_new"] else " (its content was known already)"
    said = f"Policy version {result['version']}{known} is {'installed' if result['is_installed'] else 'committed'}"
    if enforced is None:
        return f"{said}."
    current, live = enforced
    if live == 0:
        return f"{said}; no device is connected now."
    return f"{said}; enforced by {current} of {live} live device{'' if live == 1 else 's'}."


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
