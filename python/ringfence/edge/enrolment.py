"""Who an edge is: what it was given when it was enrolled or registered, in files only their owner can read.

    <folder>/identity/device.pem       key and certificate, one file, so that both change at once
    <folder>/identity/mediation.json   {"addresses": [...], "fingerprints": [...], "authorities": "PEM"}
    <folder>/credential                of a device that was registered, or enrolled where there is no TLS

The key is made here and never leaves.
"""

from __future__ import annotations

import json
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from ringfence.errors import ConfigurationError, InvalidInputError
from ringfence.private_file import write_private
from ringfence.settings import EdgeSettings, Settings
from ringfence.trust import verification
from ringfence.trust.certificates import make_request, read_certificate
from ringfence.trust.enrolment_token import EnrolmentToken
from ringfence.trust.verification import OwnCertificate, Trust

_OTHERS = 0o077


@dataclass
class Identity:
    """How this edge proves who it is, and whom it believes; shared by all that speaks to the mediation."""

    credential: str | None = None
    own: OwnCertificate | None = None
    trust: Trust = field(default_factory=Trust)
    addresses: tuple[str, ...] = ()
    # Counts changes of the certificate: connections that were made before show the one before.
    generation: int = 0
    is_renewal_wanted: bool = False

    @property
    def has_proof(self) -> bool:
        """Whether there is anything to show a mediation."""
        return self.credential is not None or self.own is not None

    @cached_property
    def context(self) -> ssl.SSLContext:
        """TLS for all its connections; made when the first one is."""
        return verification.client_context(self.trust, self.own)

    @property
    def is_enrolled(self) -> bool:
        """Whether its certificate is one that the mediation issues, and renews."""
        return self.own is not None and self.own.certificate.name == "device.pem"

    def expires_at(self) -> datetime | None:
        """When its certificate ends; None: it has none, or it cannot be read."""
        if self.own is None:
            return None
        with suppress(OSError, InvalidInputError, UnicodeDecodeError):
            return read_certificate(self.own.certificate.read_text(encoding="ascii")).not_after
        return None

    def replace_certificate(self, key: str, certificate: str) -> None:
        """Keep a new pair, durably, and show it from the next connection on. ConfigurationError, OSError."""
        assert self.own is not None  # noqa: S101 - only who has one is given the next
        write_private(self.own.certificate, key + certificate)
        verification.load_own(self.context, self.own)
        self.generation += 1
        self.is_renewal_wanted = False


def read_identity(settings: Settings, folder: Path) -> Identity:
    """Who the edge with this data folder is; what the settings say goes before what the folder holds."""
    edge = settings.edge
    trust = verification.trust_of(settings.trust)
    if edge.certificate_file is not None and edge.key_file is not None:
        return Identity(None, OwnCertificate(edge.certificate_file, edge.key_file), trust, edge.mediation)
    if credential := read_credential(edge, folder):
        return Identity(credential, None, trust, edge.mediation)
    place = folder / "identity"
    if not (place / "device.pem").exists():
        return Identity(None, None, trust, edge.mediation)
    _refuse_if_open(place / "device.pem")
    known = _read_mediation(place / "mediation.json")
    if not trust.fingerprints and trust.ca_file is None:
        trust = Trust(tuple(known["fingerprints"]), None, known["authorities"])
    own = OwnCertificate(place / "device.pem", place / "device.pem")
    return Identity(None, own, trust, edge.mediation or tuple(known["addresses"]))


def read_credential(edge: EdgeSettings, folder: Path) -> str | None:
    """The credential from the settings, the file they name, or `<folder>/credential`; None when there is none."""
    if edge.credential:
        return edge.credential
    if edge.credential_file is not None:
        return _read(edge.credential_file)
    default = folder / "credential"
    return _read(default) if default.exists() else None


@dataclass(frozen=True)
class Enrolled:
    """What the mediation answered."""

    device: str
    address: str


def enrol(token: EnrolmentToken, kind: str, folder: Path, software: str, names: str) -> Enrolled:
    """Make a key, have it signed, and keep what comes back in `folder`. RingfenceError: nothing was kept.

    `names`: what the request calls the device; the mediation goes by the invitation.
    """
    from ringfence.mediation.client import Client  # HTTP, which the ENUM server's other commands do without

    key, request = make_request(names)
    trust = Trust((token.fingerprint,)) if token.fingerprint else Trust()
    address, answer = _ask(
        Client, token, trust, {"secret": token.secret, "kind": kind, "request": request, "software": software}
    )
    place = folder / "identity"
    _make_folder(folder)
    _make_folder(place)
    if answer["certificate"] is None:
        write_private(folder / "credential", f"{answer['credential']}\n")
        for name in ("device.pem", "mediation.json"):
            (place / name).unlink(missing_ok=True)
    else:
        known = {
            "addresses": token.addresses,
            "fingerprints": [token.fingerprint] if answer["is_pinned"] and token.fingerprint else [],
            "authorities": answer["authorities"],
        }
        write_private(place / "mediation.json", json.dumps(known, indent=1) + "\n")
        write_private(place / "device.pem", key + answer["certificate"])
        # It is of no use any more: the mediation forgot it.
        (folder / "credential").unlink(missing_ok=True)
    _give_to_owner(folder)
    return Enrolled(str(answer["device"]), address)


def _ask(client: Any, token: EnrolmentToken, trust: Trust, body: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The first mediation of the token that answers; the last one's fault is what is said."""
    from ringfence.errors import UnavailableError

    fault: UnavailableError | None = None
    for address in token.addresses:
        transport = None
        if address.startswith("unix:"):
            import httpx

            transport = httpx.HTTPTransport(uds=address.removeprefix("unix:"), verify=False)  # no TLS on it
        url = "http://mediation" if transport else address
        try:
            with client(url, "", transport, trust) as http:
                return address, http.post("enrolments", body)
        except UnavailableError as error:
            fault = error
    assert fault is not None  # noqa: S101 - a token names an address
    raise fault


def _read_mediation(file: Path) -> dict[str, Any]:
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
        return {
            "addresses": tree["addresses"],
            "fingerprints": tree["fingerprints"],
            "authorities": tree["authorities"],
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}; enrol this device again") from None


def _refuse_if_open(file: Path) -> None:
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None
    if mode & _OTHERS:
        raise ConfigurationError(f"{file} can be read by others; its mode must be 0600")


def _read(file: Path) -> str:
    try:
        if file.stat().st_mode & _OTHERS:
            raise ConfigurationError(f"edge.credential_file: {file} can be read by others; its mode must be 0600")
        credential = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"edge.credential_file: {file} cannot be read: {error}") from None
    if not credential:
        raise ConfigurationError(f"edge.credential_file: {file} is empty")
    return credential


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be made: {error.strerror}") from None


def _give_to_owner(folder: Path) -> None:
    """Root enrols for a service that runs as another account: what was made belongs to the data folder's owner."""
    if os.geteuid() != 0:
        return
    owner = folder.parent.stat()
    for path in (folder, *folder.rglob("*")):
        if path == folder or path.parent.name == "identity" or path.name in ("identity", "credential"):
            os.chown(path, owner.st_uid, owner.st_gid)
