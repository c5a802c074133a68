"""Reports sent to a real mail server: each period once, whoever leads; what goes wrong is kept and tried again."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from tests.ingest.samples import NOON
from tests.reports.conftest import ADA, EVE, StartServer, mail_settings, put_report, runs_of

from ringfence.accounts.audit import AuditFilter, find_entries
from ringfence.analytics.saved import delete_view, save_view
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.reports import store
from ringfence.reports.schedule import CLAIMED_FOR, MAX_ATTEMPTS, RETRY_AFTER, SENDING_FOR
from ringfence.reports.sending import Reports, send_due
from ringfence.reports.store import Report
from ringfence.settings import MailSettings

DUE = NOON + timedelta(hours=2)
DAY = timedelta(days=1)


def run_round(database: Database, mail: MailSettings, now: datetime) -> None:
    send_due(database, mail, lambda: now)


def test_a_period_is_sent_once_with_the_view_as_of_when_it_was_due(
    reported: Database, start_server: StartServer
) -> None:
    server = start_server()
    mail = mail_settings(server)
    run_round(reported, mail, DUE - timedelta(seconds=1))
    assert [run.period for run in runs_of(reported)] == ["2026-11-19"]  # of yesterday, when it was set
    server.mails.clear()
    # An hour late, it still asks as of 14:00.
    run_round(reported, mail, DUE + timedelta(hours=1))
    run_round(reported, mail, DUE + timedelta(hours=2))
    (taken,) = server.mails
    assert taken.recipients == (ADA, EVE)
    message = taken.message
    assert message["Subject"] == "Daily, 2026-11-20"
    body = message.get_body(("html",))
    assert body is not None
    html = body.get_content()
    assert "2026-11-20 08:00 to 2026-11-20 14:00 UTC" in html
    assert ">2026-11-20 12:00</td>" in html
    assert all(f">{count}</td>" in html for count in (40, 30, 10))
    assert [one.get_content_type() for one in message.iter_attachments()] == ["application/pdf"]
    run = runs_of(reported)[0]
    assert (run.period, run.state, run.attempts, run.note) == ("2026-11-20", "sent", 1, None)
    run_round(reported, mail, DUE + DAY)
    assert [one.message["Subject"] for one in server.mails] == ["Daily, 2026-11-20", "Daily, 2026-11-21"]
    assert server.mails[0].message["Message-ID"] != server.mails[1].message["Message-ID"]


def test_mediations_that_look_at_once_send_it_once(reported: Database, start_server: StartServer) -> None:
    server = start_server()
    mail, together = mail_settings(server), threading.Barrier(4)

    def lead() -> None:
        together.wait(10)
        run_round(reported, mail, DUE)

    threads = [threading.Thread(target=lead) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [one.message["Subject"] for one in server.mails] == ["Daily, 2026-11-20"]
    assert [(run.state, run.attempts) for run in runs_of(reported)] == [("sent", 1)]


def test_a_leader_that_was_slow_finds_its_report_sent_by_the_next(
    reported: Database, start_server: StartServer
) -> None:
    slow, quick = start_server(), start_server()
    slow.behaviour.holds = True
    old = threading.Thread(target=run_round, args=(reported, mail_settings(slow), DUE))
    old.start()
    assert slow.waits.wait(20)
    assert runs_of(reported)[0].state == "claimed"
    # Another leads now: the claim is old, and nothing has left.
    run_round(reported, mail_settings(quick), DUE + CLAIMED_FOR)
    assert len(quick.mails) == 1
    slow.goes_on.set()
    old.join(20)
    assert slow.mails == []
    run = runs_of(reported)[0]
    assert (run.state, run.attempts, run.note) == ("sent", 2, None)


def test_a_failure_is_kept_tried_again_and_ends(reported: Database, start_server: StartServer) -> None:
    server = start_server()
    server.behaviour.data = "451 4.3.0 disk full"
    mail, now = mail_settings(server), DUE
    for attempt in range(1, MAX_ATTEMPTS + 1):
        run_round(reported, mail, now)
        run = runs_of(reported)[0]
        assert run.attempts == attempt
        assert "451 4.3.0 disk full" in (run.note or "")
        run_round(reported, mail, now)  # not before its time
        assert server.conversations == attempt
        now += RETRY_AFTER[min(attempt, len(RETRY_AFTER)) - 1]
    assert runs_of(reported)[0].state == "given_up"
    server.behaviour.data = "250 ok"
    run_round(reported, mail, now + timedelta(hours=2))
    assert server.mails == []
    run_round(reported, mail, DUE + DAY)
    assert [run.state for run in runs_of(reported)] == ["sent", "given_up"]


def test_it_is_sent_once_the_server_is_well_again(reported: Database, start_server: StartServer) -> None:
    run_round(reported, MailSettings(), DUE)
    run = runs_of(reported)[0]
    assert (run.state, run.note) == ("failed", "mail.host: is not set, so no mail can be sent")
    server = start_server()
    run_round(reported, mail_settings(server), DUE + RETRY_AFTER[0])
    assert (len(server.mails), runs_of(reported)[0].state) == (1, "sent")


def test_what_the_server_may_have_is_never_sent_again(reported: Database, start_server: StartServer) -> None:
    server = start_server()
    server.behaviour.hangs_up = "after_text"
    run_round(reported, mail_settings(server), DUE)
    run = runs_of(reported)[0]
    assert run.state == "unsure"
    assert "went away while it had the mail" in (run.note or "")
    server.behaviour.hangs_up = None
    run_round(reported, mail_settings(server), DUE + timedelta(hours=23))
    assert server.mails == []


def test_a_mediation_that_died_while_sending_leaves_it_unsure(reported: Database, start_server: StartServer) -> None:
    server = start_server()
    run_round(reported, mail_settings(server), DUE)
    with reported.connection() as connection:  # as it stands between the text and the server's answer
        connection.execute("UPDATE report_run SET state = 'sending', note = NULL")
    run_round(reported, mail_settings(server), DUE + SENDING_FOR)
    run = runs_of(reported)[0]
    assert (run.state, len(server.mails)) == ("unsure", 1)
    assert "whether it took it is not known" in (run.note or "")


def test_refused_addresses_are_told(reported: Database, start_server: StartServer) -> None:
    server = start_server()
    server.behaviour.refused = {EVE: "550 5.1.1 nobody"}
    run_round(reported, mail_settings(server), DUE)
    run = runs_of(reported)[0]
    assert (run.state, run.note) == ("sent", f"refused: 550 {EVE}: 5.1.1 nobody")


def test_a_view_that_is_gone_is_a_failure_that_says_so(reported: Database, start_server: StartServer) -> None:
    server = start_server()
    with reported.connection() as connection:
        delete_view(connection, "ada", "Calls")
    run_round(reported, mail_settings(server), DUE)
    run = runs_of(reported)[0]
    assert (run.state, server.conversations) == ("failed", 0)
    assert run.note == "saved view 'Calls' of ada: there is none that ada may see"


def test_sending_by_hand_is_no_period_and_is_audited(reported: Database, start_server: StartServer) -> None:
    server = start_server()
    reports = Reports(mail_settings(server))
    run = reports.send_now(reported, "Daily", "eve")
    assert (run.state, run.asked_by, run.attempts) == ("sent", "eve", 1)
    server.behaviour.data = "554 no"
    failed = reports.send_now(reported, "Daily", "eve")
    assert (failed.state, len(server.mails)) == ("given_up", 1)
    server.behaviour.data = "250 ok"
    run_round(reported, mail_settings(server), DUE)
    assert server.mails[1].message["Subject"] == "Daily, 2026-11-20"
    with reported.connection() as connection:
        actions = [(one.actor, one.action) for one in find_entries(connection, AuditFilter(action="report"))]
    assert actions == [("eve", "report.send"), ("eve", "report.send"), ("ada", "report.set")]
    with pytest.raises(NotFoundError, match="report 'Weekly'"):
        reports.send_now(reported, "Weekly", "eve")


_REFUSED: tuple[tuple[dict[str, object], str], ...] = (
    ({"recipients": []}, "recipients: 0 given"),
    ({"recipients": ["a@example.com\r\nBcc: b@example.com"]}, "recipients: .* is not one mail address"),
    ({"recipients": ["Ada <a@example.com>"]}, "is not one mail address"),
    ({"recipients": ["a@example.com", "A@example.com"]}, "given twice"),
    ({"recipients": [f"a{one}@example.com" for one in range(51)]}, "51 given"),
    ({"name": "a/b"}, "name: "),
    ({"name": "a\r\nBcc: x"}, "name: "),
    ({"name": "a\u2028b"}, "name: "),
    ({"hour": 24}, "hour: 24"),
    ({"zone": "Nowhere"}, "zone: 'Nowhere'"),
)


def test_a_report_that_makes_no_sense_is_refused(reported: Database) -> None:
    for fields, words in _REFUSED:
        with pytest.raises(InvalidInputError, match=words):
            put_report(reported, **fields)


def test_only_a_view_that_its_owner_may_see_is_sent(reported: Database) -> None:
    with reported.connection() as connection:
        save_view(connection, "eve", "Mine", {"view": "asr", "dataset": "sip"}, NOON, is_shared=False)
    with pytest.raises(NotFoundError, match="'Mine' of eve"):
        put_report(reported, view_owner="eve", view_name="Mine")
    assert put_report(reported, owner="eve", name="Hers", view_owner="eve", view_name="Mine").view_name == "Mine"


def test_a_report_is_replaced_and_removed(reported: Database, start_server: StartServer) -> None:
    server = start_server()
    run_round(reported, mail_settings(server), DUE)
    changed = put_report(reported, owner="eve", recipients=[EVE], hour=15, set_at=DUE)
    assert isinstance(changed, Report)
    assert (changed.owner, changed.recipients) == ("ada", [EVE])  # its owner stays
    # The period is named by its day: changing the hour does not send the day again.
    run_round(reported, mail_settings(server), DUE + timedelta(hours=3))
    assert len(server.mails) == 1
    with reported.connection() as connection:
        store.remove_report(connection, "Daily", "ada")
        assert store.read_plan(connection) == ([], [])
        with pytest.raises(NotFoundError, match="report 'Daily'"):
            store.remove_report(connection, "Daily", "ada")
