"""`ringfence analytics` and `ringfence events` against a mediation on a real socket."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pyarrow.parquet as pq
import pytest
from tests.analytics.conftest import AddCalls
from tests.ingest.samples import every_second
from typer.testing import CliRunner

from ringfence.cli.main import build, groups_for
from ringfence.cli.period import parse_moment
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, NotFoundError, RingfenceError
from ringfence.mediation.app import MediationServer, bind, create_app
from ringfence.mediation.local_entrance import LocalEntrance
from ringfence.settings import ApiSettings, Settings

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


@pytest.fixture
def data(database: Database, tmp_path: Path) -> Iterator[Path]:
    """The data folder of a running mediation."""
    settings = Settings(data=tmp_path, api=ApiSettings(port=0))
    sockets, url = bind(settings)
    entrance = LocalEntrance(tmp_path, database)
    started = threading.Event()
    server = MediationServer(create_app(settings, database), sockets, started.set)
    thread = threading.Thread(target=server.serve_until_stopped)
    thread.start()
    try:
        assert started.wait(20)
        entrance.open(url, None)
        yield tmp_path
    finally:
        entrance.close()
        server.should_exit = True
        thread.join(20)
        for listener in sockets:
            listener.close()


_LOG_LINE = re.compile(r"^\S+ \S+ \[(?:debug|info|warning|error) *\] .*\n", re.MULTILINE)


def ringfence(data: Path, *arguments: str) -> str:
    """Run a command in this process; its standard output, or the refusal that it raises."""
    result = CliRunner().invoke(build(groups_for(arguments)), [*arguments, "--data", str(data)])
    if isinstance(result.exception, RingfenceError):
        raise result.exception
    assert result.exit_code == 0, result.output
    # The mediation of the test runs in this process, and may log meanwhile.
    return _LOG_LINE.sub("", str(result.stdout))


def recent(count: int, **fields: Any) -> list[dict[str, Any]]:
    return every_second(count, datetime.now(UTC) - timedelta(seconds=count + 5), **fields)


def test_analytics_prints_json_and_tables(data: Path, add_calls: AddCalls) -> None:
    now = datetime.now(UTC)
    add_calls(recent(30), now=now)
    arguments = ("analytics", "--dataset", "enum", "--view", "top_destination", "--grouping", "day", "--device", "All")
    answer = json.loads(ringfence(data, *arguments, "--since", "24h", "--json"))
    assert answer["columns"] == ["time", "rank", "destination", "calls"]
    assert sum(row[3] for row in answer["rows"]) == 30
    table = ringfence(data, *arguments).splitlines()
    assert table[0].split() == ["TIME", "RANK", "DESTINATION", "CALLS"]
    assert table[-1].split()[2] == "+19005550100"
    with pytest.raises(NotFoundError, match="'enum-9'"):
        ringfence(data, "analytics", "--device", "enum-9")
    with pytest.raises(InvalidInputError, match="grouping"):
        ringfence(data, "analytics", "--grouping", "year")


def test_events_prints_one_object_a_line_newest_last(data: Path, add_calls: AddCalls) -> None:
    add_calls(recent(30), now=datetime.now(UTC))
    calls = [json.loads(line) for line in ringfence(data, "events", "--json", "--limit", "20").splitlines()]
    assert [call["sequence"] for call in calls] == list(range(11, 31))
    fields = {"time", "dataset", "device", "source", "destination", "direction", "action", "rule", "policy_version"}
    assert fields <= set(calls[0])
    assert ringfence(data, "events", "--json", "--number", "+4420") == ""
    assert len(ringfence(data, "events", "--json", "--number", "+12105550123", "--since", "15s").splitlines()) < 20
    table = ringfence(data, "events", "--limit", "5").splitlines()
    assert len(table) == 6
    assert table[0].split()[:4] == ["TIME", "DEVICE", "SOURCE", "DESTINATION"]


def test_events_are_written_to_a_file_newest_first(data: Path, add_calls: AddCalls, tmp_path: Path) -> None:
    add_calls([*recent(130), *recent(2, destination=442079460000)], now=datetime.now(UTC))
    table, text, lines = (tmp_path / f"calls.{form}" for form in ("parquet", "csv", "ndjson"))
    assert ringfence(data, "events", "--export", str(table)) == f"{table}: written\n"
    ringfence(data, "events", "--export", str(text), "--number", "+44*")
    ringfence(data, "events", "--export", str(lines), "--limit", "3")
    sequences = [call["sequence"] for call in map(json.loads, ringfence(data, "events", "--json", "--limit", "999")
                                                  .splitlines())]  # fmt: skip
    assert pq.read_table(table)["sequence"].to_pylist() == sequences[::-1]
    assert len(sequences) == 132
    assert [line.split(",")[4] for line in text.read_text().splitlines()] == ["destination"] + ["+442079460000"] * 2
    assert [json.loads(line)["sequence"] for line in lines.read_text().splitlines()] == sequences[:-4:-1]
    for options, words in (
        (("--export", "calls.xlsx"), r"must end in .csv or .parquet or .ndjson"),
        (("--export", str(table), "--follow"), "--export: cannot be given with --follow"),
        (("--export", str(tmp_path / "no" / "calls.csv")), "cannot be written: No such file"),
        (("--export", str(table), "--action", "hang_up"), "action: 'hang_up'"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            ringfence(data, "events", *options)
    # A refused export leaves the file that was there, and nothing beside it.
    assert pq.read_table(table).num_rows == 132
    assert not list(tmp_path.glob("*.new"))


def test_views_are_saved_listed_shown_and_deleted(data: Path) -> None:
    saved = ("analytics", "saved")
    options = ("--view", "asr", "--dataset", "sip", "--range", "7d", "--filter", "direction=inbound", "--shared")
    assert ringfence(data, *saved, "save", "Inbound ASR", *options) == "Inbound ASR: saved, shared with everybody\n"
    fixed = ("--since", "2026-11-20T12:00+00:00", "--until", "2026-11-20T13:00+00:00", "--json")
    kept = json.loads(ringfence(data, *saved, "save", "Noon", *fixed))
    assert kept["words"] | {"start": "2026-11-20T12:00:00Z", "end": "2026-11-20T13:00:00Z"} == kept["words"]
    listed = json.loads(ringfence(data, *saved, "list", "--json"))
    assert [(view["name"], view["shared"]) for view in listed] == [("Inbound ASR", True), ("Noon", False)]
    assert listed[0]["words"] == {
        "dataset": "sip", "direction": "inbound", "grouping": "hour", "range": "7d", "view": "asr",
    }  # fmt: skip
    table = ringfence(data, *saved, "list").splitlines()
    assert table[1].split()[-5:] == ["yes", "asr", "sip", "hour", "7d"]
    assert ["direction", "inbound"] in [line.split() for line in ringfence(data, *saved, "show", "Noon").splitlines()
                                        + ringfence(data, *saved, "show", "Inbound ASR").splitlines()]  # fmt: skip
    assert json.loads(ringfence(data, *saved, "show", "Noon", "--json")) == listed[1]
    assert ringfence(data, *saved, "delete", "Noon") == "Noon: deleted\n"
    assert len(json.loads(ringfence(data, *saved, "list", "--json"))) == 1
    refusals: tuple[tuple[type[RingfenceError], str, tuple[str, ...]], ...] = (
        (NotFoundError, "saved view 'Noon'", ("saved", "show", "Noon")),
        (NotFoundError, "saved view 'Noon'", ("saved", "delete", "Noon")),
        (InvalidInputError, "range: no such range '2h'", ("saved", "save", "x", "--range", "2h")),
        (InvalidInputError, "--range: give either", ("saved", "save", "x", "--range", "7d", "--since", "1h")),
        (InvalidInputError, "--filter: 'colour'", ("saved", "save", "x", "--filter", "colour=red")),
        (InvalidInputError, "--view: must stand behind `analytics saved", ("--view", "asr", "saved", "list")),
    )
    for kind, words, refused in refusals:
        with pytest.raises(kind, match=words):
            ringfence(data, "analytics", *refused)


def test_following_prints_new_calls_as_they_come(data: Path, add_calls: AddCalls) -> None:
    add_calls(recent(3), now=datetime.now(UTC))
    command = [sys.executable, "-m", "ringfence", "events", "--follow", "--json", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = _Lines(process.stdout)
            assert [json.loads(line)["sequence"] for line in lines.take(3)] == [1, 2, 3]
            add_calls([{"time": datetime.now(UTC) - timedelta(minutes=9)}, *recent(1)], now=datetime.now(UTC))
            assert [json.loads(line)["sequence"] for line in lines.take(2)] == [4, 5]
        finally:
            process.kill()


class _Lines:
    """Lines of a process, with a deadline."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[str]) -> None:
        with closing(stream):
            for line in stream:
                self._lines.append(line)

    def take(self, count: int) -> list[str]:
        deadline = time.monotonic() + 30
        while len(self._lines) < count:
            assert time.monotonic() < deadline, f"only {self._lines}"
            time.sleep(0.02)
        taken, self._lines[:count] = self._lines[:count], []
        return taken


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("1d12h", NOW - timedelta(hours=36)),
        ("0s", NOW),
        ("2026-11-20T10:00:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
    ],
)
def test_moments_are_read_as_people_write_them(text: str, moment: datetime) -> None:
    assert parse_moment("--since", text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "5", "h", "-3h", "999999w999999w", "3h later"])
