"""Proof of enforcement on its page: the verdicts, the calls of each, and one call with its decisions and legs."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect
from tests.console.conftest import Visit


def open_proof(visit: Visit, query: str = "", width: int = 1280) -> Page:
    page = visit(width).enter().open(f"/enforcement{query}")
    expect(page.locator("[data-state=content]").first).to_be_visible()
    return page


def test_the_verdicts_are_counted_and_lead_to_their_calls(visit: Visit) -> None:
    page = open_proof(visit, "?range=24h")
    tile = page.get_by_role("button", name=re.compile("^Ignored"))
    count = int(tile.locator(".value span").inner_text().replace(",", ""))
    assert count > 0
    tile.click()
    expect(page).to_have_url(re.compile(r"verdict=ignored&range=24h"))
    expect(page.locator(".ag-root")).to_have_attribute("aria-rowcount", str(count + 1))
    expect(page.locator(".ag-cell .pill").first).to_have_text("Ignored")
    page.get_by_role("button", name=re.compile("^Ignored")).click()
    expect(page).to_have_url(re.compile(r"/enforcement\?range=24h$"))
    page.locator(".chart svg path[fill='#d98a3a']").first.click()
    expect(page).to_have_url(re.compile(r"/enforcement\?verdict=unasked&start=.*&end="))
    expect(page.locator(".ag-cell .pill").first).to_have_text("Not asked")


def test_a_call_opens_with_the_decision_that_it_ignored(visit: Visit) -> None:
    page = open_proof(visit, "?range=24h&verdict=ignored")
    page.locator(".ag-row", has_text="premium").first.click()
    drawer = page.get_by_role("complementary", name="Call")
    expect(drawer.locator(".proof .pill.ignored").first).to_be_visible()
    expect(drawer.locator(".proof")).to_contain_text("premium")
    drawer.get_by_role("link", name="The query").first.click()
    expect(page).to_have_url(re.compile(r"/call\?id=enum-"))
    expect(page.locator(".verdicts li.decides")).to_contain_text("premium")
    page.get_by_role("link", name="The leg").first.click()
    expect(page).to_have_url(re.compile(r"/call\?id=sip-"))
    expect(page.locator(".proof .pill.ignored")).to_be_visible()
    expect(page.locator(".verdicts li.decides")).to_contain_text("premium")


def test_a_server_that_is_behind_is_named(visit: Visit) -> None:
    page = open_proof(visit)
    expect(page.get_by_role("note")).to_contain_text("enum-2 was last heard from at")


def test_no_call_and_a_bad_question_are_said_as_such(visit: Visit) -> None:
    page = open_proof(visit, "?number=%2B33140009999")
    expect(page.get_by_text("No call in this time")).to_be_visible()
    page = visit().enter().open("/enforcement?verdict=good")
    expect(page.get_by_role("alert")).to_contain_text("verdict: 'good' is not one of")
