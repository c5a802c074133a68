"""The live call log: new calls come by themselves, filters, one call with its explanation, hostile text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect
from tests.console.conftest import Console, Visit
from tests.console.seed import HOSTILE, PREMIUM, add_call

from ringfence.vocabulary import Action, NumberClass, Reason

PlaceCall = Callable[..., None]


@pytest.fixture
def place_call(console: Console) -> PlaceCall:
    def place(destination: int, **fields: object) -> None:
        with console.database.connection() as connection:
            add_call(connection, datetime.now(UTC), destination=destination, **fields)

    return place


def open_calls(visit: Visit, query: str = "", width: int = 1280) -> Page:
    page = visit(width).enter().open(f"/calls{query}")
    expect(page.locator("[data-state=content], [data-state=empty]").first).to_be_visible()
    return page


def test_new_calls_appear_on_top_by_themselves_unless_the_list_is_paused(visit: Visit, place_call: PlaceCall) -> None:
    page = open_calls(visit)
    expect(page.locator(".ag-row").first).to_be_visible()
    place_call(33140000001)
    expect(page.locator(".ag-row[row-index='0']")).to_contain_text("+33140000001", timeout=5_000)
    expect(page.get_by_text("+33140000001")).to_have_attribute("title", "01 40 00 00 01")
    # What is being typed stays while calls come in.
    page.get_by_label("Number").press_sequentially("+1900")
    place_call(33140000004)
    expect(page.get_by_text("+33140000004")).to_be_visible()
    expect(page.get_by_label("Number")).to_have_value("+1900")
    page.get_by_label("Number").fill("")
    # A paused list stands still, and then misses nothing.
    page.get_by_role("button", name="Live").click()
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "false")
    expect(page).to_have_url(re.compile("live=0"))
    place_call(33140000002)
    page.wait_for_timeout(1_500)  # one live interval and more: there is no event for "nothing happens"
    assert page.get_by_text("+33140000002").count() == 0
    page.get_by_role("button", name="Paused").click()
    expect(page.get_by_text("+33140000002")).to_be_visible()


def test_a_list_held_still_before_its_first_calls_came_shows_them(visit: Visit, console: Console) -> None:
    page = visit().enter().page
    with console.database.connection() as connection:
        connection.execute("LOCK TABLE enum_event")
        page.goto(f"{console.url}/calls")
        expect(page.get_by_label("Device").locator("option")).not_to_have_count(1)  # its names came, no calls yet
        page.get_by_role("button", name="Live").click()
        expect(page).to_have_url(re.compile("live=0"))
        expect(page.locator("[data-state=loading]")).to_be_visible()
    expect(page.locator(".ag-row").first).to_be_visible()


def test_the_first_call_ends_the_empty_state(visit: Visit, place_call: PlaceCall) -> None:
    page = open_calls(visit, "?number=%2B33140000003")
    expect(page.locator("[data-state=empty]")).to_contain_text("No call of this time passes the filters")
    place_call(33140000003)
    expect(page.locator(".ag-row")).to_contain_text("+33140000003")


def test_filters_narrow_the_list_and_stand_in_the_address(visit: Visit) -> None:
    page = open_calls(visit, "?range=6h")
    page.get_by_label("Action").select_option("Redirect")
    expect(page.locator(".ag-cell .pill").first).to_have_text("Redirect")
    expect(page.locator(".ag-cell[col-id=rule]").first).to_have_text("moved")
    page.get_by_label("Number").fill("+12105550100")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"number=%2B12105550100&action=redirect&range=6h"))
    page.get_by_role("button", name="Clear").click()
    expect(page).to_have_url(re.compile(r"/calls\?dataset=enum&range=1h$"))
    expect(page.get_by_label("Number")).to_have_value("")


def test_a_call_opens_with_its_fields_and_the_explanation(visit: Visit, place_call: PlaceCall) -> None:
    page = open_calls(visit, f"?destination=%2B{PREMIUM}")
    place_call(PREMIUM, source=12105550177, action=Action.TERMINATE, reason=Reason.RULE, rule_id=1)
    # Rows move down as it comes: only then is what is clicked what one sees.
    newest = page.locator(".ag-row[row-index='0']")
    expect(newest).to_contain_text("+12105550177")
    newest.click()
    drawer = page.get_by_role("complementary", name="Call")
    expect(drawer.locator(".pill").first).to_have_text("Terminate")
    expect(drawer.locator(".facts").first).to_contain_text("192.0.2.20:40000")
    expect(drawer.locator("li.decides")).to_contain_text("premium")
    expect(drawer.locator("li.not_reached")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    # And from the keyboard.
    page.locator(".ag-row .ag-cell").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".drawer.open .verdicts li").first).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_text_of_a_caller_is_text(visit: Visit, console: Console, place_call: PlaceCall, width: int) -> None:
    with console.database.connection() as connection:
        add_call(connection, datetime.now(UTC) - timedelta(seconds=1), source=0, source_raw=HOSTILE,
                 source_class=NumberClass.INVALID, peer="<b>peer</b>")  # fmt: skip
    page = open_calls(visit, "?range=15m", width)
    row = page.locator(".ag-row", has_text="<script>").first
    expect(row).to_be_visible()
    row.click()
    expect(page.locator(".drawer .flow")).to_contain_text(HOSTILE)
    expect(page.locator(".drawer .verdicts li").first).to_be_visible()
    assert page.locator("#content script, .drawer img, .drawer dd b").count() == 0
    assert page.evaluate("window.pwned") is None
    page.get_by_role("link", name="of this source").click()
    expect(page.locator(".ag-row", has_text="<script>").first).to_be_visible()
    assert page.evaluate("window.pwned") is None


def test_older_calls_are_fetched_below_and_taken_away_as_a_file_before_they_are(visit: Visit) -> None:
    page = open_calls(visit, "?range=24h&live=0")
    expect(page.locator(".ag-root")).to_have_attribute("aria-rowcount", "201")
    page.get_by_text("Export").click()
    with page.expect_download() as started:
        page.get_by_role("button", name="CSV").click()
    assert started.value.suggested_filename == "calls.csv"
    assert len(started.value.path().read_text(encoding="utf-8").splitlines()) > 402
    page.get_by_role("button", name="Older calls").click()
    expect(page.locator(".ag-root")).to_have_attribute("aria-rowcount", "401")
    page.get_by_label("Number").fill("+1900*")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("number=%2B1900%2A"))
    page.get_by_text("Export").click()
    with page.expect_download() as started:
        page.get_by_role("button", name="Parquet").click()
    table = pq.read_table(started.value.path())
    assert table.num_rows > 0
    assert all("+1900" in f"{row['source']} {row['destination']}" for row in table.to_pylist())


def test_a_bad_time_is_named_not_shown_as_empty(visit: Visit) -> None:
    page = visit().enter().open("/calls?start=yesterday&end=today")
    expect(page.get_by_role("alert")).to_contain_text("start: 'yesterday' is not a time")
