"""The Analytics page: its four fields, its state in the address, and the calls behind every figure (R13)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from playwright.sync_api import Page, expect
from tests.console.conftest import Console, Visit
from tests.console.seed import HOSTILE, add_call

from ringfence.vocabulary import NumberClass


def open_analytics(visit: Visit, query: str = "", **window: Any) -> Page:
    visitor = visit(**window).enter()
    page = visitor.open(f"/analytics{query}")
    expect(page.locator(".toolbar select").first).to_be_visible()
    return page


def test_fields_change_the_rows_and_the_address_which_can_be_shared(visit: Visit) -> None:
    page = open_analytics(visit)
    bar = page.get_by_role("search", name="What to show")
    assert bar.locator(".field-label").all_inner_texts()[:5] == ["Dataset", "View", "Grouping", "Device", "Time"]
    assert bar.get_by_label("Dataset").locator("option").all_inner_texts() == ["ENUM", "SIP"]
    views = bar.get_by_label("View").locator("option").all_inner_texts()
    assert {"Average CPS", "Top 10 Source", "Top 10 Destination", "Rules hit"} <= set(views)
    assert "ASR" not in views
    groupings = bar.get_by_label("Grouping").locator("option").all_inner_texts()
    assert groupings[:5] == ["Second", "Minute", "15 minutes", "Hour", "Day"]
    expect(bar.get_by_label("Device").locator("option")).to_have_text(["All", "enum-1", "enum-2", "enum-3", "probe-1"])

    page.get_by_label("View").select_option("Top 10 Destination")
    expect(page.get_by_role("columnheader", name="Destination")).to_be_visible()
    # A chart may be replaced before it is drawn: as fast as the keyboard goes, and no error (see `visit`).
    for _ in range(4):
        for title in ("Top 10 Source", "Calls", "Average CPS", "Top 10 Destination"):
            page.get_by_label("View").select_option(title)
    expect(page.get_by_role("heading", name="Top 10 Destination by")).to_be_visible()
    expect(page.locator(".chart svg path[fill^='#']").first).to_be_visible()

    page.get_by_label("Grouping").select_option("Day")
    page.get_by_label("Device").select_option("enum-1")
    expect(page).to_have_url(re.compile(r"view=top_destination&grouping=day&device=enum-1&range=24h$"))
    expect(page.get_by_role("heading", name="Top 10 Destination by day")).to_be_visible()
    page.reload()
    expect(page.get_by_label("View")).to_have_value("top_destination")
    expect(page.get_by_label("Device")).to_have_value("enum-1")
    expect(page.get_by_role("link", name="+19005550100").first).to_be_visible()


def test_a_number_leads_to_exactly_the_calls_that_it_counts(visit: Visit) -> None:
    # A tall window: only rows in sight exist.
    page = open_analytics(visit, "?view=top_destination&grouping=hour&range=6h", height=3000)
    row = page.locator(".ag-row", has_text="+19005550100").last  # the ten of an hour just begun may be others
    figure = row.locator("[col-id=calls] a")
    expect(figure).to_have_text(re.compile(r"^\d+$"))
    count = int(figure.inner_text())
    row.get_by_role("link", name="+19005550100").click()
    expect(page).to_have_url(re.compile(r"/calls\?dataset=enum&start=.*&destination=%2B19005550100"))
    expect(page.locator(".ag-root")).to_have_attribute("aria-rowcount", str(count + 1))


def test_a_bar_leads_to_the_calls_behind_it(visit: Visit) -> None:
    page = open_analytics(visit, "?view=calls&grouping=hour&range=6h")
    # Where the mouse is, a shadow over the hour lies on the bar: the chart itself tells what was meant.
    bars = page.locator(".chart svg path[fill='#d9534f']")
    bars.first.wait_for(state="attached")
    highest = bars.evaluate_all(
        "bars => bars.map(bar => bar.getBBox().height).reduce((best, h, i, all) => h > all[best] ? i : best, 0)"
    )
    bars.nth(highest).click(force=True)
    expect(page).to_have_url(re.compile(r"/calls\?.*action=terminate"))
    expect(page.locator(".ag-cell .pill").first).to_have_text("Terminate")


def test_hostile_text_is_shown_as_text_in_chart_tooltip_and_table(visit: Visit, console: Console) -> None:
    with console.database.connection() as connection:
        for _ in range(40):  # more than any other source of these minutes
            add_call(connection, datetime.now(UTC), source=0, source_raw=HOSTILE, source_class=NumberClass.INVALID)
    page = open_analytics(visit, "?view=top_source&grouping=day&range=15m")
    expect(page.locator(".ag-row[row-index='0'] a").first).to_have_text(HOSTILE)
    expect(page.locator(".chart svg text", has_text="<script>")).to_have_count(1)
    page.locator(".chart svg path[fill='#1c9a8c']").first.hover()
    expect(page.locator(".chart-tip")).to_contain_text("<script>window.pwned")
    assert page.locator("#content img").count() == 0
    assert page.evaluate("window.pwned") is None


def test_no_call_is_said_as_such(visit: Visit) -> None:
    page = open_analytics(visit, "?device=enum-3")
    expect(page.locator("[data-state=empty]")).to_contain_text("No query from device enum-3")
    page.get_by_label("Dataset").select_option("SIP")
    expect(page.locator("[data-state=empty]")).to_contain_text("probe")


def test_too_fine_a_grouping_offers_a_coarser_one(visit: Visit) -> None:
    page = open_analytics(visit, "?grouping=minute&range=30d")
    expect(page.locator("[data-state=failed]")).to_contain_text("43,200 minutes")
    page.get_by_role("button", name="Group by 15 minutes").click()
    expect(page.locator(".chart svg")).to_be_visible()


def test_an_unknown_parameter_is_named(visit: Visit) -> None:
    visitor = visit().enter()
    page = visitor.open("/analytics?grouping=fortnight")
    expect(page.get_by_role("alert")).to_contain_text("grouping: no such grouping 'fortnight'")
    page.get_by_role("button", name="Start afresh").click()
    expect(page.locator(".chart svg")).to_be_visible()


def test_hours_are_those_of_the_viewer_with_utc_on_hover(visit: Visit) -> None:
    visitor = visit(zone="Asia/Kolkata").enter()
    page = visitor.open("/analytics?grouping=hour&range=6h")
    cell = page.locator(".ag-row").nth(1).locator("[col-id=time] span").last
    expect(cell).to_have_text(re.compile(r"\d\d:00$"))  # Kolkata's hours, half past in UTC
    assert re.search(r":30:00\.000 UTC \(shown in Asia/(Kolkata|Calcutta)\)", cell.get_attribute("title") or "")


def test_every_view_of_a_dataset_shows_its_figures(visit: Visit) -> None:
    page = open_analytics(visit, "?dataset=sip&range=24h")
    choice = page.get_by_role("search").get_by_label("View")
    titles = choice.locator("option").all_inner_texts()
    assert {"ASR", "PDD", "MOS and loss", "Top 10 Pairs"} <= set(titles)
    for title in titles:
        choice.select_option(title)
        expect(page.locator("[data-state=content]")).to_be_visible()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        expect(page.locator(".ag-row").first).to_be_visible()


def test_filters_narrow_the_view_and_stand_in_the_address(visit: Visit) -> None:
    page = open_analytics(visit, "?view=calls&grouping=period&range=24h")
    page.get_by_text("Filters", exact=True).click()
    # What is typed next stays while a filter acts.
    page.get_by_label("Source", exact=True).fill("+1312*")
    page.keyboard.press("Tab")
    page.keyboard.type("+1900")
    expect(page.get_by_text("Filters (1)")).to_be_visible()
    page.keyboard.type("*")
    expect(page.locator("input:focus")).to_have_value("+1900*")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Filters (2)")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_label("Destination")).to_have_value("")
    expect(page.get_by_role("button", name="Clear")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("destination"))

    page.get_by_label("Destination").fill("+1900*")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"destination=%2B1900%2A"))
    expect(page.locator(".ag-row [col-id=terminate] a, .ag-row .ag-cell[col-id=terminate] a").first).to_be_visible()
    expect(page.locator(".ag-row .ag-cell[col-id=allow]").first).to_have_text("0")
    expect(page.get_by_text("Filters (1)")).to_be_visible()
    page.locator(".ag-row .ag-cell[col-id=terminate] a").first.click()
    expect(page).to_have_url(re.compile(r"/calls\?.*destination=%2B1900%2A.*action=terminate"))
    expect(page.locator(".ag-cell .pill").first).to_have_text("Terminate")


def test_a_time_is_compared_with_an_earlier_one(visit: Visit) -> None:
    page = open_analytics(visit, "?view=average_cps&grouping=hour&range=6h")
    page.get_by_label("Compare with").select_option("The time before")
    expect(page).to_have_url(re.compile("compare=previous"))
    expect(page.locator(".ag-header-cell[col-id=change]")).to_be_visible()
    expect(page.locator(".card-head")).to_contain_text("before")


def test_the_rows_are_taken_away_as_a_file(visit: Visit) -> None:
    page = open_analytics(visit, "?view=top_destination&grouping=period&range=24h")
    rows = int(page.locator(".ag-root").get_attribute("aria-rowcount") or "0")
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    text = started.value.path().read_text(encoding="utf-8")
    assert started.value.suggested_filename == "enum-top_destination.csv"
    assert len(text.splitlines()) == rows


def test_a_view_is_saved_shared_opened_by_another_and_deleted(visit: Visit) -> None:
    page = open_analytics(visit, "?view=top_destination&grouping=period&range=6h&number=%2B1900%2A")
    expect(page.locator("[data-state=content]")).to_be_visible()
    page.get_by_text("Saved views").click()
    page.get_by_role("button", name="Save this view…").click()
    page.get_by_label("Name").fill("Premium, last hours")
    page.get_by_label("Share it with everybody").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".menu.saved a", has_text="Premium, last hours")).to_be_attached()
    other = visit().enter("vera").open("/analytics")
    other.get_by_text("Saved views").click()
    expect(other.locator(".menu.saved")).to_contain_text("of ada")
    other.get_by_role("link", name="Premium, last hours").click()
    expect(other).to_have_url(re.compile(r"view=top_destination"))
    assert "number=%2B1900%2A" in other.url
    expect(other.locator(".ag-row").first).to_be_visible()
    page = visit().enter().open("/analytics")
    page.get_by_text("Saved views").click()
    page.get_by_role("button", name="Delete Premium, last hours").click()
    expect(page.locator(".menu.saved a", has_text="Premium, last hours")).to_have_count(0)
