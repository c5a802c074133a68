"""Signing in with an OpenID Connect provider: against a real one in this process, and one that lies."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from oidc_provider_mock import User, run_server_in_thread
from tests.mediation_server import RunningMediation

from ringfence.accounts import people
from ringfence.accounts.credentials import Origin, authenticate
from ringfence.accounts.entrance import Entrance
from ringfence.accounts.oidc import REQUEST_LIFETIME, Provider
from ringfence.database.connection import Database
from ringfence.errors import NotSignedInError, UnavailableError
from ringfence.settings import AccountsSettings, OidcSettings
from ringfence.vocabulary import Role

NOW = datetime.now(UTC)  # of the provider that lies; a real one has its own clock
ADA = User(sub="1234", claims={"preferred_username": "Ada", "groups": ["staff", "voice-admins"]})
NOBODY = User(sub="9", claims={"preferred_username": "nobody", "groups": ["staff"]})


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with run_server_in_thread(user_claims=[ADA, NOBODY]) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def secret_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("oidc") / "secret"
    file.write_text("of the client: with + and %\n")
    return file


def settings(issuer: str, secret_file: Path | None = None) -> OidcSettings:
    fields = {
        "issuer": issuer, "client_secret_file": secret_file, "client_id": "ringfence", "public_url": "http://127.0.0.1:8420",
        "administrator_group": "voice-admins", "viewer_group": "watchers", "timeout_s": 30,
    }  # fmt: skip
    return OidcSettings.model_validate(fields)


def approve(url: str, sub: str) -> dict[str, str]:
    """What a person does at the provider; what the provider sends back."""
    response = httpx.post(url, data={"sub": sub}, trust_env=False, timeout=30)
    back = urlsplit(response.headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == "http://127.0.0.1:8420/sign-in/oidc/back"
    return {name: values[0] for name, values in parse_qs(back.query).items()}


def finish(
    database: Database, entrance: Entrance, answer: dict[str, str], browser: str = "b", now: datetime | None = None
) -> Any:
    with database.connection() as connection:
        return entrance.finish_provider(
            connection,
            browser,
            answer["state"],
            answer["code"],
            answer.get("iss"),
            Origin("127.0.0.1"),
            now or datetime.now(UTC),
        )


def begin(database: Database, entrance: Entrance) -> str:
    assert entrance.provider is not None
    with database.connection() as connection:
        return entrance.provider.begin(connection, "b", "/calls", datetime.now(UTC))


def test_a_person_signs_in_with_the_role_of_the_claim_and_the_state_is_good_once(
    database: Database, issuer: str, secret_file: Path
) -> None:
    entrance = Entrance(AccountsSettings(oidc=settings(issuer, secret_file)))
    url = begin(database, entrance)
    asked = parse_qs(urlsplit(url).query)
    assert (asked["response_type"], asked["code_challenge_method"]) == (["code"], ["S256"])
    answer = approve(url, "1234")
    signed_in, target = finish(database, entrance, answer)
    assert (signed_in.identity.name, signed_in.identity.role, target) == ("ada", Role.ADMINISTRATOR, "/calls")
    with pytest.raises(NotSignedInError, match="used already"):
        finish(database, entrance, answer)
    with database.connection() as connection:
        assert authenticate(connection, signed_in.secret).name == "ada"
        assert [(one.name, one.origin) for one in people.list_people(connection)] == [("ada", "oidc")]
    assert entrance.provider is not None
    assert (entrance.provider.sign_out_url(datetime.now(UTC)) or "").startswith(f"{issuer}/")


def test_another_browser_a_late_answer_and_one_of_another_issuer_are_refused(
    database: Database, issuer: str, secret_file: Path
) -> None:
    entrance = Entrance(AccountsSettings(oidc=settings(issuer, secret_file)))
    for more in ({"browser": "another"}, {"now": datetime.now(UTC) + REQUEST_LIFETIME + timedelta(minutes=1)}):
        answer = approve(begin(database, entrance), "1234")
        with pytest.raises(NotSignedInError, match="took too long"):
            finish(database, entrance, answer, **more)
    answer = approve(begin(database, entrance), "1234") | {"iss": "https://evil.example"}
    with pytest.raises(NotSignedInError, match="another provider"):
        finish(database, entrance, answer)
    answer = approve(begin(database, entrance), "1234") | {"code": "guessed"}
    with pytest.raises(NotSignedInError, match="refused the code"):
        finish(database, entrance, answer)


def test_no_group_no_entry_and_no_account_of_ours_is_taken_over(
    database: Database, issuer: str, secret_file: Path
) -> None:
    entrance = Entrance(AccountsSettings(oidc=settings(issuer, secret_file)))
    answer = approve(begin(database, entrance), "9")
    with pytest.raises(NotSignedInError, match="no group"):
        finish(database, entrance, answer)
    with database.connection() as connection:
        people.create_person(connection, "ada", Role.VIEWER, "test")
    answer = approve(begin(database, entrance), "1234")
    with pytest.raises(NotSignedInError):
        finish(database, entrance, answer)


def test_a_provider_that_is_away_is_said(database: Database) -> None:
    entrance = Entrance(AccountsSettings(oidc=settings("http://127.0.0.1:1")))
    with pytest.raises(UnavailableError, match="accounts of this console still sign in"):
        begin(database, entrance)


class Liar(Provider):
    """A provider whose token endpoint answers what the test says; everything that checks it is the real thing."""

    def __init__(self, settings: OidcSettings) -> None:
        super().__init__(settings)
        self.keys = [RSAKey.generate_key(2048, {"kid": "one"})]
        self.id_token = ""

    def _get(self, url: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        if url.endswith("/jwks"):
            return {"keys": [key.as_dict(private=False) for key in self.keys]}
        at = self._settings.issuer
        return {
            "issuer": at, "authorization_endpoint": f"{at}/authorize", "token_endpoint": f"{at}/token",
            "jwks_uri": f"{at}/jwks",
        }  # fmt: skip

    def _tokens(self, code: str, verifier: str, now: datetime) -> dict[str, Any]:
        return {"id_token": self.id_token}


@pytest.fixture(scope="module")
def liar() -> Liar:
    return Liar(settings("https://id.example"))


def answer_with(
    database: Database, liar: Liar, *, key: Any = None, alg: str = "RS256", kid: str = "one", **changes: Any
) -> Any:
    with database.connection() as connection:
        query = parse_qs(urlsplit(liar.begin(connection, "b", "/", NOW)).query)
    claims = {
        "iss": "https://id.example", "aud": "ringfence", "sub": "1", "nonce": query["nonce"][0],
        "iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 60,
        "preferred_username": "ada", "groups": "watchers",
    } | changes  # fmt: skip
    claims = {name: value for name, value in claims.items() if value is not None}
    if alg == "none":
        import base64
        import json

        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "none"}, claims)]
        liar.id_token = b".".join([*parts, b""]).decode()
    else:
        liar.id_token = jwt.encode({"alg": alg, "kid": kid}, claims, key or liar.keys[-1], algorithms=[alg])
    with database.connection() as connection:
        return liar.finish(connection, "b", query["state"][0], "code", None, NOW)


def test_only_a_token_that_is_signed_for_us_now_and_for_this_sign_in_holds(database: Database, liar: Liar) -> None:
    assert answer_with(database, liar).role is Role.VIEWER
    seconds = int(NOW.timestamp())
    forged: list[dict[str, Any]] = [
        {"aud": "another"},
        {"aud": ["ringfence", "another"], "azp": "another"},
        {"iss": "https://evil.example"},
        {"exp": seconds - 120},
        {"exp": None},
        {"iat": seconds + 3600, "exp": seconds + 7200},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
        {"alg": "none"},
        {"key": RSAKey.generate_key(2048)},
        {"alg": "HS256", "key": OctKey.import_key(secrets.token_bytes(32))},
    ]
    for changes in forged:
        with pytest.raises(NotSignedInError, match=r"does not hold|another client"):
            answer_with(database, liar, **changes)


def test_a_provider_may_change_its_keys_at_any_time(database: Database, liar: Liar) -> None:
    answer_with(database, liar)
    liar.keys = [RSAKey.generate_key(2048, {"kid": "two"})]
    assert answer_with(database, liar, kid="two").name == "ada"


def test_the_sign_in_page_leads_there_and_back_once_and_in_one_browser(
    database: Database, issuer: str, secret_file: Path, tmp_path: Path
) -> None:
    accounts = AccountsSettings(oidc=settings(issuer, secret_file))
    with (
        RunningMediation(database, tmp_path / "data", accounts=accounts) as mediation,
        httpx.Client(base_url=mediation.url, trust_env=False, timeout=30) as browser,
    ):
        assert "Sign in with your organisation" in browser.get("/sign-in?next=/calls").text
        sent = browser.get("/sign-in/oidc?next=/calls")
        cookie = sent.headers["set-cookie"].lower()
        assert {"httponly", "samesite=lax", "path=/sign-in/oidc"} <= set(cookie.split("; "))
        answer = approve(sent.headers["location"], "1234")
        with httpx.Client(base_url=mediation.url, trust_env=False, timeout=30) as thief:
            assert thief.get("/sign-in/oidc/back", params=answer).status_code == 401
        answer = approve(browser.get("/sign-in/oidc?next=/calls").headers["location"], "1234")
        back = browser.get("/sign-in/oidc/back", params=answer)
        assert (back.status_code, back.headers["location"]) == (303, "/calls")
        assert browser.get("/api/v1/session").json()["name"] == "ada"
        assert browser.get("/sign-in/oidc/back", params=answer).status_code == 401  # replayed
        assert browser.get("/sign-in/oidc/back?error=access_denied").status_code == 401
        left = browser.post("/sign-out")
        assert left.headers["location"].startswith(issuer)
        assert browser.get("/api/v1/session").status_code == 401
