"""A call's page: its messages as a ladder that is read arrow by arrow, and what stands there without them (R14, E7)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Console, Visit, keep_picture
from tests.mediation.answering_probe import CALL_ID, Probe, messages_of, record_call

from ringfence.analytics.calls import CallFilter, find_calls
from ringfence.edge.evidence import Evidence
from ringfence.settings import EvidenceSettings
from ringfence.vocabulary import CallResult, Dataset


@pytest.fixture(scope="module")
def probe(console: Console, tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """A probe that saw a call."""
    file = tmp_path_factory.mktemp("probe") / "evidence.sqlite"
    credential = record_call(console.database, "probe-9")
    return Probe(console.url, credential, file, Evidence(file, EvidenceSettings()))


def test_a_calls_page_shows_the_record_then_the_messages(
    visit: Visit, console: Console, probe: Probe, screenshots: Path
) -> None:
    with console.database.connection() as connection:
        (call,) = find_calls(connection, CallFilter(Dataset.SIP, call_id=CALL_ID))
    page = visit(1280).enter().open(f"/call?id={call.id}")
    ladder = page.get_by_role("group", name="SIP ladder")
    with probe.answering():
        expect(page.get_by_text("not kept any more")).to_be_visible()
        expect(ladder.get_by_role("img", name="0.100 seconds: 18x ringing, from 192.0.2.2:5060")).to_be_visible()
        keep_picture(page, screenshots / "call-ladder-record.png", full_page=True)
        probe.keep(messages_of(call.as_json()))
        with console.database.connection() as connection:
            connection.execute("DELETE FROM evidence_request")
        page.get_by_role("button", name="Ask again").click()
        expect(page.get_by_text("6 messages, secrets covered")).to_be_visible()
        expect(ladder.locator("details")).to_have_count(6)
        invite = ladder.locator("summary").first
        expect(invite).to_have_attribute("aria-label", re.compile("^0.000 seconds: INVITE, from 192.0.2.1:5060 to"))
        invite.focus()
        page.keyboard.press("Enter")
        expect(ladder.locator("pre").first).to_contain_text('From: "<script>alert(1)</script>"')
        keep_picture(page, screenshots / "call-ladder.png", full_page=True)
        with page.expect_download() as saved:
            page.get_by_role("link", name="Text").click()
        assert saved.value.path().read_text().startswith("# +0.000000 s  192.0.2.1:5060 -> 192.0.2.2:5060")
        narrow = visit(390, dark=True).enter("vera").open(f"/call?id={call.id}")
        expect(narrow.get_by_text("6 messages, secrets covered")).to_be_visible()
        narrow.locator(".sip-ladder summary").nth(1).click()
        expect(narrow.locator(".sip-ladder pre")).to_contain_text("180 Ringing")
        assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
        keep_picture(narrow, screenshots / "call-ladder-390-dark.png", full_page=True)


def test_with_its_probe_away_a_calls_page_draws_the_decision_among_the_records_moments(
    visit: Visit, console: Console, screenshots: Path
) -> None:
    with console.database.connection() as connection:
        found = find_calls(connection, CallFilter(Dataset.SIP, device="probe-1", result=CallResult.ANSWERED, limit=1))
    page = visit(1280, dark=True).enter().open(f"/call?id={found[0].id}")
    expect(page.get_by_text("The probe that keeps the messages is away")).to_be_visible()
    drawn = page.get_by_role("group", name="SIP ladder").get_by_role("img")
    expect(drawn.filter(has_text="ENUM")).to_have_count(1)
    expect(drawn.filter(has_text="INVITE")).to_have_count(1)
    keep_picture(page, screenshots / "call-ladder-away-dark.png", full_page=True)
