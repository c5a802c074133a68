"""A mail server on loopback, and a database with calls, saved views and a clock that the test sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.analytics.conftest import AddCalls, add_calls
from tests.ingest.conftest import add_device, ingest
from tests.ingest.samples import NOON, every_second
from tests.reports.mail_server import MailServer

from ringfence.analytics.saved import save_view
from ringfence.database.connection import Database
from ringfence.reports import store
from ringfence.reports.store import RecordedRun, Report
from ringfence.settings import MailSettings

__all__ = ["add_calls", "add_device", "ingest"]

ADA, EVE = "ada@example.com", "eve@example.org"
StartServer = Callable[..., MailServer]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """`start_server(tls=…, users=…)`."""
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(MailServer(tmp_path, **how))


def mail_settings(server: MailServer, **more: Any) -> MailSettings:
    """The settings that lead to a server."""
    return MailSettings(
        **{"host": "127.0.0.1", "port": server.port, "tls": server.tls, "sender": "rf@example.com", "timeout_s": 20}
        | more
    )


@pytest.fixture
def reported(database: Database, add_calls: AddCalls) -> Database:
    """A database with 40 calls after noon of 20 November and the report `Daily` about them, at 14:00 UTC."""
    add_calls([*every_second(30), *every_second(10, destination=442079460000, action=2)])
    with database.connection() as connection:
        words = {"dataset": "enum", "view": "calls", "grouping": "hour", "range": "6h"}
        save_view(connection, "ada", "Calls", words, NOON, is_shared=True)
    put_report(database)
    return database


def put_report(database: Database, **fields: Any) -> Report:
    """Set the report `Daily`, with other fields where given."""
    known: dict[str, Any] = {
        "report_id": 0, "name": "Daily", "owner": "ada", "view_owner": "ada", "view_name": "Calls", "every": "day",
        "day": 1, "hour": 14, "zone": "UTC", "recipients": [ADA, EVE], "set_at": NOON - timedelta(days=1),
    }  # fmt: skip
    with database.connection() as connection:
        return store.set_report(connection, Report(**known | fields), "ada")


def runs_of(database: Database, name: str = "Daily") -> list[RecordedRun]:
    """How a report's sending went, the newest first."""
    with database.connection() as connection:
        return store.newest_runs(connection, store.read_report(connection, name))
