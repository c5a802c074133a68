"""Alerts in the console: appear by themselves, are understood, dealt with; channels are added and tested (R7)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.console.conftest import Console, Visit, keep_picture
from tests.console.seed import add_call
from tests.detection.alerts.receivers import WebhookServer

from ringfence.database.connection import Database
from ringfence.detection.alerts import evidence, store
from ringfence.detection.alerts.alert import Alert, Contained, HeldBack
from ringfence.detection.firing import Firing, Mode, Severity
from ringfence.vocabulary import Action

HOSTILE = "<script>window.pwned = 1</script>"
# Not among the numbers whose calls other tests of this console count.
FLOODED = 17675550100


def flood(database: Database, detection: str = "flood-premium", **fields: Any) -> Alert:
    """Forty calls within the last minutes, the firing about them, and what was contained."""
    now = datetime.now(UTC)
    start = now - timedelta(minutes=3)
    known: dict[str, Any] = {
        "detection": detection, "definition_version": 3, "dataset": "enum", "key": {"destination": f"+{FLOODED}"},
        "started_at": start, "at": start + timedelta(seconds=20), "value": 21.0, "threshold": 20.0, "window_s": 20,
        "severity": Severity.CRITICAL, "mode": Mode.CONTAIN, "numbers": (f"+{FLOODED}",),
    }  # fmt: skip
    with database.connection() as connection:
        for second in range(40):
            add_call(connection, start + timedelta(seconds=second), source=13125550100 + second % 12,
                     destination=FLOODED, action=Action.ALLOW if second < 20 else Action.TERMINATE)  # fmt: skip
        return store.open_or_extend(
            connection, Firing(**known | fields), now,
            contained=[Contained("suspects", f"+{FLOODED}", now + timedelta(minutes=10))],
            held_back=[HeldBack("+911", "an emergency number is never contained")],
        )  # fmt: skip


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_an_alert_appears_by_itself_and_is_dealt_with(visit: Visit, console: Console, screenshots: Path) -> None:
    page = visit().enter("ada").open("/alerts?detection=flood-premium")
    expect(page.locator("[data-state=empty]")).to_contain_text("None passes the filters.")
    page.evaluate("window.stayed = true")
    alert = flood(console.database)
    flood(console.database, "probing", key={"source": HOSTILE}, severity=Severity.INFO, mode=Mode.REPORT)
    row = page.get_by_test_id(f"alert-{alert.alert_id}")
    expect(row).to_contain_text(f"+{FLOODED}")
    expect(row).to_contain_text("Critical")
    expect(row).to_contain_text("1 contained")
    assert page.evaluate("window.stayed"), "without loading the page again"
    keep_picture(page, screenshots / "alerts-1280-light.png")
    # Filters are in the address.
    page.get_by_label("Severity").select_option("Critical")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"/alerts\?severity=critical&detection=flood-premium$"))
    evidence.collect_due(console.database, datetime.now(UTC))
    row.get_by_role("link").click()

    expect(page.get_by_role("heading", level=1)).to_have_text(f"flood-premium: destination +{FLOODED}")
    story = page.locator("section", has_text="What happened")
    expect(story).to_contain_text("21 within 20 s, above the threshold of 20")
    expect(page.locator("section", has_text="Containment")).to_contain_text("an emergency number is never contained")
    expect(page.locator(".chart svg")).to_contain_text("threshold passed")
    expect(page.get_by_text("Kept with this alert:")).to_be_visible()
    callers = page.locator("section", has=page.get_by_role("heading", name="Callers"))
    expect(callers.get_by_role("link").first).to_have_attribute("href", re.compile(r"/calls\?.*source=%2B1312555010"))
    keep_picture(page, screenshots / "alert-1280-light.png", full_page=True)
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".page-head .pill.amber")).to_have_text("Acknowledged")
    page.get_by_role("button", name="Comment").click()
    form = page.get_by_role("form", name="Comment")
    form.get_by_role("button", name="Add it").click()
    expect(form.get_by_role("alert")).to_contain_text("text: must have 1 to")
    form.get_by_label("Comment").fill(f"The carrier was called. {HOSTILE}")
    form.get_by_role("button", name="Add it").click()
    timeline = page.locator(".timeline")
    expect(timeline).to_contain_text(f"The carrier was called. {HOSTILE}")
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    keep_picture(page, screenshots / "alert-390-dark.png", full_page=True)
    assert fits(page)
    page.get_by_role("button", name="Close…").click()
    page.get_by_role("form", name="Close this alert").get_by_label("How it was dealt with").fill("It filters now")
    page.get_by_role("button", name="Close it").click()
    expect(page.locator(".page-head .pill.green")).to_have_text("Closed")
    expect(timeline).to_contain_text("It filters now")
    assert page.evaluate("window.pwned") is None


def test_lists_and_overview_in_the_dark_and_for_viewers(visit: Visit, console: Console, screenshots: Path) -> None:
    alert = flood(console.database, "wangiri-here", key={"site": "main"}, severity=Severity.WARNING)
    page = visit(dark=True).enter("vera").open("/alerts?detection=wangiri-here")
    expect(page.locator("tbody tr")).to_have_count(1)
    keep_picture(page, screenshots / "alerts-1280-dark.png")
    page.set_viewport_size({"width": 390, "height": 844})
    keep_picture(page, screenshots / "alerts-390-dark.png")
    assert fits(page)
    page.goto(f"{console.url}/alert?id={alert.alert_id}")
    expect(page.locator(".timeline")).to_be_visible()
    assert page.get_by_role("button", name=re.compile("Acknowledge|Close|Comment")).count() == 0
    page.goto(f"{console.url}/alert?id=99999")
    expect(page.locator("[data-state=failed]")).to_contain_text("there is none of this number")
    page.goto(f"{console.url}/alerts?state=odd")
    expect(page.locator("[data-state=failed]")).to_contain_text("state: 'odd' is not one of")
    page.set_viewport_size({"width": 1280, "height": 860})
    page.goto(console.url)
    card = page.get_by_role("region", name="Open alerts")
    expect(card.get_by_role("link", name="site main")).to_be_visible()
    keep_picture(page, screenshots / "overview-alerts-1280-dark.png")


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    """A receiver of webhooks."""
    with WebhookServer() as server:
        yield server


def test_a_channel_is_added_tested_and_removed(visit: Visit, server: WebhookServer, screenshots: Path) -> None:
    page = visit().enter("ada").open("/alerts/channels")
    expect(page.locator("[data-state=empty]")).to_contain_text("Alerts are shown here only")
    page.get_by_role("button", name="Add a channel: Webhook").click()
    form = page.get_by_role("form", name="Add a channel: Webhook")
    form.get_by_label("Name").fill("NOC")
    form.get_by_label("URL").fill("ftp://nowhere")
    form.get_by_role("button", name="Keep it").click()
    expect(form.get_by_role("alert")).to_contain_text("settings.url: must be http://HOST/PATH")
    form.get_by_label("URL").fill(server.url)
    form.get_by_role("button", name="Keep it").click()
    secret = page.get_by_test_id("secret")
    expect(secret).to_contain_text("rfw_")
    server.secret = secret.inner_text()
    page.get_by_role("button", name="Done").click()
    card = page.get_by_role("region", name="NOC")
    expect(card.locator(".pill")).to_have_text("On")
    card.get_by_role("button", name="Send a test through NOC").click()
    expect(page.get_by_text("NOC: answers 200 OK")).to_be_visible()
    assert (len(server.came), server.forged) == (1, 0)
    server.answers = [503]
    card.get_by_role("button", name="Send a test through NOC").click()
    expect(page.get_by_text("NOC: webhook: answers 503 Service Unavailable")).to_be_visible()

    page.get_by_role("button", name="Add a channel: SNMP trap").click()
    form = page.get_by_role("form", name="Add a channel: SNMP trap")
    form.get_by_label("Name").fill("Traps")
    form.get_by_label("Host").fill("127.0.0.1")
    form.get_by_label("Version").select_option("v3")
    form.get_by_label("User").fill("rf")
    form.get_by_label("Authentication", exact=True).select_option("SHA-256")
    form.get_by_label("Authentication key").fill("short")
    keep_picture(page, screenshots / "alert-channel-form-1280-light.png")
    form.get_by_role("button", name="Keep it").click()
    expect(form.get_by_role("alert")).to_contain_text("secrets.auth_key: must have at least 8 characters")
    form.get_by_label("Authentication key").fill("long enough")
    form.get_by_role("button", name="Keep it").click()
    traps = page.get_by_role("region", name="Traps")
    expect(traps).to_contain_text("0x80007ed904")
    # A change keeps the key that is not typed again.
    traps.get_by_role("button", name="Edit Traps").click()
    form = page.get_by_role("form", name="SNMP trap: Traps")
    form.get_by_label("Severity").select_option("Critical")
    form.get_by_role("button", name="Keep it").click()
    expect(traps).to_contain_text("critical only")
    keep_picture(page, screenshots / "alert-channels-1280-light.png")
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    keep_picture(page, screenshots / "alert-channels-390-dark.png")
    assert fits(page)
    for name in ("NOC", "Traps"):
        page.get_by_role("button", name=f"Remove {name}").click()
        page.get_by_role("button", name="Remove", exact=True).click()
        expect(page.get_by_role("region", name=name)).to_have_count(0)
