"""TLS of a listener: which certificate it shows, what is wrong with it, and the change to a new one while it serves.

    own files     `api.tls.certificate` and `key`: read again when they change; a bad pair leaves the old one serving
    none named    a self-signed one, made once and known by its fingerprint

The same `ssl.SSLContext` serves for ever: loading a pair into it takes effect with the next connection.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import structlog

from ringfence.errors import ConfigurationError, InvalidInputError
from ringfence.private_file import write_private
from ringfence.settings import TlsSettings
from ringfence.trust.certificates import Facts, KeyPair, read_certificate, split_pem
from ringfence.trust.verification import CIPHERS

# A person has a month, an ACME client (which renews with a third of 90 or 45 days left) has had its tries.
EXPIRES_SOON = timedelta(days=14)
log = structlog.get_logger()


@dataclass(frozen=True)
class Shown:
    """The certificate that a listener shows."""

    facts: Facts
    chain: str  # PEM of what stands above it
    is_own: bool  # of files that the operator named


class ListenerTls:
    """One listener's TLS. Methods may be called from any thread."""

    def __init__(self, settings: TlsSettings, name: str | None, made: Callable[[], KeyPair]) -> None:
        """Take the certificate; `made` gives the self-signed one. ConfigurationError says what is wrong with it.

        `name`: what clients ask for, as far as that is known.
        """
        self._settings = settings
        self._name = name
        self._lock = Lock()
        self._seen: tuple[object, ...] = ()
        self.fault: str | None = None  # why a changed file was not taken
        self.context = _server_context()
        if settings.certificate is not None:
            self._seen = self._marks()
            self.shown = self._take_files()
        else:
            pair = made()
            self.shown = self._load(pair)

    def trust_devices(self, authorities: str) -> None:
        """Ask clients for a certificate that one of these signed; who has none may still come, as a person."""
        self.context.load_verify_locations(cadata=authorities)
        self.context.verify_mode = ssl.CERT_OPTIONAL

    def refresh(self) -> bool:
        """Take changed files; whether a new certificate is shown now. A bad pair is said, and changes nothing."""
        with self._lock:
            marks = self._marks() if self._settings.certificate is not None else ()
            if marks == self._seen:
                return False
            self._seen = marks
            try:
                shown = self._take_files()
            except ConfigurationError as error:
                self.fault = error.message
                log.error("tls.certificate_not_taken", why=error.message)
                return False
            self.fault = None
            is_new = shown.facts != self.shown.facts
            self.shown = shown
            log.info("tls.certificate_taken", fingerprint=shown.facts.fingerprint, not_after=str(shown.facts.not_after))
            return is_new

    def notes(self, now: datetime) -> list[str]:
        """What a person should know; none: all is well."""
        left = self.shown.facts.not_after - now
        notes = [f"TLS: {self.fault}; the certificate from before still serves"] if self.fault else []
        if left <= timedelta(0):
            notes.append(f"TLS: the certificate expired on {self.shown.facts.not_after:%Y-%m-%d}: clients refuse it")
        elif left < EXPIRES_SOON:
            notes.append(f"TLS: the certificate expires in {left.days} days: renew it")
        if self.shown.is_own and self._name is not None and not self.shown.facts.covers(self._name):
            names = ", ".join(self.shown.facts.names) or "no name"
            notes.append(f"TLS: the certificate is for {names}, not {self._name} as api.address says")
        return notes

    def as_json(self) -> dict[str, Any]:
        """For status."""
        facts = self.shown.facts
        return {
            "fingerprint": facts.fingerprint,
            "names": list(facts.names),
            "not_after": facts.not_after.isoformat(),
            "is_own": self.shown.is_own,
        }

    def _marks(self) -> tuple[object, ...]:
        """What tells changed files: also of a link that points elsewhere now, as ACME clients leave it."""
        assert self._settings.certificate is not None  # noqa: S101 - asked only then
        assert self._settings.key is not None  # noqa: S101 - the settings see to it
        return tuple(_mark(path) for path in (self._settings.certificate, self._settings.key))

    def _take_files(self) -> Shown:
        certificate, key = self._settings.certificate, self._settings.key
        assert certificate is not None  # noqa: S101 - asked only then
        assert key is not None  # noqa: S101 - the settings see to it
        try:
            pem = certificate.read_text(encoding="ascii")
            facts = read_certificate(pem)
        except (OSError, UnicodeDecodeError, InvalidInputError) as error:
            raise ConfigurationError(f"api.tls.certificate: {certificate} cannot be read: {error}") from None
        now = datetime.now(UTC)
        if not facts.not_before <= now:
            raise ConfigurationError(
                f"api.tls.certificate: {certificate} is valid only from {facts.not_before:%Y-%m-%d} on"
            )
        if facts.not_after <= now:
            raise ConfigurationError(f"api.tls.certificate: {certificate} expired on {facts.not_after:%Y-%m-%d}")
        try:
            # First into a context of no use: a pair that does not fit must not spoil the one that serves.
            _server_context().load_cert_chain(certificate, key, password=_no_password)
            self.context.load_cert_chain(certificate, key, password=_no_password)
        except ssl.SSLError as error:
            why = (
                "does not belong to the certificate" if "MISMATCH" in str(error) else f"cannot be used: {error.reason}"
            )
            raise ConfigurationError(f"api.tls.key: {key} {why}") from None
        except OSError as error:
            raise ConfigurationError(f"api.tls.key: {key} cannot be read: {error.strerror or error}") from None
        return Shown(facts, "\n".join(split_pem(pem)[1:]), is_own=True)

    def _load(self, pair: KeyPair) -> Shown:
        with tempfile.TemporaryDirectory(prefix="ringfence-") as folder:  # of mode 0700; OpenSSL reads files only
            file = Path(folder) / "pair.pem"
            write_private(file, pair.certificate + pair.key)
            self.context.load_cert_chain(file)
        return Shown(read_certificate(pair.certificate), "", is_own=False)


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _mark(path: Path) -> tuple[object, ...]:
    try:
        status = path.stat()
    except OSError as error:
        return (error.errno,)
    return status.st_mtime_ns, status.st_ino, status.st_size


def _no_password() -> str:
    """Asked for an encrypted key's password: OpenSSL would ask on the terminal otherwise."""
    raise ConfigurationError(
        "api.tls.key: is encrypted; expected a key without a password, readable by its owner alone"
    )
