"""The Storage page: what each day takes and where it is, what is due, a round by hand, and who only looks (R13)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from playwright.sync_api import expect
from tests.console.conftest import Console, Visit, keep_picture
from tests.console.test_looks import THEMES
from tests.mediation_server import wait_until
from tests.storage.conftest import fill

from ringfence.console.storage import days_of
from ringfence.storage.round import read_round


def test_a_day_is_in_the_database_also_archived_due_or_archived_only() -> None:
    day = {"bytes": 10, "rows": None, "bytes_per_event": None}
    report = {
        "days": [
            {**day, "table": "enum_event", "day": "2026-11-20", "is_archived": False},
            {**day, "table": "enum_event", "day": "2026-11-21", "is_archived": True},
            {**day, "table": "sip_event", "day": "2026-11-21", "is_archived": False},
        ],
        "archived_days": [{"table": "enum_event", "day": "2026-11-20", "rows": 4, "bytes": 3}],
        "drops_now": [{"partition": "enum_event_20261120", "why": "age"}],
    }
    assert days_of(report) == [
        (date(2026, 11, 21), {
            "enum_event": [("also archived", "green", 10)], "sip_event": [("in the database", "green", 10)],
        }),
        (date(2026, 11, 20), {"enum_event": [("due", "amber", 10), ("archived", "plain", 3)]}),
    ]  # fmt: skip


def test_days_from_due_to_archived(visit: Visit, warehouse: Console, screenshots: Path) -> None:
    now = datetime.now(UTC)

    def has_looked() -> bool:
        with warehouse.database.connection() as connection:
            return read_round(connection) is not None

    wait_until(has_looked, 30)  # the leader's first round: the next one is an hour away
    for ago in (0, 1, 2, 6, 7):
        fill(warehouse.database, "enum_event", ago, 3000, first=ago * 10_000, now=now)
    for ago in (1, 2, 6):
        fill(warehouse.database, "sip_event", ago, 2000, first=ago * 10_000, now=now)
    page = visit(at=warehouse).enter().open("/storage")
    old = page.locator("tr", has_text=f"{now - timedelta(days=6):%Y-%m-%d}")
    expect(old).to_contain_text("due")
    expect(page.locator(".meter.disk")).to_be_visible()
    page.get_by_role("button", name="Archive and drop what is due").click()
    expect(page.get_by_text("3 days archived, 2 dropped.")).to_be_visible(timeout=30_000)
    expect(old).to_contain_text("archived")
    expect(old).to_contain_text("also archived")
    expect(page.get_by_text("calls, 6,000 of them only here")).to_be_visible()
    expect(page.get_by_text("older than it is kept")).to_be_visible()
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 860})
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            keep_picture(page, screenshots / f"storage-{width}-{theme}.png", full_page=True)
            sticks_out = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            assert not sticks_out, (width, theme)
        cut = page.evaluate("[...document.querySelectorAll('.table-wrap')].some(e => e.scrollWidth > e.clientWidth)")
        assert not cut, width

    looker = visit(at=warehouse).enter("vera").open("/storage")
    expect(looker.get_by_text("Kept for")).to_be_visible()
    expect(looker.get_by_role("button", name="Archive and drop what is due")).to_have_count(0)
