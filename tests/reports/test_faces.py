"""Reports by API and command line, and sent by whichever mediation leads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.analytics.test_commands import ringfence
from tests.mediation_server import RunningMediation, wait_until
from tests.reports.conftest import ADA, EVE, StartServer, mail_settings, put_report, runs_of
from tests.reports.mail_server import MailServer

from ringfence.analytics.saved import save_view
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, NotFoundError, RingfenceError, UnavailableError
from ringfence.vocabulary import Role

BODY: dict[str, Any] = {
    "view": {"name": "Calls"}, "every": "week", "day": 5, "hour": 7, "zone": "America/Chicago", "recipients": [ADA],
}  # fmt: skip
WORDS = {"view": "calls", "range": "24h"}


@pytest.fixture
def server(start_server: StartServer) -> MailServer:
    """A mail server on loopback."""
    return start_server()


@pytest.fixture
def mailing(database: Database, tmp_path: Path, server: MailServer) -> Iterator[RunningMediation]:
    """A mediation that sends through it."""
    with RunningMediation(database, tmp_path / "data", mail=mail_settings(server)) as running:
        yield running


def finished(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    def ended() -> Any:
        now = client.get(f"jobs/{job['id']}").json()
        return now if now["state"] not in ("queued", "running") else None

    return dict(wait_until(ended, 20))


def test_reports_are_set_shown_sent_and_removed_by_api(mailing: RunningMediation, server: MailServer) -> None:
    ada, eve = mailing.client(Role.ANALYST), mailing.client(Role.ANALYST)
    assert ada.put("saved_views/Calls", json={"words": WORDS}).status_code == 200
    kept = ada.put("reports/Weekly", json=BODY)
    assert kept.status_code == 200, kept.text
    report = kept.json()
    next_due = datetime.fromisoformat(report["next_due"])
    assert (next_due.isoweekday(), timedelta(0) < next_due - datetime.now(UTC) <= timedelta(days=7, hours=1)) == (
        5,
        True,
    )
    assert report["view"] == {"owner": report["owner"], "name": "Calls"}
    assert eve.get("reports").json() == [report]
    # Another analyst sees it, and may neither change, send nor remove it; an administrator may.
    assert eve.put("reports/Weekly", json=BODY).status_code == 403
    assert eve.post("reports/Weekly/send").status_code == 403
    assert eve.delete("reports/Weekly").status_code == 403
    assert eve.put("reports/Mine", json=BODY).status_code == 404  # the view is ada's alone
    sent = finished(ada, ada.post("reports/Weekly/send").json())
    assert (sent["state"], sent["result"]["state"]) == ("done", "sent")
    assert server.mails[0].message["Subject"].startswith("Weekly, by hand 20")
    shown = ada.get("reports/Weekly").json()
    assert [(run["state"], run["asked_by"]) for run in shown["runs"]] == [("sent", report["owner"])]
    changed = mailing.client().put("reports/Weekly", json=BODY | {"view": report["view"], "every": "day", "day": 1})
    assert (changed.status_code, changed.json()["owner"]) == (200, report["owner"])
    assert ada.delete("reports/Weekly").status_code == 204
    assert ada.get("reports/Weekly").status_code == 404
    for field, value in (("hour", 24), ("day", 8), ("every", "year"), ("recipients", ["x"]), ("zone", "Mars")):
        refused = ada.put("reports/Bad", json=BODY | {field: value})
        assert (refused.status_code, refused.json()["message"].split(":")[0]) == (400, field)


def test_reports_are_kept_from_the_command_line(mailing: RunningMediation, server: MailServer, tmp_path: Path) -> None:
    data = tmp_path / "data"
    ringfence(data, "analytics", "saved", "save", "Calls", "--view", "calls")
    options = ("--view", "Calls", "--to", ADA, "--to", EVE, "--zone", "Europe/Berlin", "--at", "07:00")
    said = ringfence(data, "report", "add", "Monthly", *options, "--every", "month", "--on", "31")
    assert said.startswith("Monthly: monthly on the last day at 07:00 Europe/Berlin; the first 20")
    weekly = json.loads(
        ringfence(data, "report", "add", "Weekly", *options, "--every", "week", "--on", "fri", "--json")
    )
    assert (weekly["every"], weekly["day"], weekly["hour"], weekly["recipients"]) == ("week", 5, 7, [ADA, EVE])
    listed = json.loads(ringfence(data, "report", "list", "--json"))
    assert [one["name"] for one in listed] == ["Monthly", "Weekly"]
    assert ringfence(data, "report", "send", "Weekly") == "Weekly: sent\n"
    assert server.mails[0].recipients == (ADA, EVE)
    assert "each Fri at 07:00 Europe/Berlin" in ringfence(data, "report", "list")
    server.behaviour.data = "554 5.7.1 no"
    with pytest.raises(UnavailableError, match=r"report 'Weekly': given up: mail server .* 554 5.7.1 no"):
        ringfence(data, "report", "send", "Weekly")
    shown = ringfence(data, "report", "show", "Weekly")
    assert "554 5.7.1 no" in shown
    assert [run["state"] for run in json.loads(ringfence(data, "report", "show", "Weekly", "--json"))["runs"]] == [
        "given_up", "sent",
    ]  # fmt: skip
    assert ringfence(data, "report", "remove", "Monthly") == "Monthly: removed\n"
    refusals: tuple[tuple[type[RingfenceError], str, tuple[str, ...]], ...] = (
        (NotFoundError, "report 'Monthly'", ("show", "Monthly")),
        (NotFoundError, "report 'Monthly'", ("remove", "Monthly")),
        (NotFoundError, "saved view 'None'", ("add", "x", "--view", "None", "--to", ADA)),
        (InvalidInputError, "--at: '25'", ("add", "x", "--view", "Calls", "--to", ADA, "--at", "25")),
        (InvalidInputError, "--on: 'fri'", ("add", "x", "--view", "Calls", "--to", ADA, "--on", "fri")),
        (InvalidInputError, "recipients: 'ada'", ("add", "x", "--view", "Calls", "--to", "ada")),
    )
    for kind, words, arguments in refusals:
        with pytest.raises(kind, match=words):
            ringfence(data, "report", *arguments)


def test_whoever_leads_sends_and_the_next_does_not_repeat_it(
    reported: Database, server: MailServer, tmp_path: Path
) -> None:
    def subjects() -> list[str]:
        return [str(one.message["Subject"]).split(",")[0] for one in server.mails]

    with RunningMediation(reported, tmp_path / "first", mail=mail_settings(server)):
        wait_until(lambda: runs_of(reported) and runs_of(reported)[0].state == "sent", 20)
        assert subjects() == ["Daily"]
    with reported.connection() as connection:
        save_view(connection, "ada", "CPS", {"view": "average_cps"}, datetime.now(UTC), is_shared=False)
    put_report(reported, name="Second", view_name="CPS")
    with RunningMediation(reported, tmp_path / "second", mail=mail_settings(server)):
        wait_until(lambda: runs_of(reported, "Second") and runs_of(reported, "Second")[0].state == "sent", 20)
    assert subjects() == ["Daily", "Second"]
