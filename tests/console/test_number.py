"""The dial-plan tester: each site's reading of a number, also of a stranger's text."""

from __future__ import annotations

from playwright.sync_api import expect
from tests.console.conftest import Visit
from tests.console.seed import HOSTILE


def test_a_number_is_read_by_each_site(visit: Visit) -> None:
    page = visit().enter().open("/number")
    expect(page.locator("[data-state=empty]")).to_contain_text("No number yet")
    # Other tests may have added sites: what the first one reads.
    site = page.locator(".card.stack", has=page.get_by_role("heading", name="Site main", exact=True))
    page.get_by_role("textbox", name="Number").fill("0114420 79460000")
    page.get_by_role("button", name="Read it").click()
    expect(site.locator(".flow")).to_have_text("+442079460000")
    expect(site).to_contain_text("Behind the international prefix 011")
    expect(site.locator(".facts")).to_contain_text("international")
    page.reload()
    expect(site.locator(".flow")).to_have_text("+442079460000")
    page.get_by_role("textbox", name="Number").fill("2105550123")
    page.keyboard.press("Enter")
    expect(site.locator(".pill.green")).to_have_text("own number")
    page.get_by_role("textbox", name="Number").fill(HOSTILE)
    page.keyboard.press("Enter")
    expect(site.locator(".facts")).to_contain_text("invalid")
    assert page.evaluate("window.pwned") is None
