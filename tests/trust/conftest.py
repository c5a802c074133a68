"""One mediation behind TLS for all tests of the folder, on a database of its own."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.mediation_server import RunningMediation
from tests.suite_server import SuiteServer

from ringfence.trust.verification import OwnCertificate, Trust, client_context


@pytest.fixture(scope="session")
def covered(
    postgres_server: SuiteServer, _database_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningMediation]:
    """A mediation with a self-signed certificate."""
    data = tmp_path_factory.mktemp("trust") / "data"
    with (
        postgres_server.database("ringfence_trust", _database_template) as database,
        RunningMediation(database, data, api={"tls": {"mode": "on"}}) as mediation,
    ):
        yield mediation


def device_context(mediation: RunningMediation, folder: Path) -> ssl.SSLContext:
    """TLS as the device that enrolled into this folder has it."""
    own = OwnCertificate(folder / "identity" / "device.pem", folder / "identity" / "device.pem")
    return client_context(Trust((mediation.fingerprint or "",)), own)
