"""How a client makes sure whom it speaks to: by a fingerprint, by authorities of a file, or by those of the system.

    fingerprints   the certificate must be one of these; who signed it and what it is named does not matter
    ca_file        one of these must have signed it, and it must be for the host that was asked for
    neither        the same, with the authorities that the system trusts

There is no fourth way: nothing switches verification off, and nothing goes back to plain HTTP.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from ringfence.errors import ConfigurationError
from ringfence.settings import TrustSettings

# RFC 9325 4.2: forward secrecy and authenticated encryption only; those of TLS 1.3 all are.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True)
class Trust:
    """Whom a client believes. `authorities`: PEM, believed beside those of `ca_file` or the system."""

    fingerprints: tuple[str, ...] = ()
    ca_file: Path | None = None
    authorities: str = ""


@dataclass(frozen=True)
class OwnCertificate:
    """Files with which a client proves who it is."""

    certificate: Path
    key: Path


class PinError(ssl.SSLCertVerificationError):
    """Another certificate than the one that is known."""


def _check_pin(connection: ssl.SSLObject | ssl.SSLSocket) -> None:
    context = connection.context
    shown = connection.getpeercert(binary_form=True)
    if isinstance(context, _PinnedContext) and (
        shown is None or hashlib.sha256(shown).hexdigest() not in context.fingerprints
    ):
        found = hashlib.sha256(shown or b"").hexdigest()
        raise PinError(f"its certificate has the fingerprint {found}, which is not the one that is trusted")


class _PinnedObject(ssl.SSLObject):
    def do_handshake(self) -> None:
        """Handshake, then look whose certificate it was: not an octet of ours was sent before."""
        super().do_handshake()
        _check_pin(self)


class _PinnedSocket(ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        """Likewise."""
        super().do_handshake(block)
        _check_pin(self)


class _PinnedContext(ssl.SSLContext):
    sslobject_class = _PinnedObject
    sslsocket_class = _PinnedSocket
    fingerprints: frozenset[str] = frozenset()


def client_context(trust: Trust, own: OwnCertificate | None = None) -> ssl.SSLContext:
    """The TLS settings of a client. ConfigurationError names the file that cannot be used."""
    if trust.fingerprints:
        pinned = _PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
        pinned.check_hostname = False
        pinned.verify_mode = ssl.CERT_NONE  # the fingerprint says all
        pinned.fingerprints = frozenset(trust.fingerprints)
        context: ssl.SSLContext = pinned
    else:
        try:
            context = ssl.create_default_context(cafile=str(trust.ca_file) if trust.ca_file else None)
            if trust.authorities:
                context.load_verify_locations(cadata=trust.authorities)
                context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"trust.ca_file: {trust.ca_file} cannot be used: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    if own is not None:
        load_own(context, own)
    return context


def load_own(context: ssl.SSLContext, own: OwnCertificate) -> None:
    """Show this certificate from the next connection on. ConfigurationError."""
    try:
        context.load_cert_chain(own.certificate, own.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"device certificate: {own.certificate} cannot be used: {error}") from None


def verify_argument(url: str, trust: Trust) -> ssl.SSLContext | bool:
    """What httpx takes as `verify` for this URL; reading authorities takes a moment, so plain URLs do without."""
    return client_context(trust) if url.startswith("https://") else False


def trust_of(settings: TrustSettings) -> Trust:
    """As the settings say."""
    return Trust(settings.fingerprints, settings.ca_file)
