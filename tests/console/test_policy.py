"""Writing the policy in a browser: rules added, ordered, switched, checked while one types; conflicts lose nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.console.conftest import Console, Visit
from tests.console.seed import HOSTILE

from ringfence.policy import drafts, edits
from ringfence.policy.drafts import By


@pytest.fixture
def desk(workshop: Console) -> Iterator[Console]:
    """The workshop with nothing in the draft."""
    reset(workshop)
    yield workshop
    reset(workshop)


def reset(workshop: Console) -> None:
    with workshop.database.connection() as connection:
        drafts.discard(connection, by("ada"))


def by(actor: str, seen: int | None = None) -> By:
    return By(actor, datetime.now(UTC), seen)


def put(workshop: Console, name: str, actor: str = "ada", **body: Any) -> None:
    with workshop.database.connection() as connection:
        drafts.apply_edit(connection, edits.put("rule", name, {"action": "terminate"} | body), by(actor))


def draft_rules(workshop: Console) -> list[dict[str, Any]]:
    with workshop.database.connection() as connection:
        return list(drafts.read_draft(connection).policy.as_source().get("rules", []))


def open_rules(visit: Visit, at: Console, name: str = "ada", query: str = "", **window: Any) -> Page:
    page = visit(at=at, **window).enter(name).open(f"/policy{query}")
    expect(page.locator("[data-state=content]").first).to_be_visible()
    return page


def row(page: Page, name: str) -> Locator:
    return page.locator(f"tr[data-name='{name}']")


def names(page: Page) -> list[str]:
    found = page.locator("tr[data-name]").evaluate_all("rows => rows.map(row => row.dataset.name)")
    return [str(name) for name in found]


def test_a_rule_is_written_checked_while_typing_and_lands_in_the_draft(visit: Visit, desk: Console) -> None:
    page = open_rules(visit, desk, "eve")
    expect(page.get_by_role("region", name="Draft")).to_contain_text("The draft is version 1")
    page.get_by_role("button", name="Add rule").click()
    drawer = page.get_by_role("complementary", name="Rule")
    drawer.get_by_label("Name").fill("satellite")
    drawer.get_by_label("Destinations").fill("+88x")
    expect(drawer.locator(".finding.error")).to_contain_text("+88x")
    drawer.get_by_label("Destinations").fill("+881*\n+882*")
    expect(drawer.locator(".finding.error")).to_have_count(0)
    drawer.get_by_role("button", name="Add to the draft").click()
    expect(row(page, "satellite")).to_contain_text("+881*")
    expect(row(page, "satellite").get_by_label("Mode of satellite")).to_have_value("monitor")
    expect(page.get_by_role("region", name="Draft")).to_contain_text("1 change since version 1, last by eve")
    page.get_by_role("button", name="Review").click()
    expect(page.locator(".changes")).to_contain_text("rule 'satellite' added at place 2, last: monitor: terminate")
    assert draft_rules(desk)[1] == {"name": "satellite", "mode": "monitor", "destinations": ["+881*", "+882*"],
                                    "action": "terminate"}  # fmt: skip


def test_a_fault_is_named_at_once_and_nothing_typed_is_lost(visit: Visit, desk: Console) -> None:
    page = open_rules(visit, desk)
    page.get_by_role("button", name="Add rule").click()
    drawer = page.get_by_role("complementary", name="Rule")
    drawer.get_by_label("Name").fill("premium")
    expect(drawer.locator(".finding.error")).to_contain_text("taken by another rule")
    drawer.get_by_label("Name").fill("night")
    drawer.get_by_label("Action").select_option("redirect")
    drawer.get_by_role("button", name="Add to the draft").click()
    expect(drawer.locator(".finding.error")).to_contain_text("target")
    expect(drawer.get_by_label("Name")).to_have_value("night")
    drawer.get_by_label("Redirect to").fill("+12105550199")
    drawer.get_by_label("Destinations").fill("+1900*")
    drawer.get_by_role("button", name="Add to the draft").click()
    expect(row(page, "night")).to_contain_text("to +12105550199")
    # A warning stands beside its rule in the table too: the rule before it decides all its calls.
    expect(row(page, "night").locator(".finding.warning").first).to_contain_text("premium")


def test_rules_are_ordered_by_keys_and_by_drag(visit: Visit, desk: Console) -> None:
    put(desk, "second", destinations=["+1902*"])
    put(desk, "third", destinations=["+1903*"])
    page = open_rules(visit, desk)
    expect(page.locator("tr[data-name]")).to_have_count(3)
    row(page, "third").locator("[data-handle]").focus()
    page.keyboard.press("ArrowUp")
    expect(page.locator("tr[data-name]").nth(1)).to_have_attribute("data-name", "third")
    expect(row(page, "third").locator("[data-handle]")).to_be_focused()
    row(page, "second").locator("[data-handle]").drag_to(row(page, "premium"), target_position={"x": 60, "y": 4})
    expect(page.locator("tr[data-name]").first).to_have_attribute("data-name", "second")
    assert names(page) == ["second", "premium", "third"] == [rule["name"] for rule in draft_rules(desk)]


def test_a_rule_is_switched_copied_and_deleted_in_its_row(visit: Visit, desk: Console) -> None:
    page = open_rules(visit, desk)
    page.get_by_label("Mode of premium").select_option("off")
    expect(row(page, "premium")).to_have_class(re.compile("mode-off"))
    page.get_by_role("button", name="Copy premium").click()
    expect(row(page, "premium copy")).to_be_visible()
    page.get_by_role("button", name="Delete premium copy").click()
    page.locator(".dialog").get_by_role("button", name="Delete").click()
    expect(row(page, "premium copy")).to_have_count(0)
    assert [(rule["name"], rule.get("mode")) for rule in draft_rules(desk)] == [("premium", "off")]
    page.get_by_role("button", name="Discard").click()
    page.locator(".dialog").get_by_role("button", name="Discard").click()
    expect(page.get_by_role("region", name="Draft")).to_contain_text("Nothing waits to be committed")


def test_two_operators_at_one_rule_the_second_is_told_and_loses_nothing(visit: Visit, desk: Console) -> None:
    first = open_rules(visit, desk, "ada")
    second = open_rules(visit, desk, "eve", dark=True)
    for page in (first, second):
        row(page, "premium").get_by_role("button", name="premium", exact=True).click()
    first.get_by_role("complementary", name="Rule").get_by_label("Note").fill("by ada")
    first.get_by_role("button", name="Save to the draft").click()
    expect(row(first, "premium")).to_contain_text("by ada")
    expect(row(second, "premium")).to_contain_text("by ada")  # it comes by itself, behind the open drawer
    drawer = second.get_by_role("complementary", name="Rule")
    drawer.get_by_label("Note").fill("by eve")
    drawer.get_by_role("button", name="Save to the draft").click()
    expect(drawer.get_by_role("alert")).to_contain_text("What you typed is still here")
    expect(drawer.get_by_role("alert")).to_contain_text("ada")
    expect(drawer.get_by_label("Note")).to_have_value("by eve")
    assert draft_rules(desk)[0]["note"] == "by ada"
    drawer.get_by_role("button", name="Save mine over it").click()
    expect(row(first, "premium")).to_contain_text("by eve")


def test_edits_of_different_rules_do_not_disturb_each_other(visit: Visit, desk: Console) -> None:
    put(desk, "other", destinations=["+1902*"])
    page = open_rules(visit, desk, "eve")
    row(page, "other").get_by_role("button", name="other", exact=True).click()
    page.get_by_role("complementary", name="Rule").get_by_label("Note").fill("mine")
    put(desk, "premium", note="theirs", destinations=["+1900*"])
    expect(row(page, "premium")).to_contain_text("theirs")
    page.get_by_role("button", name="Save to the draft").click()
    expect(row(page, "other")).to_contain_text("mine")
    assert [rule["note"] for rule in draft_rules(desk)] == ["theirs", "mine"]


def test_a_viewer_sees_everything_and_changes_nothing(visit: Visit, desk: Console) -> None:
    put(desk, "new", destinations=["+1902*"])
    page = open_rules(visit, desk, "vera")
    expect(row(page, "new")).to_contain_text("added")
    expect(page.get_by_role("button", name="Review")).to_be_visible()
    for name in ("Add rule", "Commit…", "Discard", "Install…", "Roll back", "Delete new"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    expect(page.locator("[data-handle], select.mode")).to_have_count(0)


def test_hostile_text_in_a_rule_is_text(visit: Visit, desk: Console) -> None:
    put(desk, "premium", note=HOSTILE, destinations=["+1900*"])
    page = open_rules(visit, desk, width=390)
    expect(row(page, "premium")).to_contain_text(HOSTILE)
    page.get_by_role("button", name="Review").click()
    expect(page.locator(".changes")).to_contain_text("<script>")
    assert page.evaluate("window.pwned") is None
