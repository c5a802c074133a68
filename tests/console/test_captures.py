"""Upload a capture in the browser: its calls, one call's ladder, and a file that is none."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect
from tests.capture.messages import one_call
from tests.console.conftest import Visit, keep_picture

from ringfence.capture.pcap import write_pcap


def test_a_capture_shows_its_calls_and_a_calls_ladder(visit: Visit, tmp_path: Path, screenshots: Path) -> None:
    file = tmp_path / "one.pcap"
    file.write_bytes(write_pcap(one_call()))
    page = visit(1280).enter().open("/captures")
    expect(page.get_by_text("No capture yet")).to_be_visible()
    page.get_by_label("Capture file").set_input_files(file)
    expect(page.locator(".ag-row")).to_contain_text("+442079460000", timeout=60_000)
    page.locator(".ag-row").first.click()
    ladder = page.get_by_role("group", name="SIP ladder")
    expect(ladder.locator("summary")).to_have_count(6)
    ladder.locator("summary").first.click()
    expect(ladder.locator("pre")).to_contain_text('From: "<script>alert(1)</script>"')
    keep_picture(page, screenshots / "capture-ladder.png")


def test_a_file_that_is_no_capture_is_said_to_be_none(visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a capture at all")
    page = visit(1280).enter().open("/captures")
    page.get_by_label("Capture file").set_input_files(file)
    expect(page.get_by_role("alert")).to_contain_text("not a capture file", timeout=60_000)
