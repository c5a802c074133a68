"""TLS of API, console and uplink: what it shows, what it takes, whom a client believes, and no way back to plain."""

from __future__ import annotations

import os
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tests.mediation_server import RunningMediation, wait_until

from ringfence.accounts.people import change_password, create_person, sign_in
from ringfence.cli.client import connect
from ringfence.database.connection import Database
from ringfence.errors import ConfigurationError, InvalidInputError, RingfenceError, UnavailableError
from ringfence.mediation.client import Client
from ringfence.mediation.trust_keys import require_administrator
from ringfence.settings import Settings, TlsSettings, load_settings
from ringfence.trust import certificates
from ringfence.trust.address import check_address
from ringfence.trust.certificates import KeyPair, make_listener, read_certificate
from ringfence.trust.listener import ListenerTls
from ringfence.trust.verification import Trust, client_context
from ringfence.vocabulary import Role

NOW = datetime.now(UTC)


def place_of(mediation: RunningMediation) -> tuple[str, int]:
    parts = urlsplit(mediation.url)
    return str(parts.hostname), int(parts.port or 0)


def handshake(mediation: RunningMediation, context: ssl.SSLContext) -> tuple[str, str]:
    """Version and cipher that were agreed on."""
    with (
        socket.create_connection(place_of(mediation), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as covered,
    ):
        return str(covered.version()), str(covered.cipher())


def write_pair(folder: Path, pair: KeyPair, name: str = "own") -> TlsSettings:
    folder.mkdir(exist_ok=True)
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_text(pair.certificate)
    key.write_text(pair.key)
    return TlsSettings(certificate=certificate, key=key)


def no_pair() -> KeyPair:
    raise AssertionError("a self-signed certificate is made though another is named")


class TestListener:
    def test_a_client_that_knows_the_fingerprint_is_served_and_told_to_stay_with_tls(
        self, covered: RunningMediation
    ) -> None:
        answer = covered.client().get("status")
        assert (answer.status_code, answer.headers["Strict-Transport-Security"]) == (200, "max-age=31536000")
        assert answer.json()["mediation"]["tls"]["fingerprint"] == covered.fingerprint
        assert covered.url.startswith("https://127.0.0.1:")

    def test_the_command_line_on_this_machine_finds_its_way_by_itself(self, covered: RunningMediation) -> None:
        with connect(Settings(data=covered.settings.data)) as client:
            assert client.get("status")["mediation"]["tls"]["is_own"] is False

    def test_a_unix_socket_beside_it_is_plain(self, covered: RunningMediation) -> None:
        transport = httpx.HTTPTransport(uds=str(covered.settings.api.socket))
        with httpx.Client(transport=transport) as client:
            answer = client.get("http://mediation/healthz")
        assert answer.status_code == 200
        assert "Strict-Transport-Security" not in answer.headers

    def test_plain_http_gets_nothing(self, covered: RunningMediation) -> None:
        with socket.create_connection(place_of(covered), 10) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            plain.settimeout(10)
            assert b"HTTP" not in plain.recv(4096)

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_versions_in_use_are_spoken_with_forward_secrecy(
        self, covered: RunningMediation, version: ssl.TLSVersion
    ) -> None:
        context = client_context(covered.trust)
        context.minimum_version = context.maximum_version = version
        spoken, cipher = handshake(covered, context)
        assert spoken == version.name.replace("_", ".")
        assert "ECDHE" in cipher or "TLS_" in cipher

    @pytest.mark.parametrize(
        ("highest", "ciphers"),
        [
            (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
            (ssl.TLSVersion.TLSv1_2, "AES256-SHA256:AES128-GCM-SHA256"),
            (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256"),
        ],
        ids=["TLS 1.1", "no forward secrecy", "CBC"],
    )
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_old_ways_are_refused(self, covered: RunningMediation, highest: ssl.TLSVersion, ciphers: str) -> None:
        context = client_context(covered.trust)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = highest
        context.set_ciphers(ciphers)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(covered, context)

    def test_the_console_is_behind_it_and_its_cookie_stays_there(self, covered: RunningMediation) -> None:
        page = covered.client(None).get(covered.url + "/sign-in")
        assert page.status_code == 200
        assert page.headers["X-Frame-Options"] == "DENY"


class TestClient:
    def test_another_fingerprint_is_not_believed_and_learns_no_credential(self, covered: RunningMediation) -> None:
        with (
            Client(covered.url, "rft_secret", trust=Trust(("00" * 32,))) as client,
            pytest.raises(UnavailableError, match="which is not the one that is trusted"),
        ):
            client.get("status")

    def test_without_a_fingerprint_a_self_signed_certificate_is_not_believed(self, covered: RunningMediation) -> None:
        with (
            Client(covered.url, "x") as client,
            pytest.raises(UnavailableError, match=r"(?i)certificate verify failed"),
        ):
            client.get("status")

    def test_by_a_file_of_authorities_the_name_must_fit_too(self, covered: RunningMediation, tmp_path: Path) -> None:
        with covered.database.connection() as connection:
            row = connection.execute("SELECT certificate FROM trust_key WHERE purpose = 'listener'").fetchone()
        assert row is not None
        file = tmp_path / "ca.pem"
        file.write_text(row[0])
        with Client(covered.url, covered.local_token, trust=Trust(ca_file=file)) as client:
            assert client.get("status")["mediation"]["ok"]
        other = covered.url.replace("127.0.0.1", "127.0.0.2")
        with Client(other, "x", trust=Trust(ca_file=file)) as client, pytest.raises(UnavailableError):
            client.get("status")

    def test_told_https_it_does_not_go_back_to_plain(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            listener.settimeout(10)
            with Client(url, "rft_secret", trust=Trust(("00" * 32,))) as client:
                client._http.timeout = httpx.Timeout(0.5)
                with pytest.raises(UnavailableError):
                    client.get("status")
            peer, _ = listener.accept()
            with peer:
                assert peer.recv(5)[:2] == b"\x16\x03", "a TLS record, not a request"

    @pytest.mark.parametrize(
        "url", ["http://192.0.2.1:8420", "http://mediation:8420", "ftp://x", "mediation", "https:"]
    )
    def test_credentials_travel_no_wire_in_clear(self, url: str) -> None:
        with pytest.raises(InvalidInputError):
            check_address(url, "url")
        with pytest.raises(ConfigurationError):
            connect(load_settings(None, {"RINGFENCE_URL": url, "RINGFENCE_TOKEN": "x"}))

    @pytest.mark.parametrize("setting", ["EDGE_MEDIATION", "AVAILABILITY_PARTNERS"])
    def test_nor_do_edges_and_pairs_start_with_such_an_address(self, setting: str) -> None:
        with pytest.raises(
            ConfigurationError, match=r"would send a credential in clear; expected https://192\.0\.2\.1"
        ):
            load_settings(None, {f"RINGFENCE_{setting}": "https://a,http://192.0.2.1:8420"})

    def test_a_fingerprint_is_taken_as_people_write_it(self, covered: RunningMediation) -> None:
        known = str(covered.fingerprint)
        shown = certificates.shown_fingerprint(known)
        environment = {"RINGFENCE_TRUST_FINGERPRINTS": f"sha256 Fingerprint={shown}"}
        environment |= {"RINGFENCE_URL": covered.url, "RINGFENCE_TOKEN": covered.local_token}
        settings = load_settings(None, environment)
        assert settings.trust.fingerprints == (known,)
        with connect(settings) as client:
            assert client.get("status")["mediation"]["ok"]


class TestOwnCertificate:
    def test_it_is_taken_live_when_it_changes_and_a_bad_one_is_not(self, tmp_path: Path) -> None:
        first, second = make_listener(["pbx.example"], NOW), make_listener(["pbx.example"], NOW)
        settings = write_pair(tmp_path, first)
        tls = ListenerTls(settings, None, no_pair)
        assert (tls.refresh(), tls.fault) == (False, None)
        write_pair(tmp_path, KeyPair(second.certificate, first.key))
        assert tls.refresh() is False
        assert "does not belong to the certificate" in str(tls.fault)
        assert tls.shown.facts.fingerprint == read_certificate(first.certificate).fingerprint
        assert any("still serves" in note for note in tls.notes(NOW))
        write_pair(tmp_path, second)
        assert tls.refresh() is True
        assert tls.shown.facts.fingerprint == read_certificate(second.certificate).fingerprint
        assert tls.fault is None

    def test_a_link_that_points_elsewhere_is_a_change(self, tmp_path: Path) -> None:
        """As ACME clients leave it."""
        write_pair(tmp_path, make_listener(["pbx.example"], NOW), "1")
        write_pair(tmp_path, make_listener(["pbx.example"], NOW), "2")
        links = TlsSettings(certificate=tmp_path / "live.pem", key=tmp_path / "live.key")
        for suffix in ("pem", "key"):
            (tmp_path / f"live.{suffix}").symlink_to(f"1.{suffix}")
        tls = ListenerTls(links, None, no_pair)
        for suffix in ("pem", "key"):
            (tmp_path / f"live.{suffix}").unlink()
            (tmp_path / f"live.{suffix}").symlink_to(f"2.{suffix}")
        assert tls.refresh() is True

    def test_what_is_wrong_with_it_is_said_by_the_setting(self, tmp_path: Path) -> None:
        good = make_listener(["pbx.example"], NOW)
        cases = {
            "expired on": make_listener(["x"], NOW - certificates.LISTENER_LIFETIME - timedelta(days=1)),
            "is valid only from": make_listener(["x"], NOW + timedelta(days=2)),
            "does not belong": KeyPair(good.certificate, make_listener(["x"], NOW).key),
            "cannot be read": KeyPair("nothing", good.key),
        }
        for words, pair in cases.items():
            with pytest.raises(ConfigurationError, match=words) as caught:
                ListenerTls(write_pair(tmp_path, pair), None, no_pair)
            assert caught.value.message.startswith("api.tls.")
        with pytest.raises(ConfigurationError, match="nothing-here"):
            ListenerTls(TlsSettings(certificate=tmp_path / "nothing-here", key=tmp_path / "x"), None, no_pair)

    def test_soon_to_expire_and_a_wrong_name_are_worth_a_look(self, tmp_path: Path) -> None:
        tls = ListenerTls(write_pair(tmp_path, make_listener(["pbx.example"], NOW)), "sip.example", no_pair)
        assert tls.notes(NOW) == ["TLS: the certificate is for pbx.example, not sip.example as api.address says"]
        end = NOW + certificates.LISTENER_LIFETIME
        assert "expires in 9 days" in tls.notes(end - timedelta(days=9, hours=12))[0]
        assert "clients refuse it" in tls.notes(end + timedelta(days=1))[0]


class TestBeyondLoopback:
    def test_it_does_not_listen_there_before_somebody_took_possession(self, database: Database, tmp_path: Path) -> None:
        settings = Settings.model_validate(
            {"data": tmp_path, "database": {"url": database.url}, "api": {"host": "0.0.0.0", "port": 0}}
        )
        with (
            pytest.raises(ConfigurationError, match="sign in as admin, then set it again") as caught,
            database.connection() as connection,
        ):
            require_administrator(settings, connection)
        assert caught.value.message.startswith("api.host: 0.0.0.0 is beyond loopback")
        with database.connection() as connection:
            password = create_person(connection, "admin", Role.ADMINISTRATOR, "test")
            with pytest.raises(ConfigurationError):
                require_administrator(settings, connection)
            identity = sign_in(connection, "admin", password, None, NOW).identity
            change_password(connection, identity, password, "a horse of another colour")
            require_administrator(settings, connection)

    def test_there_it_always_has_tls(self) -> None:
        assert Settings.model_validate({"api": {"host": "0.0.0.0"}}).api.has_tls
        assert not Settings().api.has_tls


class TestKeys:
    def test_a_node_on_a_copy_of_the_database_shows_the_certificate_that_edges_know(
        self, covered: RunningMediation, tmp_path: Path
    ) -> None:
        from ringfence.mediation.trust_keys import open_tls

        elsewhere = covered.settings.model_copy(update={"data": tmp_path})
        tls = open_tls(elsewhere, covered.database)
        assert tls is not None
        assert tls.shown.facts.fingerprint == covered.fingerprint

    def test_nothing_of_a_key_stays_on_the_disk(self, covered: RunningMediation) -> None:
        for file in covered.settings.data.rglob("*"):
            if file.is_file():
                assert b"PRIVATE KEY" not in file.read_bytes(), file


def test_a_changed_file_is_shown_by_a_serving_mediation(database: Database, tmp_path: Path) -> None:
    tls = write_pair(tmp_path / "keys", make_listener(["localhost"], NOW))
    api = {"tls": tls.model_dump()}
    with RunningMediation(database, tmp_path / "data", api=api) as mediation:
        before = mediation.fingerprint
        with pytest.raises(RingfenceError), Client(mediation.url, "x", trust=Trust(("00" * 32,))) as client:
            client.get("status")
        write_pair(tmp_path / "keys", make_listener(["localhost"], NOW))
        os.utime(tmp_path / "keys" / "own.key")
        wait_until(lambda: mediation.fingerprint != before)
        with Client(mediation.url, mediation.local_token, trust=mediation.trust) as client:
            assert client.get("status")["mediation"]["tls"]["is_own"] is True
