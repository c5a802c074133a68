"""What every request passes: size limits and security headers."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
from tests.mediation_server import RunningMediation

from ringfence.api.guards import BODY_LIMITS, DEFAULT_BODY_LIMIT

LONG = b"x" * 65536


def chunks(total: int) -> Iterator[bytes]:
    for _ in range(total // len(LONG) + 1):
        yield LONG


def test_a_declared_body_beyond_the_limit_is_refused_unread(mediation: RunningMediation) -> None:
    response = mediation.client().post("devices", content=b"x" * (DEFAULT_BODY_LIMIT + 1))
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_an_undeclared_body_beyond_the_limit_is_cut_off(mediation: RunningMediation) -> None:
    response = mediation.client().post("users", content=chunks(DEFAULT_BODY_LIMIT))
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_an_anonymous_upload_is_refused_before_it_is_read(mediation: RunningMediation) -> None:
    sent = 0

    def counted() -> Iterator[bytes]:
        nonlocal sent
        for chunk in chunks(BODY_LIMITS["/api/v1/policy"] - 2 * len(LONG)):
            sent += len(chunk)
            yield chunk

    try:
        response = mediation.client(None).post("policy", content=counted())
    except httpx.WriteError:  # the server answered and closed while we were still sending
        assert sent < BODY_LIMITS["/api/v1/policy"]
        return
    assert response.status_code == 401


def test_the_character_nul_is_refused_wherever_it_comes(mediation: RunningMediation) -> None:
    client = mediation.client()
    for answer in (
        client.get("audit/export?actor=a%00b"),
        client.get("devices/a%00b"),
        client.post("sites", json={"name": "a\x00b", "country": "US"}),
        mediation.device().post("edge/heartbeat", json={"now_us": 1, "process": {"a\x00": 1}}),
    ):
        assert (answer.status_code, answer.json()["code"].split(".")[0]) == (400, "invalid"), answer.url


def test_what_no_calendar_and_no_number_reaches_is_refused(mediation: RunningMediation) -> None:
    client = mediation.client()
    for path in (
        "analytics/export?view=calls&end=0001-01-01T00:01:00Z",
        "enforcement?end=0001-01-01T00:00:00Z",
        "policy/diff?before=³",
        "policy/installations?limit=³",
    ):
        answer = client.get(path)
        assert answer.status_code in (400, 404), path


def test_security_headers_are_on_every_answer(mediation: RunningMediation) -> None:
    anonymous = mediation.client(None)
    for response in (anonymous.get("devices"), anonymous.get("nothing"), mediation.client().get("devices")):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    page = anonymous.get(f"{mediation.url}/healthz")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
