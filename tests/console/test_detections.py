"""Detections in a browser: modes, a definition's page, its editor, deployment, release, all-stop; who may (R7, E4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.console.conftest import Console, Visit, keep_picture
from tests.console.seed_detections import ATTACKED, LIST, seed_detections, seed_flood

from ringfence.detection import episodes, store
from ringfence.policy import dynamic

FLOOD = 130
OWN = """\
name: night-calls
title: Night calls
dataset: enum
key: source
measure: count
window_s: 60
threshold: {value: 5}
"""


@pytest.fixture(scope="module")
def detections(workshop: Console) -> Console:
    now = datetime.now(UTC)
    with workshop.database.connection() as connection:
        seed_detections(connection, now)
        seed_flood(connection, now - timedelta(hours=5), FLOOD)
    return workshop


def look(page: Page, screenshots: Path, name: str) -> None:
    """Wide and light, narrow and dark; nothing sticks out sideways."""
    for theme, width, height in (("light", 1280, 860), ("dark", 390, 844)):
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": height})
        keep_picture(page, screenshots / f"{name}-{width}-{theme}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 860})


def row_of(page: Page, name: str) -> str:
    return page.locator(f"tr[data-detection='{name}']").inner_text()


def test_modes_last_firings_and_contained_numbers_are_seen_and_released(
    visit: Visit, detections: Console, screenshots: Path
) -> None:
    page = visit(at=detections).enter().open("/detections")
    flood = page.locator("tr[data-detection='tdos-number']")
    expect(flood).to_contain_text("contains")
    expect(flood).to_contain_text("min ago")
    expect(page.locator("tr[data-detection='harassing-caller']")).to_contain_text("reports")
    expect(page.locator("tr[data-detection='wangiri']")).to_contain_text("off")
    assert row_of(page, "harassing-caller").rstrip().endswith("2")
    expect(page.locator(f"tr[data-pattern='{ATTACKED}']")).to_contain_text(LIST)
    look(page, screenshots, "detections")

    page.get_by_label("Mode").select_option("Contain")
    expect(page.locator("tr[data-detection]")).to_have_count(1)
    assert "mode=contain" in page.url

    page.get_by_role("button", name=f"Release {ATTACKED}").click()
    expect(page.get_by_text("Nothing is contained")).to_be_visible()
    with detections.database.connection() as connection:
        assert dynamic.acting_entries(connection, LIST, datetime.now(UTC)) == []
        assert episodes.acting_listings(connection, datetime.now(UTC)) == []


def test_all_stop_is_seen_on_every_page_and_let_go_again(visit: Visit, detections: Console, screenshots: Path) -> None:
    page = visit(at=detections).enter("eve").open("/detections")
    page.get_by_role("button", name="All stop…").click()
    page.get_by_label("Why").fill("a hospital is listed")
    page.get_by_label("Also release every number that is contained").check()
    page.get_by_role("button", name="Stop all", exact=True).click()
    bar = page.get_by_test_id("all-stop")
    expect(bar).to_contain_text("All containment is stopped")
    expect(bar).to_contain_text("by eve: a hospital is listed")
    look(page, screenshots, "detections-stopped")
    with detections.database.connection() as connection:
        assert store.read_all_stop(connection).is_stopped
        assert episodes.acting_listings(connection, datetime.now(UTC)) == []
    page.goto(detections.url + "/detections?detection=tdos-number")
    expect(page.get_by_test_id("all-stop")).to_be_visible()
    page.get_by_role("button", name="Let it go on…").click()
    page.get_by_role("button", name="Go on", exact=True).click()
    expect(page.get_by_test_id("all-stop")).to_have_count(0)


def test_a_detections_page_says_what_it_does_and_deploys_it(
    visit: Visit, detections: Console, screenshots: Path
) -> None:
    page = visit(at=detections).enter("eve").open("/detections?detection=tdos-number")
    expect(page.get_by_role("heading", name="Telephony denial of service against one number")).to_be_visible()
    facts = page.locator("dl.facts")
    expect(facts).to_contain_text("How many there are, for each called number, in any 10 s")
    expect(facts).to_contain_text("at 100 or more, and 5 times what is usual at that hour of the week")
    expect(facts).to_contain_text("the called number on list under-attack for 10 minutes")
    expect(facts).to_contain_text("https://ic3.gov/PSA/2021/PSA210217")
    found = page.locator("table.rows tbody tr").filter(has_text=ATTACKED)
    expect(found).to_contain_text("412")
    expect(found).to_contain_text("1 listed")
    look(page, screenshots, "detection")

    state = page.get_by_test_id("state")
    expect(state).to_contain_text("Contain")
    page.goto(detections.url + "/detections?detection=do-not-originate")
    expect(page.get_by_text("It cannot be deployed yet")).to_be_visible()
    page.get_by_role("button", name="Deploy: report only").click()
    expect(page.get_by_text("cannot be deployed: not complete")).to_be_visible()
    page.goto(detections.url + "/detections?detection=tdos-number")
    page.get_by_role("button", name="Deploy: report only").click()
    expect(state).to_contain_text("Report only")
    page.get_by_role("button", name="Deploy: contain").click()
    expect(page.get_by_text("Emergency numbers are never listed")).to_be_visible()
    page.locator(".dialog").get_by_role("button", name="Deploy: contain").click()
    expect(state).to_contain_text("Contain")
    page.get_by_role("button", name="Withdraw…").click()
    page.get_by_role("button", name="Withdraw", exact=True).click()
    expect(state).to_contain_text("Off")


def test_a_back_test_shows_what_would_have_been_found(visit: Visit, detections: Console, screenshots: Path) -> None:
    page = visit(at=detections).enter().open("/detections?detection=tdos-number")
    build = page.get_by_role("region", name="Build")
    build.get_by_label("Past").select_option("1 day")
    build.get_by_role("button", name="Build", exact=True).click()
    expect(build.get_by_test_id("back-test-calls")).to_have_text(str(FLOOD))
    expect(build.get_by_test_id("back-test-firings")).to_have_text("1")
    expect(build.locator(".chart svg")).to_be_visible()
    expect(build.locator("tbody tr")).to_contain_text(ATTACKED)
    look(page, screenshots, "detection-back-test")
    assert "days=1" in page.url
    assert "job=" in page.url
    page.reload()
    expect(build.get_by_test_id("back-test-firings")).to_have_text("1")


def test_a_definition_is_checked_while_it_is_written(visit: Visit, detections: Console, screenshots: Path) -> None:
    page = visit(at=detections).enter("eve").open("/detections")
    page.get_by_role("button", name="New detection…").click()
    area = page.get_by_label("Definition")
    area.fill(OWN.replace("key: source", "key: moon"))
    expect(page.locator(".findings")).to_contain_text("key")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="key")).to_be_visible()
    keep_picture(page, screenshots / "detection-editor-1280-light.png")
    area.fill(OWN)
    expect(page.locator(".findings")).to_contain_text("The definition is valid.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Night calls")).to_be_visible()
    expect(page.get_by_test_id("state")).to_contain_text("Off")
    page.get_by_role("button", name="Edit…").click()
    page.get_by_label("Definition").fill(OWN.replace("night-calls", "day-calls"))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="must stay 'night-calls'")).to_be_visible()
    page.get_by_label("Definition").fill(OWN.replace("value: 5", "value: 6"))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("night-calls: saved as version 2.")).to_be_visible()


def test_who_may_only_look_is_offered_nothing_to_change(visit: Visit, detections: Console) -> None:
    page = visit(at=detections).enter("vera").open("/detections?detection=tdos-number")
    expect(page.locator("dl.facts")).to_be_visible()
    assert page.get_by_role("button", name="Edit…").count() == 0
    assert page.get_by_role("button", name="Deploy").count() == 0
    page.goto(detections.url + "/detections")
    expect(page.locator("tr[data-detection]").first).to_be_visible()
    assert page.get_by_role("button", name="All stop…").count() == 0
