"""Lines of logs: both of our formats, written by the real thing and read again, and PostgreSQL's."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ringfence.logs.files import FileFollower, log_files, read_files
from ringfence.logs.journal import entry_of
from ringfence.logs.lines import parse_line, parse_lines

WRITER = """
import structlog, sys
from pathlib import Path
from ringfence.log import configure_logging, recent_errors
from ringfence.settings import LogSettings
file = Path(sys.argv[2]) if len(sys.argv) > 2 else None
configure_logging(LogSettings(format=sys.argv[1], file_bytes=65536, files=2), file)
log = structlog.get_logger()
log.info("enum.started", listen=["127.0.0.1:53"])
log.warning("uplink.failed", code="unavailable")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("agent.part_failed", part="uplink")
import logging
logging.getLogger("somebody.else").error("their own words")
for number in range(int(sys.argv[3]) if len(sys.argv) > 3 else 0):
    log.info("filler", number=number, text="x" * 1000)
print(recent_errors())
"""


def write(form: str, *arguments: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", WRITER, form, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_process_writes_is_read_again(form: str) -> None:
    errors, written = write(form)
    entries = list(parse_lines("enum", written.splitlines()))
    assert [(entry.level, entry.event) for entry in entries][:3] == [
        ("info", "enum.started"),
        ("warning", "uplink.failed"),
        ("error", "agent.part_failed"),
    ]
    assert any("ZeroDivisionError" in line for line in entries[2].more)
    assert entries[3].level == "error"
    assert "their own words" in entries[3].as_line()
    assert "code=unavailable" in entries[1].as_line()
    assert all(abs((entry.at - datetime.now(UTC)).total_seconds()) < 600 for entry in entries)
    assert errors == "2"  # what a status tells of this process


def test_a_file_is_put_aside_when_it_is_full_and_so_many_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "log" / "enum.log"
    write("json", str(file), "200")
    kept = {path.name: path.stat().st_size for path in file.parent.iterdir()}
    assert set(kept) == {"enum.log", "enum.log.1", "enum.log.2"}
    assert max(kept.values()) <= 65536
    numbers = [entry.fields["number"] for entry in read_files(tmp_path, datetime(2000, 1, 1, tzinfo=UTC))]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 199


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-11-28 04:36:46.123 UTC [17] LOG:  database system is ready to accept connections", "info"),
        ("2026-11-28 04:36:46.123 UTC [17] ringfence@ringfence ringfence ERROR:  deadlock detected", "error"),
        ("2026-11-28 04:36:46.123 UTC [17] r@r r FATAL:  the database system is starting up", "info"),
        ("2026-11-28 04:36:46.123 UTC [17] FATAL:  could not write lock file: No space left on device", "error"),
        ("2026-11-28 04:36:46.123 UTC [17] PANIC:  could not write to file: No space left on device", "critical"),
    ],
)
def test_postgresql_is_understood(line: str, level: str) -> None:
    entry = parse_line("database", line)
    assert entry is not None
    assert entry.level == level
    assert entry.at == datetime(2026, 11, 28, 4, 36, 46, 123000, tzinfo=UTC)


def test_a_detail_belongs_to_its_error() -> None:
    lines = [
        "2026-11-28 04:36:46.123 UTC [17] r@r r ERROR:  deadlock detected",
        "2026-11-28 04:36:46.123 UTC [17] r@r r DETAIL:  Process 17 waits",
        "\tProcess 18 waits",
    ]
    (entry,) = parse_lines("database", lines)
    assert len(entry.more) == 2


@pytest.mark.parametrize("line", ["", "Traceback (most recent call last):", "{", '{"event": 1}', "{}", "[1]"])
def test_what_begins_no_entry_is_none(line: str) -> None:
    assert parse_line("enum", line) is None


def test_records_of_the_journal_are_read() -> None:
    at = {"__REALTIME_TIMESTAMP": "1763840000000000", "PRIORITY": "3"}
    ours = entry_of({"_SYSTEMD_UNIT": "ringfence-enum.service", "MESSAGE": "2026-11-28T04:36:46Z [warning  ] a.b  c=1"})
    assert (ours.process, ours.level, ours.event, ours.text) == ("enum", "warning", "a.b", "c=1")
    theirs = entry_of(at | {"UNIT": "ringfence-enum.service", "MESSAGE": "Failed with result 'watchdog'."})
    assert (theirs.process, theirs.level, theirs.event) == ("enum", "error", "systemd")
    raw = entry_of(at | {"_SYSTEMD_UNIT": "ringfence-probe.service", "MESSAGE": [104, 255]})
    assert (raw.text, raw.event) == ("h�", "output")
    traceback = entry_of({"_SYSTEMD_UNIT": "ringfence-enum.service", "MESSAGE": "  File x"})
    assert traceback.event == ""


def line(number: int) -> str:
    return json.dumps({"timestamp": "2026-11-28T04:36:46Z", "level": "info", "event": "e", "number": number}) + "\n"


def test_following_misses_nothing_when_a_file_is_put_aside(tmp_path: Path) -> None:
    file = tmp_path / "log" / "enum.log"
    file.parent.mkdir()
    file.write_text(line(0), encoding="utf-8")
    follower = FileFollower([tmp_path])
    with file.open("a", encoding="utf-8") as stream:
        stream.write(line(1) + line(2)[:20])
    assert [entry.fields["number"] for entry in follower.new_entries()] == [1]
    with file.open("a", encoding="utf-8") as stream:
        stream.write(line(2)[20:])
    file.replace(file.with_name("enum.log.1"))
    file.write_text(line(3), encoding="utf-8")
    assert [entry.fields["number"] for entry in follower.new_entries()] == [2, 3]
    assert follower.new_entries() == []
    assert [path.name for _, path in log_files(tmp_path)] == ["enum.log.1", "enum.log"]
