"""Edges go to the active pair by themselves, complete its database, take its policy, and never go back (R4, R18)."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.edge.edge_process import Edge
from tests.failover.conftest import Pairs
from tests.mediation_server import RunningMediation, wait_until

from ringfence.database.connection import Database
from ringfence.mediation.sites import first_site
from ringfence.policy.installation import install
from ringfence.policy.rules import Policy
from ringfence.policy.versions import commit_policy


def sequences(database: Database) -> list[int]:
    """Of the one stream of the device, in order."""
    with database.connection() as connection:
        return [row[0] for row in connection.execute("SELECT sequence FROM enum_event ORDER BY sequence").fetchall()]


@contextmanager
def edge_of(pairs: Pairs, folder: Path, *mediations: str) -> Iterator[Edge]:
    folder.mkdir(exist_ok=True)
    credential = folder / "credential"
    credential.write_text(pairs.credential, encoding="ascii")
    credential.chmod(0o600)
    flags = [word for mediation in mediations for word in ("--mediation", mediation)]
    edge = Edge(folder, *flags, "--credential-file", str(credential))
    try:
        yield edge
    finally:
        edge.stop()


CA = """
[ca]
default_ca = own
[own]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = IP:127.0.0.1
"""


def expired_certificate(folder: Path) -> tuple[Path, Path]:
    """Key and certificate for 127.0.0.1, valid until yesterday."""
    (folder / "index").write_text("", encoding="ascii")
    (folder / "serial").write_text("01\n", encoding="ascii")
    (folder / "ca.conf").write_text(CA.format(folder=folder), encoding="ascii")
    key, request, certificate = (folder / name for name in ("key.pem", "request.pem", "certificate.pem"))
    ends = datetime.now(UTC) - timedelta(days=1)
    dates = ("-startdate", f"{ends - timedelta(days=2):%Y%m%d%H%M%SZ}", "-enddate", f"{ends:%Y%m%d%H%M%SZ}")
    by = ("-batch", "-selfsign", "-config", folder / "ca.conf", "-keyfile", key)
    for command in (
        ("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=127.0.0.1"),
        ("ca", *by, "-in", request, "-out", certificate, *dates),
    ):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return key, certificate


def test_an_edge_moves_to_the_new_pair_and_completes_it(
    pairs: Pairs, old_mediation: RunningMediation, tmp_path: Path
) -> None:
    with RunningMediation(pairs.new, tmp_path / "new") as standby:
        later = standby.url
        port = int(later.rpartition(":")[2])
    folder = tmp_path / "edge"
    with edge_of(pairs, folder, old_mediation.url, later) as edge:
        edge.ask(20)
        wait_until(lambda: sequences(pairs.old) == list(range(1, 21)), 30)
        assert sequences(pairs.new) == []
        # Failover: the other pair's database is from before the calls; it takes the next term and starts. The old pair
        # goes on running and knows nothing.
        pairs.raise_new()
        with pairs.new.connection() as connection:
            version = commit_policy(connection, Policy(), first_site(connection), "test").version.version
            install(connection, version, "test", datetime.now(UTC))
        with RunningMediation(pairs.new, tmp_path / "new", port=port) as active:
            edge.ask(5)
            wait_until(lambda: sequences(pairs.new) == list(range(1, 26)), 30)
            wait_until(lambda: edge.metric("ringfence_enum_policy_version") == version, 30)
            wait_until(lambda: old_mediation.process.membership.is_fenced, 30)
            assert len(sequences(pairs.old)) <= 25
            assert not active.process.membership.is_fenced
        # The new pair goes away: the old one is there, and is not taken.
        before = sequences(pairs.old)
        edge.ask(5)
        wait_until(lambda: edge.metric("ringfence_enum_uplink_connected") == 0, 30)
        assert sequences(pairs.old) == before
    # Nor by an edge that starts afresh while only the old pair is there, whose database knows nothing of the fence.
    with pairs.old.connection(even_if_fenced=True) as connection:
        connection.execute("UPDATE setting SET value = value || '{\"fenced_by\": null}' WHERE key = 'cluster'")
    with edge_of(pairs, folder, old_mediation.url) as edge:
        edge.ask(3)
        wait_until(lambda: edge.metric("ringfence_enum_uplink_errors_total") >= 2, 30)
        assert sequences(pairs.old) == before


def test_an_edge_leaves_a_pair_that_does_not_answer_any_more(
    pairs: Pairs, new_mediation: RunningMediation, tmp_path: Path
) -> None:
    """A site that went dark takes connections from its listen queue, and never answers: no reset comes."""
    with socket.create_server(("127.0.0.1", 0)) as dark:
        silent = f"http://127.0.0.1:{dark.getsockname()[1]}"
        with edge_of(pairs, tmp_path / "edge", silent, new_mediation.url) as edge:
            edge.ask(5)
            # Long before any request to the dark one would be given up (30 s, a poll 55 s).
            wait_until(lambda: sequences(pairs.new) == [1, 2, 3, 4, 5], 20)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed (Debian: openssl)")
def test_an_expired_certificate_is_a_mediation_that_cannot_be_reached(
    pairs: Pairs, new_mediation: RunningMediation, tmp_path: Path
) -> None:
    """The edge says why, answers, keeps its events and goes to the next mediation of its list."""
    key, certificate = expired_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                    context.wrap_socket(line, server_side=True).close()
                except ssl.SSLError:
                    continue
                except OSError:
                    if listener.fileno() < 0:
                        return

        threading.Thread(target=refuse, daemon=True).start()
        expired = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with edge_of(pairs, tmp_path / "edge", expired, new_mediation.url) as edge:
            edge.ask(5)
            wait_until(lambda: sequences(pairs.new) == [1, 2, 3, 4, 5], 20)
        assert "certificate" in edge.said.lower()
