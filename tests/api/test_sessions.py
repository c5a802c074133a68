"""Signing in over HTTP: the cookie, the password that must be changed, other sites, too many tries."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pyotp
import pytest
from fastapi import Request, Response
from tests.mediation_server import RunningMediation

from ringfence.accounts import people
from ringfence.api.rate_limit import RateLimit
from ringfence.api.routes import sessions
from ringfence.api.security import session_of, set_session
from ringfence.settings import AccountsSettings
from ringfence.vocabulary import Role

NEW = "a better battery horse"


@pytest.fixture(autouse=True)
def _fresh_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SIGN_INS", RateLimit(burst=20, per_second=0.0))


def make(mediation: RunningMediation, role: Role = Role.ADMINISTRATOR) -> str:
    with mediation.database.connection() as connection:
        return people.create_person(connection, "ana", role, "test")


def sign_in(client: httpx.Client, password: str) -> httpx.Response:
    return client.post("session", json={"name": "ana", "password": password})


def test_the_cookie_is_strict_and_out_of_reach_of_scripts(mediation: RunningMediation) -> None:
    response = sign_in(mediation.client(None), make(mediation))
    assert response.json() == {
        "name": "ana",
        "role": "administrator",
        "must_change_password": True,
        "must_set_second_factor": False,
        "sites": None,
    }
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("ringfence_session=rfs_")
    assert {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))


def test_with_a_one_time_password_nothing_works_but_changing_it(mediation: RunningMediation) -> None:
    one_time, browser = make(mediation), mediation.client(None)
    sign_in(browser, one_time)
    for path in ("devices", "users", "policy", "status"):
        refused = browser.get(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden.password_pending")
    assert browser.get("session").json()["must_change_password"]
    short = browser.post("session/password", json={"old": one_time, "new": "short"})
    assert (short.status_code, short.json()["code"]) == (400, "invalid.password")
    assert browser.post("session/password", json={"old": one_time, "new": NEW}).status_code == 204
    assert browser.get("users").status_code == 200


def test_signing_out_ends_the_session_for_every_copy_of_the_cookie(mediation: RunningMediation) -> None:
    browser, thief = mediation.client(None), mediation.client(None)
    sign_in(browser, make(mediation))
    thief.cookies.update(browser.cookies)
    assert thief.get("session").status_code == 200
    assert browser.delete("session").status_code == 204
    assert thief.get("session").status_code == 401
    assert "ringfence_session" not in browser.cookies


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_page_can_change_nothing(mediation: RunningMediation, headers: dict[str, str]) -> None:
    browser = mediation.client(None)
    sign_in(browser, make(mediation))
    refused = browser.delete("session", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden.origin")
    assert browser.get("session").status_code == 200
    assert browser.delete("session", headers={"Origin": mediation.url}).status_code == 204


def test_too_many_tries_from_one_address_are_put_off(
    mediation: RunningMediation, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = mediation.client(None)
    monkeypatch.setattr(sessions, "SIGN_INS", RateLimit(burst=3, per_second=0.0))
    password = make(mediation)
    assert [sign_in(client, password).status_code for _ in range(3)] == [200, 200, 200]  # rightful ones do not count
    assert [sign_in(client, "wrong").status_code for _ in range(4)] == [401, 401, 401, 429]
    assert "Retry-After" in sign_in(client, password).headers


def test_refusals_have_one_form_and_never_repeat_a_password(mediation: RunningMediation) -> None:
    client = mediation.client(None)
    bodies: list[dict[str, str]] = [
        {"name": "ana", "password": "s3cret"},
        {"name": "ana"},
        {"nme": "ana", "password": "s3cret"},
        {},
    ]
    for body in bodies:
        response = client.post("session", json=body)
        assert set(response.json()) == {"code", "message", "detail"}
        assert "s3cret" not in response.text
    assert client.post("session", json={"name": "ana"}).json()["message"] == "password: field required"
    assert client.post("session", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert client.get("nothing/here").json()["code"] == "not_found"
    assert client.put("session").status_code == 405


def test_with_a_second_factor_the_password_alone_does_not_sign_in(mediation: RunningMediation) -> None:
    browser, password = mediation.client(None), make(mediation)
    sign_in(browser, password)
    secret = browser.post("session/second_factor").json()["secret"]
    code = pyotp.TOTP(secret).at(datetime.now(UTC))
    codes = browser.post("session/second_factor/confirm", json={"code": code}).json()["recovery_codes"]
    another = mediation.client(None)
    refused = sign_in(another, password)
    assert (refused.status_code, refused.json()["code"]) == (401, "not_signed_in.code_needed")
    assert refused.json()["detail"] == {}
    body = {"name": "ana", "password": password, "code": code}
    assert another.post("session", json=body).status_code == 401  # taken already
    assert another.post("session", json=body | {"code": codes[0]}).status_code == 200


def test_who_must_have_a_second_factor_does_nothing_before(mediation: RunningMediation) -> None:
    browser, administrator = mediation.client(None), mediation.client()
    one_time = make(mediation)
    assert administrator.put("second_factor", json={"roles": ["administrator"]}).json() == {"roles": ["administrator"]}
    sign_in(browser, one_time)
    browser.post("session/password", json={"old": one_time, "new": NEW})
    refused = browser.get("users")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden.second_factor_pending")
    assert browser.get("session").json()["must_set_second_factor"]
    assert administrator.get("users").status_code == 200  # a program has no second factor


def test_over_tls_the_cookie_is_one_that_only_this_host_can_set() -> None:
    request = Request({"type": "http", "scheme": "https", "path": "/", "headers": [], "server": ("host", 443)})
    response = Response()
    set_session(response, request, "rfs_x", AccountsSettings())
    cookie = set(response.headers["set-cookie"].split("; "))
    assert {"__Host-ringfence_session=rfs_x", "HttpOnly", "Secure", "Path=/", "SameSite=strict"} <= cookie
    plain = [(b"cookie", b"ringfence_session=rfs_planted")]
    assert session_of(Request(dict(request.scope) | {"headers": plain})) is None
