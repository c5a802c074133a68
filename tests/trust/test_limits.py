"""What one request may cost: size, time, rate, head. Each bound is met over a real connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from tests.mediation_server import RunningMediation
from tests.suite_server import SuiteServer

from ringfence.api import guards
from ringfence.api.guards import BODY_LIMITS, FORM_LIMIT
from ringfence.api.request_rates import RequestRates
from ringfence.mediation import http_protocol

TEN_GIB = 10 << 30


@pytest.fixture(scope="module")
def plain(
    postgres_server: SuiteServer, _database_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningMediation]:
    """A mediation on plain HTTP, with a small rate."""
    data = tmp_path_factory.mktemp("limits") / "data"
    with (
        postgres_server.database("ringfence_limits", _database_template) as database,
        RunningMediation(database, data, api={"requests_burst": 20, "requests_per_second": 0.01}) as mediation,
    ):
        yield mediation


def say(mediation: RunningMediation, *parts: bytes) -> bytes:
    """All that is answered to these octets until the connection ends."""
    place = urlsplit(mediation.url)
    answer = b""
    with socket.create_connection((str(place.hostname), int(place.port or 0)), 10) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            while octets := connection.recv(65536):
                answer += octets
        except ConnectionError:
            pass
    return answer


@pytest.mark.parametrize("path", ["edge/events", "policy", "captures", "enrolments", "lists/1/imports"])
def test_ten_gibibytes_are_refused_by_their_announcement(plain: RunningMediation, path: str) -> None:
    head = f"POST /api/v1/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {TEN_GIB}\r\nConnection: close\r\n\r\n"
    answer = say(plain, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_what_is_not_announced_is_cut_off_at_the_bound(plain: RunningMediation) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < TEN_GIB:
            sent += 1 << 16
            yield bytes(1 << 16)

    client = plain.device("enum-endless")
    try:
        answer = client.post("edge/events?dataset=enum&journal_id=1&stream=0", content=endless())
        assert answer.status_code == 413
    except httpx.TransportError:
        pass  # answered and closed while we were still sending
    assert sent < BODY_LIMITS["/api/v1/edge/events"] + (16 << 20)


def test_a_packed_body_is_not_unpacked(plain: RunningMediation) -> None:
    answer = plain.device("enum-bomb").post("edge/heartbeat", content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported")


def test_a_form_of_the_console_is_small(plain: RunningMediation) -> None:
    answer = plain.client(None).post(f"{plain.url}/sign-in", data={"name": "x" * FORM_LIMIT})
    assert answer.status_code == 413


def test_a_head_that_does_not_end_is_cut_off(plain: RunningMediation) -> None:
    answer = say(plain, b"GET /healthz HTTP/1.1\r\nX: ", *[b"x" * 65536] * 40)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


def test_a_head_with_too_many_lines_is_refused(plain: RunningMediation) -> None:
    answer = say(plain, b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_who_sends_a_head_slowly_is_sent_away(plain: RunningMediation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_S", 0.2)
    assert say(plain, b"GET /healthz HT").startswith(b"HTTP/1.1 408 ")
    assert say(plain).startswith(b"HTTP/1.1 408 "), "who says nothing likewise"


def test_who_sends_a_body_slowly_is_sent_away(plain: RunningMediation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "BODY_S", 0.2)
    head = b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n"
    assert say(plain, head + b"Connection: close\r\n\r\n{").startswith(b"HTTP/1.1 408 ")


def test_one_token_cannot_ask_without_end_and_does_not_slow_another(plain: RunningMediation) -> None:
    greedy, other = plain.client(), plain.client()
    answers = [greedy.get("sites").status_code for _ in range(25)]
    assert answers == [200] * 20 + [429] * 5
    refused = greedy.get("sites")
    assert (refused.json()["code"], refused.headers["Retry-After"]) == ("too_many", "5")
    assert other.get("sites").status_code == 200
    device = plain.device("enum-many")
    assert {device.get("edge/term").status_code for _ in range(30)} == {200}, "devices are not counted"


def test_an_address_has_a_share_whatever_credentials_it_makes_up() -> None:
    rates = RequestRates(2, 0.001)
    from starlette.datastructures import Headers

    def ask(number: int, address: str) -> bool:
        scope = {"path": "/api/v1/status", "client": (address, 1)}
        return rates.take(scope, Headers({"authorization": f"Bearer {number}"}))

    assert [ask(number, "192.0.2.1") for number in range(20)] == [True] * 16 + [False] * 4
    assert ask(1, "192.0.2.2")


def test_security_headers_are_on_pages_and_answers(plain: RunningMediation) -> None:
    for answer in (plain.client(None).get("status"), plain.client(None).get(f"{plain.url}/sign-in")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "Strict-Transport-Security" not in answer.headers, "a browser must not keep to TLS where there is none"
