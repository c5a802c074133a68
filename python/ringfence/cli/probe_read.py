"""`ringfence probe read`: a capture file becomes the calls in it, as JSON lines or as a summary. Nothing is stored."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from ringfence.capture.reading import STANDARD_INPUT, CaptureOptions, read_capture
from ringfence.capture.summary import Summary, number_of, worst_mos
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_line, print_table
from ringfence.numbering.dial_plan import Site

_COLUMNS = ("time", "source", "destination", "direction", "result", "status", "duration", "mos", "codec", "call-id")

Tell = Callable[[int, int], None]


def read(
    file: Annotated[str, typer.Argument(help="pcap or pcapng, also gzip or zstd; - is standard input.")],
    messages: Annotated[bool, typer.Option(help="With the SIP messages of each call, secrets covered.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Most calls that the summary lists: the last ones.")] = 20,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Read a capture: a summary and its last calls, or with --json each call as one line."""
    settings = settings_from(config, data)
    site = settings.site
    options = CaptureOptions(
        Site(site.name, site.country, site.own_ranges),
        settings.probe.trunk_networks,
        with_messages=messages,
        call_bytes=settings.probe.evidence.call_bytes,
    )
    if as_json:
        read_capture(file, options, _write_lines)
        sys.stdout.flush()
        return
    summary, last = Summary(), deque[dict[str, Any]](maxlen=limit)

    def take(texts: Iterable[str]) -> None:
        for text in texts:
            call = json.loads(text)
            summary.add(call)
            last.append(call)

    with _progress(file) as tell:
        outcome = read_capture(file, options, take, tell)
    _print_summary(summary.as_json(), outcome)
    if last:
        sys.stdout.write("\n")
        print_table(_COLUMNS, [_row(call) for call in last])


def _write_lines(texts: Iterable[str]) -> None:
    sys.stdout.writelines(f"{text}\n" for text in texts)


@contextmanager
def _progress(file: str) -> Iterator[Tell]:
    """A bar on the terminal; nothing where there is none to draw on."""
    if not sys.stderr.isatty() or file == STANDARD_INPUT:
        yield lambda _octets, _frames: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        path = Path(file)
        task = progress.add_task(path.name, total=path.stat().st_size if path.is_file() else None)
        yield lambda octets, _frames: progress.update(task, completed=octets)


def _print_summary(summary: dict[str, Any], outcome: dict[str, Any]) -> None:
    notes, statistics = outcome["capture"], outcome["statistics"]
    rows: list[tuple[str, object]] = [
        ("frames", f"{notes['frames']:,}"),
        ("calls", f"{summary['calls']:,}"),
        *((f"  {result.replace('_', ' ')}", f"{count:,}") for result, count in summary["results"].items()),
        ("answered of all", _percent(summary["answer_seizure_ratio"])),
        ("average duration", _seconds(summary["average_duration_ms"])),
        ("average post-dial delay", _seconds(summary["average_pdd_ms"])),
        ("average MOS of the worse side", summary["average_mos"]),
        ("calls with audio, of these poor", f"{summary['calls_with_audio']:,}, {summary['calls_with_poor_audio']:,}"),
        ("codecs", ", ".join(f"{codec} {count:,}" for codec, count in summary["codecs"].items())),
        ("registrations", f"{statistics['dialogs']['registrations']:,}"),
        ("scanners' messages", f"{statistics['dialogs']['scanners']:,}"),
    ]
    if summary["first_us"] is not None:
        rows.insert(0, ("time", f"{_moment(summary['first_us'])} to {_moment(summary['last_us'])}"))
    print_table(("what", "value"), rows)
    for name, value in notes.items():
        if value is True:
            print_line(f"the capture is {name.removeprefix('is_').replace('_', ' ')}", "yellow")


def _row(call: dict[str, Any]) -> list[object]:
    mos = worst_mos(call)
    return [
        _moment(call["times"]["start_us"]),
        number_of(call, "source"),
        number_of(call, "destination"),
        call.get("numbers", {}).get("direction"),
        call["result"],
        call["status"] or None,
        _seconds(None if call["duration_us"] is None else call["duration_us"] / 1000),
        None if mos is None else f"{mos:.2f}",
        call["codec"],
        call["call_id"],
    ]


def _moment(microseconds: int) -> str:
    moment = datetime.fromtimestamp(microseconds / 1_000_000, UTC).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _seconds(milliseconds: float | None) -> str | None:
    return None if milliseconds is None else f"{milliseconds / 1000:.3f} s"


def _percent(ratio: float | None) -> str | None:
    return None if ratio is None else f"{ratio * 100:.1f} %"
