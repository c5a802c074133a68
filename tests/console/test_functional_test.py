"""The Functional test page: results with evidence, a record signed, a plan drafted (R24)."""

from __future__ import annotations

import re

from playwright.sync_api import expect
from tests.acceptance.samples import sample_record
from tests.console.conftest import Console, Visit

from ringfence.acceptance import store
from ringfence.mediation.devices import register_device


def test_results_are_shown_by_server_with_evidence(visit: Visit) -> None:
    page = visit().enter("vera").open("/functional-test?run=R-1")
    failed = page.locator("details", has_text="east-enum-2").first
    expect(failed.locator("summary").first).to_contain_text("FAIL")
    expect(failed).to_contain_text("came out otherwise than expected")
    expect(page.get_by_role("link", name="PDF")).to_have_attribute("href", "/api/v1/fst/runs/R-1/record.pdf")
    assert page.get_by_role("button", name="Run…").count() == 0


def test_a_record_is_signed_and_sealed(visit: Visit, workshop: Console) -> None:
    with workshop.database.connection() as connection:
        store.save_record(connection, sample_record(run="R-sign"))
    page = visit(at=workshop).enter().open("/functional-test?run=R-sign")
    page.get_by_role("button", name="Sign…").click()
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("name: is empty")
    page.get_by_label("Your name, as on paper").fill("Tess Ter")
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.get_by_text("Signed as tester: Tess Ter (ada)")).to_be_visible()
    expect(page.get_by_role("button", name="Change…")).to_have_count(0)


def test_a_plan_is_drafted_with_a_fault_named_by_its_field(visit: Visit, workshop: Console) -> None:
    with workshop.database.connection() as connection:
        register_device(connection, "fst-enum-1", "enum", None, "test")
    page = visit(at=workshop).enter().open("/functional-test")
    page.get_by_role("button", name="Plan…").click()
    for label, number in (
        ("Caller", "+13005550000"), ("Number to be allowed", "+12105550123"), ("Number to be refused", "911"),
        ("Number to be redirected", "+12105550100"), ("Where redirected calls go", "+12105550199"),
    ):  # fmt: skip
        page.get_by_label(label).fill(number)
    page.get_by_role("button", name="Draft", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("numbers.terminated")
    page.get_by_label("Number to be refused").fill("+19005550100")
    page.get_by_role("button", name="Draft", exact=True).click()
    expect(page.get_by_text("fst-enum-1 192.0.2.")).to_be_visible()
    with workshop.database.connection() as connection:
        connection.execute("DELETE FROM device WHERE name = 'fst-enum-1'")
        found = store.read_plan(connection)
    assert found is not None
    assert re.match(r"192\.0\.2\.\d+:53", found[0].locations[0].enum_servers[0].address)
