"""Requests made from the OpenAPI document, sensible and not: none may make the mediation fail.

`RINGFENCE_TEST_REQUESTS=200 python -m pytest tests/api/test_schemathesis.py` searches longer, with other examples.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from tests.mediation_server import RunningMediation
from tests.suite_server import SuiteServer

from ringfence.vocabulary import Role

_LONG = int(os.environ.get("RINGFENCE_TEST_REQUESTS", "0"))
EXAMPLES = _LONG or 2
# Sound requests that make real work (a dump of the database, a functional test): one of each.
HEAVY = {"POST /api/v1/backups", "POST /api/v1/fst/runs"}
# What depends on something outside is away, and says so.
UNAVAILABLE = 503


def _octets(context: object, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


class Search:
    """Sends what is made for each operation, and keeps what failed."""

    def __init__(self, mediation: RunningMediation) -> None:
        self.url = mediation.url
        self.tried = 0
        self.failed: dict[str, str] = {}
        self._session = requests.Session()
        self._session.trust_env = False
        device, person = mediation.device(), mediation.client(Role.ADMINISTRATOR)
        self._credentials = {"device": device.headers["Authorization"], None: ""}
        self._otherwise = person.headers["Authorization"]

    def sender(self, name: str, role: str | None) -> Callable[[Any], None]:
        """What hypothesis calls with each case of an operation."""
        credential = self._credentials.get(role, self._otherwise)

        def send(case: Any) -> None:
            self.tried += 1
            if isinstance(case.query, dict) and "wait_s" in case.query:
                case.query["wait_s"] = 0  # a long poll does not wait
            try:
                answer = case.call(
                    base_url=self.url, session=self._session, headers={"Authorization": credential}, timeout=60
                )
            except requests.RequestException as error:
                self.failed.setdefault(name, f"{error} to {case.as_curl_command()[:800]}")
                return
            if answer.status_code >= 500 and answer.status_code != UNAVAILABLE:
                self.failed.setdefault(name, f"{answer.status_code} to {case.as_curl_command()[:800]}")

        return send


@pytest.fixture(scope="module")
def subject(
    postgres_server: SuiteServer, _database_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningMediation]:
    """A mediation that takes any number of requests."""
    rates = {"requests_burst": 1_000_000, "requests_per_second": 100_000}
    with (
        postgres_server.database("ringfence_requests", _database_template) as database,
        RunningMediation(database, tmp_path_factory.mktemp("requests") / "data", api=rates) as mediation,
    ):
        yield mediation


def test_no_request_makes_it_fail(subject: RunningMediation) -> None:
    app: Any = subject.server.config.app
    document = app.openapi()
    bodies = {
        media for path in document["paths"].values() for operation in path.values()
        for media in operation.get("requestBody", {}).get("content", {}) if not media.endswith("json")
    }  # fmt: skip
    schemathesis.serializer(*sorted(bodies))(_octets)
    search = Search(subject)
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        name = f"{operation.method.upper()} {operation.path}"
        bounded = settings(
            max_examples=1 if name in HEAVY else EXAMPLES,
            database=None,
            deadline=None,
            derandomize=not _LONG,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        role = document["paths"][operation.path][operation.method].get("x-role")
        bounded(given(case=operation.as_strategy())(search.sender(name, role)))()
    assert not search.failed, "\n".join(f"{name}: {words}" for name, words in search.failed.items())
    assert search.tried >= sum(len(methods) for methods in document["paths"].values())
