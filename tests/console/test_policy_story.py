"""From a rule to a refused call and back, in a browser, with the daemons that answer: what the policy's life is for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import dns.edns
import dns.message
import dns.query
import pytest
from playwright.sync_api import Locator, Page, expect
from tests.console.conftest import Console, Visit
from tests.console.seed import PASSWORD
from tests.edge.edge_process import Edge
from tests.edge.partners import wait_until

from ringfence.accounts.people import create_person
from ringfence.analytics.calls import CallFilter, find_calls
from ringfence.mediation.devices import list_devices, register_device
from ringfence.policy import drafts, versions
from ringfence.policy.drafts import By
from ringfence.vocabulary import Role

SATELLITE = "+881612345678"
CALLER = "+12105550123"
SOURCE_OPTION = 4


@pytest.fixture
def edges(workshop: Console, tmp_path: Path) -> Iterator[dict[str, Edge]]:
    """Two ENUM servers of their own processes, with the policy that the workshop begins with."""
    with ExitStack() as stack:
        running: dict[str, Edge] = {}
        for name in ("enum-1", "enum-2"):
            with workshop.database.connection() as connection:
                _, credential = register_device(connection, name, "enum", None, "ada")
            file = tmp_path / f"{name}.credential"
            file.write_text(credential, encoding="utf-8")
            file.chmod(0o600)
            edge = Edge(tmp_path / name, "--mediation", workshop.url, "--credential-file", str(file))
            stack.callback(edge.stop)
            running[name] = edge
        yield running
    with workshop.database.connection() as connection:
        drafts.discard(connection, By("ada", datetime.now(UTC)))
        versions.install_version(connection, 1, "ada")


def answer_of(edge: Edge, destination: str) -> str:
    """The regexp of the NAPTR that an SBC gets; empty when there is none."""
    option = dns.edns.GenericOption(dns.edns.OptionType.make(SOURCE_OPTION), f"sip:{CALLER}@sbc.example".encode())
    name = ".".join(reversed(destination.removeprefix("+"))) + ".e164.internal"
    query = dns.message.make_query(name, "NAPTR", use_edns=0, options=[option])
    host, _, port = edge.addresses["listen"][0].rpartition(":")
    answer = dns.query.udp(query, host, port=int(port), timeout=5)
    return str(answer.answer[0][0].regexp.decode()) if answer.answer else ""


def decided(edge: Edge, action: str) -> bool:
    return f"@{action}." in answer_of(edge, SATELLITE)


def recorded(workshop: Console) -> int:
    with workshop.database.connection() as connection:
        return len(find_calls(connection, CallFilter(destination=SATELLITE)))


def enforces(workshop: Console, device: str, version: int) -> bool:
    with workshop.database.connection() as connection:
        return any(one.name == device and one.policy_version == version for one in list_devices(connection))


def row(page: Page, name: str) -> Locator:
    return page.locator(f"tr[data-name='{name}']")


def test_from_monitoring_to_refusing_and_back(visit: Visit, workshop: Console, edges: dict[str, Edge]) -> None:
    first, second = edges["enum-1"], edges["enum-2"]
    for edge in (first, second):
        wait_until(partial(decided, edge, "allow"), "the call is allowed at first", 60)
    wait_until(lambda: recorded(workshop) >= 2, "the calls are recorded", 60)
    page = sign_in_for_the_first_time(visit, workshop)
    write_a_rule_in_monitor_mode(page)
    see_what_it_would_have_done(page)
    enforce_and_commit(page)
    install_on_one_then_on_all(page, workshop, first, second)
    see_the_call_refused_and_explained(page, workshop)
    page.goto(f"{workshop.url}/policy")
    roll_back(page)
    wait_until(lambda: decided(second, "allow"), "the other server allows the call again", 60)
    wait_until(lambda: decided(first, "allow"), "the first server allows the call again", 60)
    expect(page.get_by_text("Version 1 acts")).to_be_visible()


def roll_back(page: Page) -> None:
    page.get_by_role("button", name="Roll back").click()
    dialog = page.locator(".dialog")
    dialog.get_by_role("button", name="Roll back").click()
    expect(dialog).to_have_count(0)


def sign_in_for_the_first_time(visit: Visit, workshop: Console) -> Page:
    with workshop.database.connection() as connection:
        one_time = create_person(connection, "noa", Role.EDITOR, "ada")
    page = visit(at=workshop).sign_in("noa", one_time).page
    page.get_by_label("One-time password").fill(one_time)
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password again").fill(PASSWORD)
    page.get_by_role("button", name="Change password").click()
    page.get_by_role("link", name="Policy", exact=True).click()
    return page


def write_a_rule_in_monitor_mode(page: Page) -> None:
    page.get_by_role("button", name="Add rule").click()
    drawer = page.get_by_role("complementary", name="Rule")
    drawer.get_by_label("Name").fill("satellite")
    drawer.get_by_label("Destinations").fill("+881*")
    expect(drawer.get_by_label("Mode")).to_have_value("monitor")
    drawer.get_by_role("button", name="Add to the draft").click()
    expect(row(page, "satellite")).to_contain_text("+881*")


def see_what_it_would_have_done(page: Page) -> None:
    page.get_by_role("link", name="Simulate").last.click()
    page.get_by_role("button", name="Simulate").click()
    expect(page.get_by_test_id("newly_blocked")).to_have_text("0")
    expect(page.locator("tr", has_text="satellite").locator("td").last).not_to_have_text("0")
    page.get_by_role("link", name="Rules").click()
    page.get_by_label("Mode of satellite").select_option("enforce")
    expect(row(page, "satellite")).not_to_have_class("mode-monitor")
    page.get_by_role("link", name="Simulate").last.click()
    page.get_by_role("button", name="Simulate").click()
    expect(page.get_by_test_id("newly_blocked")).not_to_have_text("0")
    page.get_by_role("link", name="Rules").click()


def enforce_and_commit(page: Page) -> None:
    expect(page.get_by_label("Mode of satellite")).to_have_value("enforce")
    page.get_by_role("button", name="Commit…").click()
    page.get_by_label("Message").fill("No satellite phones")
    page.get_by_role("button", name="Commit", exact=True).click()


def install_on_one_then_on_all(page: Page, workshop: Console, first: Edge, second: Edge) -> None:
    page.get_by_label("Where").select_option(label="enum-1 first, then all")
    page.get_by_role("button", name="Install", exact=True).click()
    expect(page.get_by_role("region", name="Staged")).to_contain_text("is on enum-1 first")
    wait_until(lambda: decided(first, "terminate"), "the first server refuses the call", 60)
    assert decided(second, "allow")
    with workshop.database.connection() as connection:
        newest = versions.newest_version(connection)
    wait_until(lambda: enforces(workshop, "enum-1", newest), "the first server says so", 60)
    page.get_by_role("button", name="Install on all").click()
    expect(page.get_by_role("region", name="Staged")).to_have_count(0)
    wait_until(lambda: decided(second, "terminate"), "the other server refuses the call", 60)


def see_the_call_refused_and_explained(page: Page, workshop: Console) -> None:
    page.goto(f"{workshop.url}/calls?destination=%2B{SATELLITE.removeprefix('+')}&action=terminate")
    page.locator(".ag-row").first.click()
    drawer = page.get_by_role("complementary", name="Call")
    expect(drawer.locator("li.decides")).to_contain_text("satellite")
    drawer.get_by_role("link", name="Explain").click()
    expect(page.locator(".verdicts li.decides")).to_contain_text("satellite")
    expect(page.locator(".verdicts li.passed_over")).to_contain_text("premium")
    expect(page.get_by_label("Device")).not_to_have_value("")
