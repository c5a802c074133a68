"""Who gets in, who does not, and what each is told."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import httpx
import pytest
from playwright.sync_api import expect
from tests.console.conftest import Console, Visit
from tests.console.seed import PASSWORD

from ringfence.accounts.credentials import revoke_secret
from ringfence.accounts.people import create_person, sign_in
from ringfence.console import pages  # noqa: F401  # registers the pages
from ringfence.console.address import local_path
from ringfence.console.frame import ORDER, TABS
from ringfence.console.gate import PAGES
from ringfence.vocabulary import Role


def test_one_time_password_must_be_changed_at_the_first_sign_in(visit: Visit, console: Console) -> None:
    with console.database.connection() as connection:
        one_time = create_person(connection, "nina", Role.ANALYST, "tests")
    visitor = visit()
    visitor.open("/devices")
    page = visitor.page
    page.get_by_label("Name").fill("nina")
    page.get_by_label("Password").fill(one_time)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Change password")).to_be_visible()
    visitor.open("/calls")  # no way around it
    expect(page.get_by_role("heading", name="Change password")).to_be_visible()
    visitor.open("/password?next=/devices")
    page.get_by_label("One-time password").fill(one_time)
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password again").fill(PASSWORD + "?")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert")).to_contain_text("differ")
    page.get_by_label("One-time password").fill(one_time)
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password again").fill(PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("heading", name="Devices")).to_be_visible()


def test_a_refused_sign_in_says_so_and_keeps_the_name(visit: Visit) -> None:
    visitor = visit().sign_in("ada", "not the password")
    expect(visitor.page.get_by_role("alert")).to_contain_text("password is wrong")
    expect(visitor.page.get_by_label("Name")).to_have_value("ada")


def test_the_session_cookie_is_out_of_scripts_and_other_sites_reach(console: Console) -> None:
    answer = httpx.post(f"{console.url}/sign-in", data={"name": "ada", "password": PASSWORD, "next": "/calls"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/calls")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("ringfence_session=")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.parametrize("path", ORDER)
def test_every_page_asks_to_sign_in_first_and_comes_back(console: Console, path: str) -> None:
    for headers in ({}, {"Cookie": "ringfence_session=forged"}):
        answer = httpx.get(f"{console.url}{path}?range=6h", headers=headers)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/sign-in?next={path.replace('/', '%2F')}%3Frange%3D6h"


def test_the_navigation_names_every_page() -> None:
    # The page of a call or an alert is reached from what tells of it; it has no place among the tabs.
    assert set(PAGES) == set(ORDER).union(*TABS.values()) | {"/call", "/alert", "/profile"}
    assert all(PAGES[path].group == group for group, tabs in TABS.items() for path in tabs)
    assert set(TABS) <= set(ORDER)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_the_live_connection_is_refused_without_a_session(console: Console, transport: str) -> None:
    headers = {}
    if transport == "websocket":
        headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    answer = httpx.get(f"{console.url}/_nicegui_ws/socket.io/?EIO=4&transport={transport}", headers=headers)
    assert answer.status_code in (401, 403)


def test_a_link_from_another_site_is_asked_again_from_our_own(console: Console) -> None:
    answer = httpx.get(f"{console.url}/calls?number=%2B1", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert "location.replace(location.href)" in answer.text


def test_an_unknown_page_says_so_without_echoing_markup(console: Console) -> None:
    answer = httpx.get(f"{console.url}/<script>alert(1)</script>")
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text


def test_signing_out_ends_the_session(visit: Visit) -> None:
    visitor = visit().sign_in()
    page = visitor.page
    page.get_by_label("Account of ada").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    visitor.open("/devices")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_open_page_leaves_when_its_session_is_revoked(visit: Visit, console: Console) -> None:
    visitor = visit().sign_in()
    visitor.open("/calls?action=terminate&range=6h")
    page = visitor.page
    expect(page.locator(".ag-row").first).to_be_visible()
    secret = next(cookie for cookie in page.context.cookies() if cookie["name"] == "ringfence_session")["value"]
    with console.database.connection() as connection:
        revoke_secret(connection, secret)
    expect(page.get_by_text("Your session ended")).to_be_visible()
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/calls\?.*action=terminate"))


def test_the_api_takes_the_same_session(console: Console) -> None:
    with console.database.connection() as connection:
        secret = sign_in(connection, "vera", PASSWORD, None, datetime.now(UTC)).secret
    answer = httpx.get(f"{console.url}/api/v1/session", cookies={"ringfence_session": secret})
    assert answer.json()["name"] == "vera"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "calls",
        "",
        None,
        "/sign-in?next=/",
        "/a\r\nSet-Cookie: x",
    ],
)
def test_a_sign_in_sends_nobody_elsewhere(target: str | None) -> None:
    assert local_path(target) == "/"


def test_a_sign_in_comes_back_to_the_page_asked_for() -> None:
    assert local_path("/calls?number=%2B1900&range=6h") == "/calls?number=%2B1900&range=6h"
