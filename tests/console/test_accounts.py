"""Accounts and one's own profile: people, sites, second factor, sessions, tokens."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pyotp
from playwright.sync_api import Page, expect
from tests.console.conftest import Console, Visit
from tests.console.seed import PASSWORD, add_person

from ringfence.accounts import people
from ringfence.accounts.credentials import authenticate, hash_secret
from ringfence.mediation.sites import add_site, site_ids
from ringfence.numbering.dial_plan import site_from
from ringfence.vocabulary import Role


def prove(page: Page, password: str, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_an_administrator_adds_limits_and_ends(visit: Visit, console: Console) -> None:
    with console.database.connection() as connection:
        add_site(connection, site_from({"name": "north", "country": "US"}), "tests")
    page = visit().enter().open("/accounts")
    page.get_by_role("button", name="Add person").click()
    page.get_by_role("dialog").get_by_label("Name").fill("nils")
    page.get_by_role("dialog").get_by_label("Sites").fill("north")
    page.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()
    one_time = page.get_by_test_id("secret").inner_text()
    page.get_by_role("button", name="Done").click()
    row = page.get_by_label("People").get_by_role("row").filter(has_text="nils")
    expect(row).to_contain_text("north")
    expect(row).to_contain_text("password to change")
    with console.database.connection() as connection:
        session = people.sign_in(connection, "nils", one_time, "192.0.2.9", datetime.now(UTC))
    page.reload()
    page.get_by_role("button", name="End the session of nils from 192.0.2.9").click()
    expect(page.get_by_role("button", name="End the session of nils")).to_have_count(0)
    with console.database.connection() as connection:
        row_of = connection.execute(
            "SELECT revoked_at IS NOT NULL FROM credential WHERE secret_hash = %s", (hash_secret(session.secret),)
        ).fetchone()
        assert row_of == (True,)


def test_a_token_is_made_shown_once_and_revoked(visit: Visit, console: Console) -> None:
    page = visit().enter("vera").open("/profile")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("wallboard")
    expect(dialog.get_by_label("Role").get_by_role("option")).to_have_text(["viewer"])  # vera's own and below
    dialog.get_by_role("button", name="Make it").click()
    secret = page.get_by_test_id("secret").inner_text()
    with console.database.connection() as connection:
        assert authenticate(connection, secret).name == "vera"
    page.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Revoke token wallboard").click()
    page.get_by_role("button", name="Revoke", exact=True).click()
    expect(page.get_by_text("None. A token lets a program act as you")).to_be_visible()


def test_a_second_factor_is_set_up_and_asked_for(visit: Visit, console: Console) -> None:
    with console.database.connection() as connection:
        add_person(connection, "otto", Role.ANALYST, datetime.now(UTC))
    visitor = visit()
    page = visitor.open("/sign-in?next=/profile")
    prove(page, PASSWORD, "otto")
    page.get_by_role("link", name="Set it up").click()
    secret = re.sub(r"\s", "", page.locator("code").inner_text())
    totp = pyotp.TOTP(secret)
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Set it up").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    assert re.sub(r"\s", "", page.locator("code").inner_text()) == secret  # not to be scanned anew
    page.get_by_label("Code").fill(totp.at(datetime.now(UTC) - timedelta(seconds=30)))
    page.get_by_role("button", name="Set it up").click()
    recovery = page.get_by_role("listitem").first.inner_text()
    page.get_by_role("link", name="I have them").click()
    expect(page.get_by_label("Second factor")).to_contain_text("10 recovery codes are left")

    page = visit().open("/sign-in?next=/profile")
    prove(page, PASSWORD, "otto")
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    page.get_by_label("Code").fill(recovery)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_label("Second factor")).to_contain_text("9 recovery codes are left")


def test_who_is_limited_to_sites_finds_only_what_is_for_such(visit: Visit, console: Console) -> None:
    with console.database.connection() as connection:
        add_person(connection, "lina", Role.EDITOR, datetime.now(UTC))
        if not connection.execute("SELECT 1 FROM site WHERE name = 'north'").fetchone():
            add_site(connection, site_from({"name": "north", "country": "US"}), "tests")
        people.set_sites(connection, "lina", site_ids(connection, ["north"]), "tests")
    visitor = visit()
    page = visitor.open("/sign-in?next=/devices")
    prove(page, PASSWORD, "lina")
    expect(page.get_by_text("No device is registered")).to_be_visible()
    places = page.get_by_role("navigation", name="Pages").get_by_role("link")
    expect(places).to_have_text(
        [re.compile(words) for words in ("Ringfence", "Overview", "Analytics", "Calls", "Devices")]
    )
    page.goto(f"{console.url}/policy")
    expect(page.get_by_text("This page concerns all sites")).to_be_visible()
    assert "403" in visitor.faults.pop()
    page.goto(f"{console.url}/calls?range=24h")
    expect(page.get_by_text("No call", exact=False).first).to_be_visible()
