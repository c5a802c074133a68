"""What callers write into numbers and headers is text, wherever it is shown: no script runs, nothing breaks (R21)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Dialog, expect
from tests.console.conftest import Console, Visit, _serving
from tests.console.seed import seed_workshop
from tests.ingest.samples import upload
from tests.ingest.sip_samples import sip_upload
from tests.suite_server import SuiteServer

from ringfence.accounts import audit
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError
from ringfence.mediation.devices import edit_device, register_device
from ringfence.mediation.ingest.store import Ingest

MARK = "window.hostile = 1"
HOSTILE = (
    f"<script>{MARK}</script>",
    f"\"><img src=x onerror='{MARK}'>",
    f"'-{MARK}-'",
    "{{constructor.constructor('" + MARK + "')()}}",
    f"javascript:{MARK}",
    f"</textarea></script><svg onload={MARK}>",
    "\u202e\u2066evil\u2069 gnp.exe\u200f",
    "\x01\x07\x1b[31mred\x7f\x85",
    '=HYPERLINK("http://192.0.2.1/","click")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "%s%n${7*7}#{7*7}",
    "𝕊𝕌ℙ𝔼ℝ 😈" * 8,
)
PAGES = (
    "/",
    "/calls?range=24h",
    "/calls?dataset=sip&range=24h",
    "/analytics?view=top_source&range=24h",
    "/enforcement?range=24h",
    "/devices",
    "/audit",
    "/policy/explain?source=%3Cscript%3E"
    + MARK.replace(" ", "")
    + "%3C/script%3E&destination=%22%3E%3Cimg%20onerror=x%3E",
    "/number?number=%3Cimg%20src=x%20onerror=" + MARK.replace(" ", "") + "%3E",
    "/calls?range=24h&source=%22%3E%3Csvg%20onload=" + MARK.replace(" ", "") + "%3E",
    "/policy/lists?list=%3Cscript%3E" + MARK.replace(" ", "") + "%3C/script%3E",
)


@pytest.fixture(scope="module")
def attacked(
    postgres_server: SuiteServer, _database_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Console]:
    """An application whose callers are hostile, their calls come by ingest as all calls do."""
    now = datetime.now(UTC)
    with postgres_server.database("ringfence_hostile", _database_template, pool_size=4) as database:
        seed_workshop(database, now)
        _call(database, now)
        with _serving(database, tmp_path_factory.mktemp("hostile-data")) as console:
            yield console


def _call(database: Database, now: datetime) -> None:
    with database.connection() as connection:
        enum, _ = register_device(connection, "enum-1", "enum", None, "ada")
        probe, _ = register_device(connection, "probe-1", "probe", None, "ada")
        edit_device(connection, "enum-1", "ada", note=HOSTILE[0])
        for number, text in enumerate(HOSTILE):
            audit.record(
                connection, text[:60], "test.hostile", text, {"words": text, "before": {"x": text}}, "192.0.2.1"
            )
            assert number < 64
    ingest = Ingest(database)
    asked = [
        {"time": now - timedelta(minutes=5, seconds=number), "source": 0, "source_class": 3, "source_raw": text,
         "destination_raw": text[::-1]}
        for number, text in enumerate(HOSTILE)
    ]  # fmt: skip
    seen = [
        {"time": now - timedelta(minutes=5, seconds=number), "correlation": number, "source_raw": text,
         "call_id": text, "user_agent": text, "destination_raw": "+12105550123"}
        for number, text in enumerate(HOSTILE)
    ]  # fmt: skip
    assert ingest.accept(enum.device_id, "enum", 1, 0, upload(asked), now) == len(HOSTILE)
    assert ingest.accept(probe.device_id, "sip", 2, 0, sip_upload(seen), now) == len(HOSTILE)
    # A name without measure is taken as it is, or refused for what it is.
    huge = [asked[0] | {"sequence": len(HOSTILE) + 1, "source_raw": "A<b>" * 25_600}]
    with suppress(InvalidInputError):
        ingest.accept(enum.device_id, "enum", 1, 0, upload(huge, len(HOSTILE) + 1), now)


def test_no_script_of_a_caller_runs_on_any_page(visit: Visit, attacked: Console) -> None:
    visitor = visit(at=attacked).enter("ada")
    page = visitor.page
    dialogs: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    shown = 0
    for path in PAGES:
        visitor.open(path)
        expect(page.locator("[data-state=loading]")).to_have_count(0)
        expect(page.locator("h1").first).to_be_visible()
        shown += sum(text[:12] in page.content() or text[:8] in page.inner_text("body") for text in HOSTILE[2:5])
        assert page.evaluate("window.hostile") is None, path
        assert page.locator("img[src='x'], svg[onload]").count() == 0, path
    assert shown, "none of the names was shown anywhere: nothing was tried"
    visitor.open("/calls?dataset=sip&range=24h")
    page.locator(".ag-row").first.click()
    expect(page.locator(".drawer")).to_be_visible()
    assert page.evaluate("window.hostile") is None
    page.remove_listener("dialog", dismiss)
    assert not dialogs
    if folder := os.environ.get("RINGFENCE_TEST_PICTURES"):
        page.screenshot(path=f"{folder}/hostile.png")
