"""Lists in a browser: made, filled, imported with every bad line named, searched; a caller put on one from the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.console.conftest import Console, Visit
from tests.console.seed import HOSTILE, PREMIUM

from ringfence.policy import drafts
from ringfence.policy.drafts import By
from ringfence.policy.lists import acting, any_kind
from ringfence.policy.lists.entries import EntryFilter

NAME = "callers"


@pytest.fixture
def kept(console: Console) -> Iterator[Console]:
    """The network with an empty list, which goes afterwards."""
    now = datetime.now(UTC)
    with console.database.connection() as connection:
        acting.create_and_declare(connection, NAME, "static", "ada", now, note=HOSTILE)
    yield console
    with console.database.connection() as connection:
        acting.delete_and_withdraw(connection, NAME, "ada", datetime.now(UTC))
        drafts.discard(connection, By("ada", datetime.now(UTC)))


def entries(console: Console) -> dict[str, str]:
    with console.database.connection() as connection:
        page = any_kind.page_of(connection, NAME, EntryFilter(), datetime.now(UTC))
    return {entry["pattern"]: entry["note"] for entry in page["entries"]}


def upload(page: Page, file: Path) -> None:
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Import", exact=True).click()


def test_a_list_is_found_filled_and_searched(visit: Visit, kept: Console) -> None:
    page = visit().enter("eve").open("/policy/lists")
    expect(page.locator("tr", has_text=NAME)).to_contain_text("<script>")
    page.get_by_role("link", name=NAME, exact=True).click()
    page.get_by_role("button", name="Add entry").click()
    page.get_by_label("Number, prefix, range or wildcard").fill("+1312555")
    page.get_by_label("Until").fill("tomorrow")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("until: 'tomorrow' is not a time")
    page.get_by_label("Until").fill("")
    page.get_by_label("Number, prefix, range or wildcard").fill("+1312555*")
    page.get_by_label("Note").fill("robots")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("tbody tr")).to_contain_text("robots")
    assert entries(kept) == {"+1312555*": "robots"}
    page.get_by_label("Entry").select_option("number")
    page.get_by_role("textbox", name="Search").fill("+13125550000")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_contain_text("+1312555*")
    page.get_by_role("textbox", name="Search").fill("+13135550000")
    page.keyboard.press("Enter")
    expect(page.locator("[data-state=empty]")).to_contain_text("No entry covers the number “+13135550000”")
    assert page.evaluate("window.pwned") is None


def test_an_import_with_bad_lines_names_them_and_changes_nothing(visit: Visit, kept: Console, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    bad.write_text("pattern,note\n+12105550100,one\n+1210x,two\n<b>3</b>,three\n", encoding="utf-8")
    good.write_text("pattern,note\n+12105550100,one\n+12105550101,two\n", encoding="utf-8")
    page = visit().enter().open(f"/policy/lists?list={NAME}")
    page.get_by_role("button", name="Import…").click()
    upload(page, bad)
    expect(page.get_by_text("2 lines are wrong:")).to_be_visible()
    expect(page.locator(".dialog tr").first).to_contain_text("line 3")
    expect(page.locator(".dialog tr").last).to_contain_text("<b>3</b>")
    assert entries(kept) == {}
    page.get_by_role("button", name="Another file").click()
    upload(page, good)
    expect(page.locator(".dialog .facts")).to_contain_text("Added")
    page.get_by_role("button", name="Done").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    assert entries(kept) == {"+12105550100": "one", "+12105550101": "two"}


def test_a_number_of_a_call_goes_on_a_list_from_its_row(visit: Visit, kept: Console) -> None:
    page = visit().enter("eve").open(f"/calls?destination=%2B{PREMIUM}&range=24h&live=0")
    page.get_by_role("button", name="Put on a list").first.click()
    page.locator(".dialog").get_by_role("combobox", name="Number").select_option("destination")
    page.get_by_label("List", exact=True).select_option(NAME)
    page.get_by_label("Note").fill("from the log")
    page.get_by_role("button", name="Put on the list").click()
    expect(page.get_by_text(f"+{PREMIUM} is on {NAME}")).to_be_visible()
    assert entries(kept) == {f"+{PREMIUM}": "from the log"}


def test_a_viewer_reads_lists_and_cannot_change_them(visit: Visit, kept: Console) -> None:
    page = visit().enter("vera").open(f"/policy/lists?list={NAME}")
    expect(page.locator("[data-state=empty]")).to_be_visible()
    for name in ("Add entry", "Import…", "Delete"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.goto(page.url.split("/policy")[0] + "/calls?range=24h&live=0")
    expect(page.get_by_role("link", name="Explain this call").first).to_be_visible()
    expect(page.get_by_role("button", name="Put on a list")).to_have_count(0)


def test_the_audit_trail_is_searched_by_administrators_only(visit: Visit, kept: Console) -> None:
    page = visit().enter().open(f"/audit?text={NAME}")
    expect(page.locator("tbody tr", has_text="list.create").first).to_contain_text("ada")
    page.get_by_label("What").fill("nothing.such")
    page.keyboard.press("Enter")
    expect(page.locator("[data-state=empty]")).to_contain_text("No entry of this time passes the filters")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename == "audit.csv"
    page = visit(dark=True).enter("vera").open("/")
    expect(page.get_by_role("link", name="Overview")).to_be_visible()
    expect(page.get_by_role("link", name="Audit")).to_have_count(0)
