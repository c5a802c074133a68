"""A page's way to the domain: the credential and role are checked at every question, a time-out is never "empty"."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg import Connection
from tests.console.conftest import answer_of
from tests.console.seed import PASSWORD, add_person

from ringfence.accounts.people import sign_in, sign_out
from ringfence.console import session as session_module
from ringfence.console.session import Session
from ringfence.database.connection import Database
from ringfence.errors import ForbiddenError, NotSignedInError, UnavailableError
from ringfence.mediation.devices import list_devices, register_device
from ringfence.mediation.jobs import Jobs
from ringfence.mediation.sites import ensure_first_site
from ringfence.settings import Settings, SiteSettings
from ringfence.vocabulary import Role

SignedIn = Callable[[Role], tuple[Session, str]]


@pytest.fixture
def signed_in(database: Database) -> SignedIn:
    def enter(role: Role) -> tuple[Session, str]:
        now = datetime.now(UTC)
        with database.connection() as connection:
            ensure_first_site(connection, SiteSettings())
            add_person(connection, "pat", role, now)
            signed = sign_in(connection, "pat", PASSWORD, None, now)
        return Session(database, signed.secret, signed.identity, Jobs(), Settings()), signed.secret

    return enter


def test_a_role_too_low_is_refused_before_the_function_runs(signed_in: SignedIn) -> None:
    session, _ = signed_in(Role.EDITOR)
    with pytest.raises(ForbiddenError, match="your role is editor; this needs administrator"):
        answer_of(session.act(Role.ADMINISTRATOR, register_device, "enum-9", "enum", None, "pat"))
    assert answer_of(session.ask(list_devices)) == []


def test_a_session_that_ended_gets_no_more_answers(signed_in: SignedIn, database: Database) -> None:
    session, secret = signed_in(Role.VIEWER)
    with database.connection() as connection:
        sign_out(connection, secret, datetime.now(UTC))
    with pytest.raises(NotSignedInError):
        answer_of(session.ask(list_devices))


def test_a_slow_answer_is_a_time_out_not_an_empty_one(signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(connection: Connection[Any]) -> list[Any]:
        return connection.execute("SELECT pg_sleep(5)").fetchall()

    session, _ = signed_in(Role.VIEWER)
    monkeypatch.setattr(session_module, "QUESTION_TIMEOUT_MS", 50)
    with pytest.raises(UnavailableError, match="no answer within") as raised:
        answer_of(session.ask(slow))
    assert raised.value.code == "unavailable.timeout"
    assert answer_of(session.ask(list_devices)) == []
