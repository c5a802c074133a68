"""The Devices page: states with words, figures as reported, inviting with the command shown once (R5)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Console, Visit

from ringfence.console.device_state import lost_events, queries, state_of
from ringfence.mediation import invitations
from ringfence.mediation.devices import DeviceStatus
from ringfence.trust.enrolment_token import EnrolmentToken

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
UP = DeviceStatus(
    1, "enum-1", "enum", "main", NOW, NOW, "192.0.2.1", "0.1.0", 7, "", 7, 0, True, {"counters": {"queries": 5}}
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "colour", "word"),
    [
        ({}, "green", "up"),
        ({"policy_version": 6}, "amber", "policy pending"),
        ({"policy_version": None, "wanted_version": 0}, "green", "up"),
        ({"report": {"journal": {"lost": 3}}}, "amber", "lost events"),
        ({"is_live": False}, "red", "away"),
        ({"is_live": False, "last_seen_at": None}, "red", "never seen"),
    ],
)
def test_state_says_what_is_wrong_first(changes: dict[str, Any], colour: str, word: str) -> None:
    state = state_of(replace(UP, **changes))
    assert (state.colour, state.word) == (colour, word)


@pytest.mark.parametrize("report", [{}, {"counters": None}, {"counters": {"queries": "<b>"}}, {"journal": []}])
def test_a_report_of_any_form_is_borne(report: dict[str, Any]) -> None:
    device = replace(UP, report=report)
    assert queries(device) is None
    assert lost_events(device) == 0


def test_devices_show_state_policy_and_figures(visit: Visit) -> None:
    page = visit().enter().open("/devices")
    first, second, third = (page.locator("tbody tr", has_text=f"enum-{n}") for n in (1, 2, 3))
    expect(first).to_contain_text("up")
    expect(first).to_contain_text("184,233")
    expect(second).to_contain_text("away")
    expect(second).to_contain_text("1 → 2")
    expect(second).to_contain_text(re.compile(r"\d+ min ago"))
    expect(third).to_contain_text("never seen")
    first.get_by_role("link", name="enum-1").click()
    expect(page).to_have_url(re.compile(r"/calls\?device=enum-1"))


def test_an_administrator_invites_a_device_and_sees_the_command_once(visit: Visit, console: Console) -> None:
    page = visit().enter().open("/devices")
    page.get_by_role("button", name="Invite a device").click()
    page.get_by_label("Name").fill("no name")
    page.get_by_role("button", name="Invite", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("is not a name")
    page.get_by_label("Name").fill("probe-9")
    page.get_by_label("Kind").select_option("Probe")
    page.get_by_role("button", name="Invite", exact=True).click()
    command = page.get_by_test_id("enrol").inner_text()
    token = EnrolmentToken.parse(command.removeprefix("ringfence probe enrol "))
    with console.database.connection() as connection:
        (invited,) = invitations.list_open(connection, datetime.now(UTC))
        assert (invited.name, invited.kind, token.addresses) == ("probe-9", "probe", (console.url,))
        invitations.withdraw(connection, invited.invitation_id, "test", datetime.now(UTC))
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_test_id("enrol")).to_have_count(0)


def test_a_viewer_cannot_invite(visit: Visit) -> None:
    page = visit().enter("vera").open("/devices")
    expect(page.locator("tbody tr").first).to_be_visible()
    assert page.get_by_role("button", name="Invite a device").count() == 0
