"""Messages of calls on the probe's own disk: found by Call-ID, bounded by age and size."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from ringfence.edge.evidence import Evidence, read_ladders
from ringfence.errors import NotFoundError, UnavailableError
from ringfence.settings import EvidenceSettings

NOW = 1_763_840_000.0


def ladder(call_id: str, text: str = "INVITE sip:b@x SIP/2.0\r\n\r\n", time_us: int = 1) -> str:
    message = {"time_us": time_us, "source": "192.0.2.1:5060", "destination": "192.0.2.2:5060", "text": text}
    return json.dumps({"call_id": call_id, "time_us": time_us, "messages": {"messages": [message], "left_out": 2}})


def calls_of(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as store:
        return [row[0] for row in store.execute("SELECT call_id FROM ladder ORDER BY id")]


def test_a_call_is_found_by_its_call_id_and_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    file = tmp_path / "evidence.sqlite"
    Evidence(file, EvidenceSettings()).add([ladder("b@x"), ladder("a@x", "two", 9), ladder("a@x", "one", 5)], NOW)
    first, second = read_ladders(file, "a@x")
    assert [first["messages"][0]["text"], second["messages"][0]["text"]] == ["one", "two"]
    assert first["left_out"] == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_not_kept_is_not_found(tmp_path: Path) -> None:
    file = tmp_path / "evidence.sqlite"
    with pytest.raises(NotFoundError, match="keeps no messages"):
        read_ladders(file, "a@x")
    Evidence(file, EvidenceSettings()).add([ladder("b@x")], NOW)
    with pytest.raises(NotFoundError, match="'a@x'"):
        read_ladders(file, "a@x")
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(UnavailableError, match="cannot be read"):
        read_ladders(file, "a@x")


def test_the_oldest_go_by_age(tmp_path: Path) -> None:
    file = tmp_path / "evidence.sqlite"
    evidence = Evidence(file, EvidenceSettings(keep_hours=1))
    evidence.add([ladder("old")], NOW)
    evidence.add([ladder("new")], NOW + 3000)
    evidence.add([], NOW + 3700)
    assert calls_of(file) == ["new"]


def test_the_oldest_go_by_size(tmp_path: Path) -> None:
    file = tmp_path / "evidence.sqlite"
    evidence = Evidence(file, EvidenceSettings(max_bytes=1 << 20))
    for number in range(30):
        evidence.add([ladder(f"{number}@x", Random(number).randbytes(60_000).hex())], NOW + number)
    evidence.add([], NOW + 100)
    kept = calls_of(file)
    with closing(sqlite3.connect(file)) as store:
        ((held,),) = store.execute("SELECT coalesce(sum(octets), 0) FROM ladder")
    assert held <= 1 << 20
    assert 5 < len(kept) < 30
    assert kept == [f"{number}@x" for number in range(30 - len(kept), 30)]
