"""The trail's chain as an operator meets it: verified by command, by the mediation itself, and after a cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import run_ringfence
from tests.mediation_server import RunningMediation

from ringfence.accounts import audit
from ringfence.accounts.audit_chain import anchors_file
from ringfence.mediation.status import read_status


@pytest.fixture
def watched(mediation: RunningMediation) -> RunningMediation:
    """A mediation whose trail has some entries."""
    with mediation.database.connection() as connection:
        for number in range(3):
            audit.record(connection, "ana", "test.entry", str(number))
    return mediation


def cut_off(mediation: RunningMediation, count: int) -> None:
    with mediation.database.connection() as connection:
        for table in (b"audit", b"audit_link"):
            connection.execute(b"ALTER TABLE " + table + b" DISABLE TRIGGER USER")
        connection.execute(
            "DELETE FROM audit WHERE audit_id IN (SELECT audit_id FROM audit_link ORDER BY place DESC LIMIT %s)",
            (count,),
        )
        connection.execute("DELETE FROM audit_link WHERE place > (SELECT max(place) FROM audit_link) - %s", (count,))
        for table in (b"audit", b"audit_link"):
            connection.execute(b"ALTER TABLE " + table + b" ENABLE TRIGGER USER")


def test_the_end_that_was_cut_off_is_told_by_the_anchor(watched: RunningMediation, tmp_path: Path) -> None:
    data = str(watched.settings.data)
    whole = run_ringfence("audit", "verify", "--data", data)
    assert (whole.returncode, whole.stdout[:18]) == (0, "The trail is whole"), whole.stderr
    elsewhere = tmp_path / "anchors"
    elsewhere.write_text(run_ringfence("audit", "anchor", "--data", data).stdout)
    cut_off(watched, 1)
    anchors_file(watched.settings.data).unlink(missing_ok=True)  # who did it took the mediation's own away too
    cut = run_ringfence("audit", "verify", "--anchor", str(elsewhere), "--data", data)
    assert cut.returncode == 1
    assert "its end was cut off" in cut.stdout


def test_the_mediation_keeps_anchors_and_says_in_status_what_it_finds(watched: RunningMediation) -> None:
    process = watched.process
    process.audit_watch.keep_anchor(watched.database)
    process.audit_watch.keep_anchor(watched.database)
    lines = anchors_file(watched.settings.data).read_text().splitlines()
    assert len(lines) == len(set(lines))
    cut_off(watched, 1)
    process.audit_watch.keep_anchor(watched.database)
    assert anchors_file(watched.settings.data).read_text().splitlines() == lines, "nothing is added to a broken one"
    assert any("audit trail: the trail ends" in note for note in read_status(process)["mediation"]["notes"])


def test_what_is_no_anchor_is_refused(watched: RunningMediation) -> None:
    answer = watched.client().get("audit/verification", params={"anchor": "12"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