def test_other_moments_are_refused_with_the_option(text: str) -> None:
    with pytest.raises(InvalidInputError, match="--since: "):
        parse_moment("--since", text, NOW)


def test_a_view_is_filtered_compared_and_written_to_a_file(data: Path, add_calls: AddCalls, tmp_path: Path) -> None:
    add_calls([*recent(8), *recent(3, destination=442079460000)], now=datetime.now(UTC))
    asked = ("analytics", "--view", "calls", "--grouping", "period", "--since", "1h")
    answer = json.loads(ringfence(data, *asked, "--filter", "destination=+44*", "--compare", "previous", "--json"))
    assert answer["rows"][0][1] == 3
    assert "11 calls; 0 from" in ringfence(data, *asked, "--compare", "previous")
    file = tmp_path / "calls.csv"
    ringfence(data, *asked, "--export", str(file))
    assert file.read_text(encoding="utf-8").splitlines()[1].split(",")[1] == "11"
    for options, words in (
        (("--filter", "colour=red"), "'colour' is not one of"),
        (("--filter", "direction"), "is not NAME=VALUE"),
        (("--export", "calls.xlsx"), "must end in .csv or .parquet"),
        (("--compare", "year"), "compare: 'year' is not one of"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            ringfence(data, *asked, *options)
    lines = ringfence(data, "events", "--number", "+44*", "--json", "--filter", "country=GB").splitlines()
    assert len(lines) == 3
