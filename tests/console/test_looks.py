"""Every page in both sizes and both themes: it loads, and nothing sticks out sideways.

With RINGFENCE_TEST_SCREENSHOTS=1 a picture of each is kept, to be looked at: build/screenshots.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, expect
from tests.console.conftest import Visit, Visitor, keep_picture

PAGES = {
    "overview": "/",
    "detections": "/detections",
    "detection": "/detections?detection=tdos-number",
    "analytics": "/analytics?view=calls",
    "analytics-cps": "/analytics",
    "analytics-top": "/analytics?view=top_destination&range=6h",
    "analytics-top-one": "/analytics?view=top_source&grouping=day&range=15m",
    "calls": "/calls",
    "calls-sip": "/calls?dataset=sip&range=6h",
    "enforcement": "/enforcement?range=24h",
    "enforcement-ignored": "/enforcement?range=24h&verdict=ignored",
    "policy": "/policy",
    "versions": "/policy/versions",
    "versions-compared": "/policy/versions?from=1&to=2",
    "lists": "/policy/lists",
    "list": "/policy/lists?list=suspects",
    "schedules": "/policy/schedules",
    "simulate": "/policy/simulate",
    "explain": "/policy/explain?source=%2B13125550101&destination=%2B19005550100",
    "devices": "/devices",
    "sites": "/sites",
    "number": "/number?number=0114420+79460000",
    "analytics-figures": "/analytics?dataset=sip&view=asr&compare=previous",
    "analytics-parts": "/analytics?dataset=sip&view=response_codes&range=6h",
    "analytics-health": "/analytics?view=device_health&range=6h",
    "availability": "/availability",
    "storage": "/storage",
    "functional-test": "/functional-test",
    "functional-test-run": "/functional-test?run=R-1",
    "audit": "/audit",
}

# Their tables choose columns by the width that they are laid out in.
LAID_OUT_FOR_WIDTH = {"calls", "calls-sip", "enforcement", "enforcement-ignored"}
SIZES = ((1280, 860), (390, 844))
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


# Buttons of a page's head of which the next one begins within their height, and not with them.
_UNEVEN = """
(() => {
  const shown = [...document.querySelectorAll(".page-head .button")].filter((one) => one.checkVisibility());
  const placed = shown.map((one) => ({ words: one.innerText.trim(), ...one.getBoundingClientRect().toJSON() }));
  return placed.slice(1).flatMap((one, place) => {
    const off = Math.abs(one.top - placed[place].top);
    return off > 1 && off < one.height ? [`${one.words}: ${off}`] : [];
  });
})()
"""


def test_every_page_fits_and_loads(visit: Visit, screenshots: Path) -> None:
    visitor = visit()
    page = visitor.open("/sign-in")
    _look(page, screenshots, "sign-in")
    visitor.enter()
    for title, path in PAGES.items():
        if title in LAID_OUT_FOR_WIDTH:
            for size in SIZES:
                _resize(page, size)
                _load(visitor, title, path)
                _look(page, screenshots, title, (size,))
                if title == "calls":
                    _open_a_call(page)
                    _look(page, screenshots, "call", (size,))
        else:
            _load(visitor, title, path)
            _look(page, screenshots, title)


def _open_a_call(page: Page) -> None:
    page.locator(".ag-row").nth(1).click()
    expect(page.locator(".drawer .verdicts li").first).to_be_visible()
    page.wait_for_function("document.querySelector('.drawer').getAnimations().length === 0")


def _load(visitor: Visitor, title: str, path: str) -> None:
    page = visitor.open(path)
    expect(page.locator("[data-state=content], [data-state=empty]").first).to_be_visible()
    expect(page.locator("[data-state=loading]")).to_have_count(0)
    if (title.startswith("analytics") and title != "analytics-health") or title == "overview":
        expect(page.locator(".chart svg").first).to_be_visible()
    page.wait_for_function("document.fonts.status === 'loaded'")


def _look(page: Page, screenshots: Path, title: str, sizes: Sequence[tuple[int, int]] = SIZES) -> None:
    """In both themes: what the browser prefers may change while a page is open, as may its window.

    The theme that the window is in comes first, so none is changed twice.
    """
    themes = THEMES
    for width, height in sizes:
        _resize(page, (width, height))
        for theme in themes:
            page.emulate_media(color_scheme=theme)
            expect(page.locator("html")).to_have_attribute("data-theme", theme)
            fits = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert fits, f"{title} is wider than a window of {width}"
            assert page.evaluate(_UNEVEN) == [], f"{title}, {width}: buttons beside each other stand unevenly"
            keep_picture(page, screenshots / f"{title}-{width}-{theme}.png")
        themes = themes[::-1]


def _resize(page: Page, size: tuple[int, int]) -> None:
    """Until what follows the window's size, as charts do, has followed."""
    width, height = size
    if page.viewport_size != {"width": width, "height": height}:
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
