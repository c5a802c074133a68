"""No endpoint without a credential: every one refuses an anonymous caller and a role too low, and lets in who may.

The golden table has each endpoint's role, and `+sites` where it also answers accounts that are limited to sites.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.mediation_server import RunningMediation

from ringfence.accounts.credentials import create_token
from ringfence.accounts.roles import PERSONAL_ROLES
from ringfence.api.application import PREFIX
from ringfence.vocabulary import Role

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "endpoint_roles.json"
DOCUMENT = ROOT / "docs" / "openapi.json"
RENEW = "renew it with `RINGFENCE_TEST_RENEW=1 python -m pytest tests/api/test_access.py`"
# Would end the credential that the test asks with.
ENDS_WHAT_ASKS = {"DELETE /api/v1/session"}
# Answers only when there is something new.
WAITS = {"GET /api/v1/edge/policy", "GET /api/v1/edge/entries", "GET /api/v1/edge/evidence"}
# Of people: a token of the right role is told that it is none.
NEEDS_A_SESSION = {
    "POST /api/v1/session/second_factor",
    "DELETE /api/v1/session/tokens/{name}",
}
OPEN = {"GET /healthz", "POST /api/v1/session", "POST /api/v1/enrolments"}

Endpoints = dict[str, str | None]


def application(mediation: RunningMediation) -> FastAPI:
    app = mediation.server.config.app
    assert isinstance(app, FastAPI)
    return app


def document_of(mediation: RunningMediation) -> dict[str, Any]:
    return application(mediation).openapi()


def endpoints_of(document: dict[str, Any]) -> Endpoints:
    """`GET /path` → the role that its documentation names, None where it names none."""
    return {
        f"{method.upper()} {path}": operation.get("x-role")
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def table_of(document: dict[str, Any]) -> Endpoints:
    """The same with `+sites`."""
    for_sites = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("x-sites")
    }
    return {
        endpoint: f"{role}+sites" if endpoint in for_sites else role
        for endpoint, role in endpoints_of(document).items()
    }


def call(client: httpx.Client, mediation: RunningMediation, endpoint: str) -> httpx.Response:
    """Without a body or parameters: who may not ask learns not even what is missing."""
    method, path = endpoint.split()
    return client.request(method, mediation.url + re.sub(r"\{[^}]*\}", "1", path))


def test_every_endpoint_is_in_the_golden_table(mediation: RunningMediation, renew: bool) -> None:
    endpoints = table_of(document_of(mediation))
    if renew:
        GOLDEN.write_text(json.dumps(endpoints, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    assert endpoints == json.loads(GOLDEN.read_text(encoding="utf-8")), RENEW
    assert {endpoint for endpoint, role in endpoints.items() if role is None} == OPEN


def test_every_endpoint_refuses_the_anonymous(mediation: RunningMediation) -> None:
    anonymous = mediation.client(None)
    for endpoint in endpoints_of(document_of(mediation)).keys() - OPEN:
        response = call(anonymous, mediation, endpoint)
        assert (response.status_code, response.json()["code"]) == (401, "not_signed_in"), endpoint
        assert response.headers["WWW-Authenticate"] == "Bearer"


def test_every_endpoint_refuses_a_made_up_credential(mediation: RunningMediation) -> None:
    guesser = mediation.client(None)
    guesser.headers["Authorization"] = "Bearer rft_guessed"
    guesser.cookies["ringfence_session"] = "rfs_guessed"
    for endpoint in endpoints_of(document_of(mediation)).keys() - OPEN:
        assert call(guesser, mediation, endpoint).status_code == 401, endpoint


def test_every_endpoint_refuses_a_role_too_low(mediation: RunningMediation) -> None:
    clients = {role: mediation.client(role) for role in PERSONAL_ROLES}
    tried = 0
    for endpoint, word in endpoints_of(document_of(mediation)).items():
        if word in {None, "device"}:
            continue
        for role, client in clients.items():
            if role < Role[str(word).upper()]:
                response = call(client, mediation, endpoint)
                assert (response.status_code, response.json()["code"]) == (403, "forbidden"), (endpoint, role)
                tried += 1
    assert tried > 20


def test_every_endpoint_lets_in_each_role_that_may(mediation: RunningMediation) -> None:
    """Let in is whatever the route then says: of nothing it is told, most say that something is missing."""
    clients = {role: mediation.client(role) for role in PERSONAL_ROLES}
    device, tried = mediation.device("enum-7"), 0
    for endpoint, word in endpoints_of(document_of(mediation)).items():
        if word is None or endpoint in ENDS_WHAT_ASKS or endpoint in WAITS:
            continue
        let_in = [device] if word == "device" else [c for role, c in clients.items() if role >= Role[word.upper()]]
        for client in let_in:
            response = call(client, mediation, endpoint)
            said = response.json().get("code", "") if is_json(response) and response.status_code >= 400 else ""
            # A second word says what else is missing: a session, somebody's ownership; not the role.
            assert (response.status_code != 401 and said != "forbidden") or endpoint in NEEDS_A_SESSION, (
                endpoint,
                said,
            )
            tried += 1
    assert tried > 100


def test_an_account_that_is_limited_to_sites_is_let_in_where_the_table_says_and_nowhere_else(
    mediation: RunningMediation,
) -> None:
    limited = mediation.client(None)
    with mediation.database.connection() as connection:
        secret = create_token(connection, "limited", Role.ADMINISTRATOR, "test", sites=[1])
    limited.headers["Authorization"] = f"Bearer {secret}"
    for endpoint, word in table_of(document_of(mediation)).items():
        if word in {None, "device"} or endpoint in ENDS_WHAT_ASKS:
            continue
        response = call(limited, mediation, endpoint)
        code = response.json().get("code") if is_json(response) and response.status_code >= 400 else None
        assert (code == "forbidden.sites") == (not str(word).endswith("+sites")), (endpoint, code)


def is_json(response: httpx.Response) -> bool:
    return str(response.headers.get("content-type", "")).startswith("application/json")


def test_devices_and_people_do_not_stand_in_for_each_other(mediation: RunningMediation) -> None:
    device, administrator = mediation.device(), mediation.client(Role.ADMINISTRATOR)
    for endpoint, word in endpoints_of(document_of(mediation)).items():
        if word is not None:
            wrong = administrator if word == "device" else device
            assert call(wrong, mediation, endpoint).status_code == 401, endpoint


def test_a_revoked_device_is_refused_everywhere(mediation: RunningMediation) -> None:
    device = mediation.device("enum-9")
    assert device.get("edge/policy").status_code == 204
    assert mediation.client().delete("devices/enum-9").status_code == 204
    for endpoint, word in endpoints_of(document_of(mediation)).items():
        if word == "device":
            assert call(device, mediation, endpoint).status_code == 401, endpoint


def test_the_committed_document_is_the_one_served(mediation: RunningMediation, renew: bool) -> None:
    served = mediation.client(None).get(f"{mediation.url}{PREFIX}/openapi.json").json()
    assert served == json.loads(json.dumps(document_of(mediation)))
    if renew:
        DOCUMENT.write_text(json.dumps(served, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert served == json.loads(DOCUMENT.read_text(encoding="utf-8")), RENEW


@pytest.fixture
def renew() -> bool:
    """Whether to write the golden files afresh instead of comparing."""
    import os

    return os.environ.get("RINGFENCE_TEST_RENEW") == "1"
