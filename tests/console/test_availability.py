"""The Availability page: a backup made, verified, found damaged, removed; viewers only look (R16)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Console, Visit, keep_picture

from ringfence.accounts import audit
from ringfence.console.availability import size_words


@pytest.mark.parametrize(
    ("octets", "words"),
    [(0, "0 B"), (1023, "1,023 B"), (2049, "2.0 KiB"), (1 << 20, "1.0 MiB"), (3 << 40, "3,072.0 GiB")],
)
def test_sizes_in_words(octets: int, words: str) -> None:
    assert size_words(octets) == words


def test_a_backup_from_made_to_removed(visit: Visit, console: Console, screenshots: Path) -> None:
    with console.database.connection() as connection:
        audit.record(connection, "standby-b", "backup.download", "20260301T043000Z-0a1b2c3d")
    page = visit().enter().open("/availability")
    expect(page.get_by_text("There is no backup yet.")).to_be_visible()
    expect(page.locator("tr", has_text="standby-b")).to_contain_text("has fetched")
    page.get_by_role("button", name="Back up now").click()
    row = page.locator("tr", has_text="database, configuration")
    expect(row).to_contain_text("whole", timeout=60_000)
    name = row.locator("td").first.inner_text()
    row.get_by_role("button", name=f"Verify {name}").click()
    expect(page.get_by_text(f"Backup {name} is whole.")).to_be_visible()
    keep_picture(page, screenshots / "availability-full.png", full_page=True)

    looker = visit().enter("vera").open("/availability")
    expect(looker.locator("tr", has_text=name).first).to_be_visible()
    expect(looker.get_by_role("button", name="Back up now")).to_have_count(0)
    expect(looker.get_by_role("button", name=re.compile("Remove"))).to_have_count(0)

    page = visit().enter().open("/availability")
    page.get_by_role("button", name=f"Remove {name}").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("There is no backup yet.")).to_be_visible()
