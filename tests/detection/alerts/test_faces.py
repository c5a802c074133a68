"""Alerts by API and command line, and told by whichever mediation leads."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.analytics.conftest import AddCalls
from tests.analytics.test_commands import ringfence
from tests.detection.alerts.receivers import WebhookServer
from tests.detection.alerts.samples import NOON, TARGET, fire, firing, put_channel
from tests.ingest.samples import every_second
from tests.mediation_server import RunningMediation, wait_until

from ringfence.database.connection import Database
from ringfence.detection.alerts import store
from ringfence.detection.alerts.alert import Alert
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from ringfence.vocabulary import Role


@pytest.fixture
def mediating(database: Database, tmp_path: Path) -> Iterator[RunningMediation]:
    """A mediation, which leads."""
    with RunningMediation(database, tmp_path / "data") as running:
        yield running


def fire_now(database: Database, **fields: Any) -> Alert:
    """At noon by the calls, now by the clock."""
    with database.connection() as connection:
        return store.open_or_extend(connection, firing(**fields), datetime.now(UTC))


def test_alerts_are_listed_followed_and_dealt_with_by_api(
    mediating: RunningMediation, database: Database, add_calls: AddCalls
) -> None:
    add_calls(every_second(20, destination=int(TARGET[1:]), source_raw="=cmd()", source=0, source_class=4))
    viewer, analyst = mediating.client(Role.VIEWER), mediating.client(Role.ANALYST)
    began = viewer.get("alerts/changes").json()
    assert began == {"alerts": [], "change": 0}
    answers: list[dict[str, Any]] = []
    poll = threading.Thread(
        target=lambda: answers.append(viewer.get("alerts/changes", params={"after": 0, "wait_s": 20}).json())
    )
    poll.start()
    wait_until(lambda: mediating.process.alerts_feed.waiting, 20)
    alert = fire_now(database)
    poll.join(20)
    assert [one["id"] for one in answers[0]["alerts"]] == [alert.alert_id]
    (listed,) = viewer.get("alerts", params={"state": "open", "severity": "warning"}).json()["alerts"]
    assert listed["headline"] == f"flood-one-number: destination {TARGET}"
    assert listed["words"][0].startswith("101 within 10 s, above the threshold of 100")
    path = f"alerts/{alert.alert_id}"
    assert viewer.post(f"{path}/acknowledge").status_code == 403
    assert analyst.post(f"{path}/acknowledge").json()["state"] == "acknowledged"
    assert analyst.post(f"{path}/comments", json={"text": "Carrier called"}).status_code == 200
    closed = analyst.post(f"{path}/close", json={"comment": "Filtered"})
    assert (closed.status_code, closed.json()["state"]) == (200, "closed")
    assert analyst.post(f"{path}/close").status_code == 409
    assert [one["kind"] for one in viewer.get(path).json()["timeline"]] == [
        "opened", "acknowledged", "comment", "closed",
    ]  # fmt: skip
    assert viewer.get("alerts/99").status_code == 404
    # The leader collects evidence by itself.
    wait_until(lambda: viewer.get(f"{path}/evidence").status_code == 200, 20)
    kept = viewer.get(f"{path}/evidence").json()
    assert (kept["alert"]["key"], len(kept["calls"]["rising"])) == ({"destination": TARGET}, 11)
    rows = list(csv.DictReader(io.StringIO(viewer.get(f"{path}/evidence", params={"format": "csv"}).text)))
    assert (rows[0]["part"], rows[0]["time"], rows[0]["source"]) == ("rising", kept["calls"]["rising"][-1]["time"],
                                                                     "'=cmd()")  # fmt: skip
    metrics = viewer.get(f"{mediating.url}/metrics").text
    assert 'ringfence_alerts_opened_total{severity="critical"} 1.0' in metrics


def test_channels_are_set_tested_and_removed_by_api(
    mediating: RunningMediation, server: WebhookServer, database: Database
) -> None:
    administrator, analyst = mediating.client(), mediating.client(Role.ANALYST)
    body = {"kind": "webhook", "settings": {"url": server.url}}
    assert analyst.put("alert_channels/noc", json=body).status_code == 403
    made = administrator.put("alert_channels/noc", json=body).json()
    server.secret = made["secret"]
    again = administrator.put("alert_channels/noc", json=body | {"minimum_severity": "critical"}).json()
    assert (again["secret"], again["minimum_severity"]) == (None, "critical")
    assert administrator.post("alert_channels/noc/test").json() == {"sent": True, "words": "answers 200 OK"}
    server.answers = [500]
    said = administrator.post("alert_channels/noc/test").json()
    assert said == {"sent": False, "words": "webhook: answers 500 Internal Server Error"}
    # The leader tells of an alert by itself, within two seconds or so.
    fire_now(database)
    wait_until(lambda: len(server.came) == 3, 20)
    wait_until(lambda: analyst.get("alert_channels").json()[0]["messages"] == {"sent": 1}, 20)
    assert made["secret"] not in analyst.get("alert_channels").text + analyst.get("alert_channels/noc").text
    renewed = administrator.put("alert_channels/noc", json=body | {"renew_secret": True}).json()
    assert renewed["secret"] not in (None, made["secret"])
    bad = administrator.put("alert_channels/noc", json=body | {"settings": {"url": "x"}})
    assert (bad.status_code, bad.json()["message"]) == (
        400,
        "settings.url: must be http://HOST/PATH or https://HOST/PATH",
    )
    metrics = analyst.get(f"{mediating.url}/metrics").text
    assert 'ringfence_alert_messages{channel="noc",state="sent"} 1.0' in metrics
    assert 'ringfence_alert_outbox_age_seconds{channel="noc"} 0.0' in metrics
    assert administrator.delete("alert_channels/noc").status_code == 204
    assert analyst.get("alert_channels/noc").status_code == 404


def test_alerts_from_the_command_line(
    mediating: RunningMediation, database: Database, server: WebhookServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    data = mediating.settings.data
    alert = fire(database, now=(datetime.now(UTC) - NOON).total_seconds())
    said = ringfence(data, "alert", "list", "--state", "unclosed", "--severity", "warning")
    assert f"flood-one-number: destination {TARGET}" in said
    assert json.loads(ringfence(data, "alert", "list", "--detection", "none", "--json")) == []
    number = str(alert.alert_id)
    assert ringfence(data, "alert", "acknowledge", number) == f"alert {number}: acknowledged\n"
    assert ringfence(data, "alert", "comment", number, "Carrier called") == f"alert {number}: commented\n"
    assert json.loads(ringfence(data, "alert", "close", number, "--comment", "Done", "--json"))["state"] == "closed"
    shown = ringfence(data, "alert", "show", number)
    assert "101 within 10 s" in shown
    assert "Carrier called" in shown
    file = tmp_path / "evidence.csv"
    wait_until(lambda: json.loads(ringfence(data, "alert", "show", number, "--json"))["has_evidence"], 20)
    ringfence(data, "alert", "export", number, str(file))
    assert file.read_text().startswith("part,time,dataset")
    with pytest.raises(ConflictError, match="closed already"):
        ringfence(data, "alert", "acknowledge", number)

    said = ringfence(data, "alert", "channel", "add", "noc", "webhook", "--set", f"url={server.url}", "--closing")
    assert said.startswith(f"noc: webhook to {server.url}\nIts secret, shown only now: rfw_")
    server.secret = said.rsplit(" ", 1)[1].strip()
    assert ringfence(data, "alert", "channel", "test", "noc") == "noc: answers 200 OK\n"
    server.answers = [404]
    with pytest.raises(UnavailableError, match="channel 'noc': webhook: answers 404 Not Found"):
        ringfence(data, "alert", "channel", "test", "noc")
    monkeypatch.setenv("KEY", "authsecret")
    trap = ("--set", "host=127.0.0.1", "--set", "version=3", "--set", "user=rf", "--set", "auth=sha256")
    said = ringfence(data, "alert", "channel", "add", "trap", "snmp", *trap, "--secret", "auth_key=KEY")
    assert "engine id, for the receiver: 0x80007ed904" in said
    assert [one["name"] for one in json.loads(ringfence(data, "alert", "channel", "list", "--json"))] == ["noc", "trap"]
    assert "127.0.0.1:162" in ringfence(data, "alert", "channel", "list")
    assert ringfence(data, "alert", "channel", "remove", "trap") == "trap: removed\n"
    for words, arguments in (
        ("--set: 'url' must be NAME=VALUE", ("add", "x", "webhook", "--set", "url")),
        ("--secret: community: environment variable 'NONE'", ("add", "x", "snmp", "--secret", "community=NONE")),
        ("kind: 'fax' is not one of", ("add", "x", "fax")),
    ):
        with pytest.raises(InvalidInputError, match=words):
            ringfence(data, "alert", "channel", *arguments)
    with pytest.raises(NotFoundError, match="channel 'trap'"):
        ringfence(data, "alert", "channel", "test", "trap")


def test_whoever_leads_next_repeats_nothing(database: Database, server: WebhookServer, tmp_path: Path) -> None:
    _, secret = put_channel(database, "webhook", {"url": server.url})
    server.secret = secret or ""
    with RunningMediation(database, tmp_path / "first"):
        fire_now(database)
        wait_until(lambda: server.came, 20)
    with RunningMediation(database, tmp_path / "second"):
        fire_now(database, detection="another")
        wait_until(lambda: len(server.came) == 2, 20)
    assert [json.loads(body)["alerts"][0]["detection"] for _, body in server.came] == ["flood-one-number", "another"]
