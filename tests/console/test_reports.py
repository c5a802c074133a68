"""Reports in the menu of saved views: set, sent by hand, removed; only who may sees them (R13)."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect
from tests.console.conftest import Visit, keep_picture


def open_menu(visit: Visit, name: str, query: str = "") -> Page:
    page = visit().enter(name).open(f"/analytics{query}")
    expect(page.locator("[data-state=content]")).to_be_visible()
    page.get_by_text("Saved views").click()
    return page


def test_a_saved_view_is_sent_by_e_mail(visit: Visit, screenshots: Path) -> None:
    page = open_menu(visit, "ada", "?view=calls&grouping=hour&range=24h")
    page.get_by_role("button", name="Save this view…").click()
    page.get_by_label("Name").fill("Calls of the day")
    page.get_by_label("Share it with everybody").check()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved views").click()
    page.get_by_role("button", name="Send Calls of the day by e-mail").click()
    form = page.get_by_role("form", name="Send by e-mail")
    expect(form.get_by_label("Name")).to_have_value("Calls of the day")
    expect(form.get_by_label("Time zone")).to_have_value("America/Chicago")
    expect(form).to_contain_text("No mail server is set up yet")
    form.get_by_label("How often").select_option("Each Friday")
    form.get_by_label("At").select_option("08:00")
    form.get_by_label("To").fill("ada@example.com\nnobody")
    keep_picture(page, screenshots / "report-dialog-1280-light.png")
    form.get_by_role("button", name="Send it from now on").click()
    expect(form.get_by_role("alert")).to_contain_text("recipients: 'nobody' is not one mail address")
    form.get_by_label("To").fill("ada@example.com\neve@example.org")
    form.get_by_role("button", name="Send it from now on").click()
    expect(form).to_have_count(0)
    page.get_by_text("Saved views").click()
    report = page.locator(".menu .report")
    expect(report).to_contain_text("Each Fri at 08:00 America/Chicago, to 2 addresses")
    report.get_by_role("button", name="Send Calls of the day now").click()
    expect(page.get_by_text("mail.host: is not set").first).to_be_visible()
    expect(report.locator(".pill")).to_have_text("not sent")
    keep_picture(page, screenshots / "reports-1280-light.png")

    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    expect(report.locator(".note")).to_contain_text("mail.host: is not set")
    keep_picture(page, screenshots / "reports-390-dark.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = page.locator(".menu.saved .sheet").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390

    # Who may not set reports sees none, and is offered none.
    viewer = open_menu(visit, "vera")
    expect(viewer.get_by_role("link", name="Calls of the day")).to_be_visible()
    assert viewer.locator(".menu .report, [aria-label$='by e-mail']").count() == 0

    page.get_by_role("button", name="Remove report Calls of the day").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator(".menu .report")).to_have_count(0)
    page.get_by_text("Saved views").click()
    page.get_by_role("button", name=re.compile("^Delete Calls of the day")).click()
    expect(page.get_by_role("link", name="Calls of the day")).to_have_count(0)
