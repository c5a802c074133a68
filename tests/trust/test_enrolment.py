"""From an invitation to a device's own certificate: once, in time, for it alone, and gone when it is revoked."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.edge.edge_process import Edge
from tests.ingest.samples import every_second, upload
from tests.mediation_server import RunningMediation, wait_until
from tests.trust.conftest import device_context

from ringfence.edge.enrolment import Identity, enrol, read_identity
from ringfence.edge.failures import Failures
from ringfence.edge.mediation_client import MediationClient
from ringfence.edge.renewal import Renewal
from ringfence.errors import ConfigurationError, ForbiddenError, InvalidInputError, NotSignedInError, UnavailableError
from ringfence.mediation import device_certificates
from ringfence.mediation.devices import Device
from ringfence.mediation.trust_keys import device_authority
from ringfence.settings import Settings
from ringfence.trust.certificates import DEVICE_LIFETIME, make_authority, make_request, sign_request
from ringfence.trust.enrolment_token import EnrolmentToken
from ringfence.trust.verification import OwnCertificate, Trust


def invited(mediation: RunningMediation, name: str, kind: str = "enum", **body: Any) -> str:
    """A token as an administrator gets it."""
    made = mediation.client().post("device-invitations", json={"name": name, "kind": kind} | body)
    assert made.status_code == 201, made.text
    return str(made.json()["token"])


def enrolled(mediation: RunningMediation, name: str, folder: Path, kind: str = "enum") -> Identity:
    """A device that enrolled itself into a folder."""
    enrol(EnrolmentToken.parse(invited(mediation, name, kind)), kind, folder / kind, "0.1.0", "host")
    return read_identity(Settings(data=folder), folder / kind)


def speak(identity: Identity, say: Callable[[MediationClient], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        client = MediationClient(identity.addresses, identity, timeout_s=10)
        try:
            return await say(client)
        finally:
            await client.close()

    return asyncio.run(run())


def hello(identity: Identity, journal_id: int = 7, kind: str = "enum") -> Any:
    return speak(identity, lambda client: client.hello(kind, "0.1.0", journal_id, time.time_ns() // 1000))


def test_an_invited_device_is_let_in_by_its_certificate_and_nothing_else(
    covered: RunningMediation, tmp_path: Path
) -> None:
    identity = enrolled(covered, "enum-a", tmp_path)
    assert identity.addresses == (covered.url,)
    assert hello(identity).device == "enum-a"
    listed = covered.client().get("devices/enum-a").json()
    ends = datetime.fromisoformat(listed["certificate_until"])
    assert abs(ends - datetime.now(UTC) - DEVICE_LIFETIME) < timedelta(minutes=5)
    assert listed["clock_offset_us"] is not None
    assert (tmp_path / "enum" / "identity" / "device.pem").stat().st_mode & 0o777 == 0o600
    without = Identity(None, None, identity.trust, identity.addresses)
    with pytest.raises(NotSignedInError):
        hello(without)


def test_a_token_counts_once(covered: RunningMediation, tmp_path: Path) -> None:
    token = EnrolmentToken.parse(invited(covered, "enum-once"))
    enrol(token, "enum", tmp_path / "first", "0.1.0", "host")
    with pytest.raises(NotSignedInError, match="it was used, withdrawn or has expired"):
        enrol(token, "enum", tmp_path / "second", "0.1.0", "host")
    assert not (tmp_path / "second").exists()


def test_an_expired_a_withdrawn_and_an_invented_token_do_not_count(covered: RunningMediation, tmp_path: Path) -> None:
    expired = EnrolmentToken.parse(invited(covered, "enum-late", expires_s=0.001))
    withdrawn = EnrolmentToken.parse(invited(covered, "enum-withdrawn"))
    administrator = covered.client()
    listed = {one["name"]: one for one in administrator.get("device-invitations").json()["invitations"]}
    assert "enum-late" not in listed
    number = listed["enum-withdrawn"]["invitation_id"]
    assert administrator.delete(f"device-invitations/{number}").status_code == 204
    assert administrator.delete(f"device-invitations/{number}").status_code == 404
    invented = EnrolmentToken(expired.addresses, expired.fingerprint, "rfi_guessed")
    for token in (expired, withdrawn, invented):
        with pytest.raises(NotSignedInError):
            enrol(token, "enum", tmp_path / "x", "0.1.0", "host")


def test_the_database_knows_only_a_hash_of_it(covered: RunningMediation) -> None:
    secret = EnrolmentToken.parse(invited(covered, "enum-hash")).secret
    with covered.database.connection() as connection:
        rows = connection.execute("SELECT i::text FROM device_invitation i UNION ALL SELECT a::text FROM audit a")
        assert not [row for row in rows if secret in row[0]]


def test_a_bad_request_or_another_kind_does_not_use_it_up(covered: RunningMediation, tmp_path: Path) -> None:
    token = EnrolmentToken.parse(invited(covered, "probe-a", "probe"))
    anonymous = covered.client(None)
    for change in ({"request": "nothing"}, {"kind": "enum"}):
        body = {"secret": token.secret, "kind": "probe", "request": make_request("x")[1]} | change
        assert anonymous.post("enrolments", json=body).status_code == 400
    enrol(token, "probe", tmp_path / "probe", "0.1.0", "host")


def test_the_first_contact_is_authenticated(covered: RunningMediation, tmp_path: Path) -> None:
    """Somebody in between shows another certificate: it is not told the secret."""
    token = EnrolmentToken.parse(invited(covered, "enum-between"))
    between = EnrolmentToken(token.addresses, "00" * 32, token.secret)
    with pytest.raises(UnavailableError, match="not the one that is trusted"):
        enrol(between, "enum", tmp_path / "x", "0.1.0", "host")
    enrol(token, "enum", tmp_path / "x", "0.1.0", "host")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rfe_!!",
        "x" * 9000,
        "rfe_W10",
        EnrolmentToken((), None, "s").encode(),
        EnrolmentToken(("http://192.0.2.1",), None, "s").encode(),
        EnrolmentToken(("https://x",), "12", "s").encode(),
    ],
)
def test_what_is_no_token_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        EnrolmentToken.parse(text)
    assert not text or text not in caught.value.message


def test_a_revoked_device_is_out_at_once_also_on_an_open_connection(covered: RunningMediation, tmp_path: Path) -> None:
    enrolled(covered, "enum-gone", tmp_path)
    context = device_context(covered, tmp_path / "enum")
    with httpx.Client(base_url=covered.url, verify=context, trust_env=False) as device:
        assert device.get("/api/v1/edge/term").status_code == 200
        covered.client().delete("devices/enum-gone")
        assert device.get("/api/v1/edge/term").status_code == 401
        # The name registered anew does not bring the certificate back.
        covered.client().post("devices", json={"name": "enum-gone"})
        assert device.get("/api/v1/edge/term").status_code == 401


def test_a_device_that_had_a_credential_changes_to_a_certificate_and_keeps_its_history(
    covered: RunningMediation, tmp_path: Path
) -> None:
    before = covered.device("enum-changes")
    number = before.post("edge/hello", json={"kind": "enum", "software": "x", "journal_id": 1, "now_us": 0}).json()
    identity = enrolled(covered, "enum-changes", tmp_path)
    assert hello(identity).device_id == number["device_id"]
    assert before.get("edge/term").status_code == 401


def test_a_certificate_of_the_stolen_authority_lets_nobody_in(covered: RunningMediation, tmp_path: Path) -> None:
    """Only what was issued and is in the database counts."""
    enrolled(covered, "enum-real", tmp_path)
    with covered.database.connection() as connection:
        authority = device_authority(connection)
    key, request = make_request("enum-real")
    forged = tmp_path / "forged.pem"
    forged.write_text(key + sign_request(authority, request, "enum-real", datetime.now(UTC)))
    identity = Identity(None, OwnCertificate(forged, forged), covered.trust, (covered.url,))
    with pytest.raises(NotSignedInError, match="not valid here"):
        hello(identity)


def test_a_certificate_of_another_authority_does_not_get_through_the_handshake(
    covered: RunningMediation, tmp_path: Path
) -> None:
    key, request = make_request("enum-real")
    other = tmp_path / "other.pem"
    other.write_text(key + sign_request(make_authority(datetime.now(UTC)), request, "enum-real", datetime.now(UTC)))
    with pytest.raises(UnavailableError):
        hello(Identity(None, OwnCertificate(other, other), covered.trust, (covered.url,)))


def test_a_device_uploads_only_its_own_events(covered: RunningMediation, tmp_path: Path) -> None:
    owner, other = enrolled(covered, "enum-own", tmp_path / "a"), enrolled(covered, "enum-other", tmp_path / "b")
    journal = 4711

    def sending(first: int) -> Callable[[MediationClient], Coroutine[Any, Any, int]]:
        return lambda client: client.post_events(journal, 0, upload(every_second(2), first))

    assert speak(owner, sending(1)) == 2
    for attempt in (sending(1), sending(3), lambda client: client.hello("enum", "x", journal, 1)):
        with pytest.raises(ForbiddenError, match="journal 4711 is that of device enum-own"):
            speak(other, attempt)
    assert hello(owner, journal).received == {0: 2}
    with covered.database.connection() as connection:
        rows = connection.execute(
            "SELECT d.name, s.last_sequence FROM device_stream s JOIN device d USING (device_id) WHERE journal_id = %s",
            (journal,),
        ).fetchall()
    assert rows == [("enum-own", 2)]


def wanted(identity: Identity) -> bool:
    return identity.is_renewal_wanted


class TestRotation:
    def renew(self, identity: Identity) -> None:
        """As the agent does, until it has."""
        generation = identity.generation

        async def run(client: MediationClient) -> None:
            task = asyncio.create_task(Renewal(identity, Failures()).run(client))
            while identity.generation == generation:
                await asyncio.sleep(0.01)
            task.cancel()
            await client.hello("enum", "x", 1, 1)  # shows the new one

        speak(identity, run)

    def test_on_demand_with_the_next_heartbeat(self, covered: RunningMediation, tmp_path: Path) -> None:
        identity = enrolled(covered, "enum-rotate", tmp_path)
        old = (tmp_path / "enum" / "identity" / "device.pem").read_text()
        old_file = tmp_path / "old.pem"
        old_file.write_text(old)
        report = {"policy_version": 0, "policy_hash": "", "now_us": 1}
        speak(identity, lambda client: client.heartbeat(report))
        assert wanted(identity) is False
        assert covered.client().post("devices/enum-rotate/rotate").status_code == 202
        speak(identity, lambda client: client.heartbeat(report))
        assert wanted(identity) is True
        self.renew(identity)
        assert wanted(identity) is False
        assert (tmp_path / "enum" / "identity" / "device.pem").read_text() != old
        before = Identity(None, OwnCertificate(old_file, old_file), identity.trust, identity.addresses)
        assert hello(before).device == "enum-rotate", "what is under way with the old one is not cut off"
        with covered.database.connection() as connection:
            device = Device(hello(identity).device_id, "enum-rotate", "enum", "main")
            der = ssl.PEM_cert_to_DER_cert(old[old.index("-----BEGIN CERT") :])
            with pytest.raises(NotSignedInError):
                device_certificates.authenticate_certificate(connection, der, datetime.now(UTC) + timedelta(minutes=11))
            assert not device_certificates.is_renewal_wanted(connection, device)

    def test_in_time_before_it_ends(self, covered: RunningMediation, tmp_path: Path) -> None:
        identity = enrolled(covered, "enum-due", tmp_path)
        ends = identity.expires_at()
        assert ends is not None
        assert not Renewal(identity, Failures())._is_due(ends)
        assert Renewal(identity, Failures(), DEVICE_LIFETIME * 2)._is_due(ends)

    def test_nobody_renews_who_has_none(self, covered: RunningMediation) -> None:
        covered.device("enum-plain")
        assert covered.client().post("devices/enum-plain/rotate").status_code == 404
        plain = covered.device("enum-plain-2")
        assert plain.post("edge/certificate", json={"request": make_request("x")[1]}).status_code == 403


def test_where_there_is_no_tls_an_invitation_gives_a_credential(mediation: RunningMediation, tmp_path: Path) -> None:
    identity = enrolled(mediation, "enum-local", tmp_path)
    assert identity.own is None
    assert identity.credential is not None
    settings = Settings(data=tmp_path).model_copy(deep=True)
    assert read_identity(settings, tmp_path / "enum").has_proof
    bare = Identity(identity.credential, None, Trust(), (mediation.url,))
    assert hello(bare).device == "enum-local"


def test_an_identity_that_others_can_read_is_refused(covered: RunningMediation, tmp_path: Path) -> None:
    enrolled(covered, "enum-open", tmp_path)
    (tmp_path / "enum" / "identity" / "device.pem").chmod(0o644)
    with pytest.raises(ConfigurationError, match="can be read by others"):
        read_identity(Settings(data=tmp_path), tmp_path / "enum")


def test_an_enum_server_enrols_and_works_over_tls(covered: RunningMediation, tmp_path: Path) -> None:
    """The two commands an operator types, and the server beside a mediation that knows it by its certificate."""
    from tests.cli.conftest import run_ringfence

    token = invited(covered, "enum-real-one")
    done = run_ringfence("enum", "enrol", token, "--data", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert token not in done.stdout
    edge = Edge(tmp_path)
    try:
        edge.ask(3)

        def is_here() -> bool:
            rows = covered.client().get("devices/enum-real-one").json()
            return bool(rows["is_live"] and (rows["report"].get("journal") or {}).get("acknowledged") == 3)

        wait_until(is_here, 30)
    finally:
        edge.stop()
    assert json.loads((tmp_path / "enum" / "identity" / "mediation.json").read_text())["fingerprints"] == [
        covered.fingerprint
    ]
