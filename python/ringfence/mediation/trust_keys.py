"""The mediation's own keys, in the database (table `trust_key`: the only SQL of it), and the listener's TLS from them.

In the database, so that backups and replicas carry them: after a failover edges meet the certificate that they know
and the authority that signed theirs. The authority's key alone lets nobody in: a device's certificate counts only
while it stands in `device_certificate` (docs/decisions/0020).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

from psycopg import Connection

from ringfence.accounts.readiness import has_administrator
from ringfence.database.connection import Database
from ringfence.errors import ConfigurationError, UnavailableError
from ringfence.mediation.local_files import mediation_file
from ringfence.settings import Settings, TrustSettings
from ringfence.trust import certificates
from ringfence.trust.certificates import KeyPair
from ringfence.trust.listener import ListenerTls
from ringfence.trust.verification import Trust, trust_of

_ANY = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound
Purpose = Literal["listener", "devices"]


def open_tls(settings: Settings, database: Database) -> ListenerTls | None:
    """TLS of the listener as the settings say; None: plain HTTP on loopback. ConfigurationError."""
    if not settings.api.has_tls:
        return None

    def made() -> KeyPair:
        with database.connection(even_if_fenced=True) as connection:
            return _ensure(connection, "listener", lambda: certificates.make_listener(_names(settings), _now()))

    name = urlsplit(settings.api.address).hostname if settings.api.address else None
    tls = ListenerTls(settings.api.tls, name, made)
    tls.trust_devices(_authorities(settings, database))
    return tls


def device_authority(connection: Connection) -> KeyPair:
    """The built-in authority that signs devices' certificates; made when it is first asked for."""
    return _ensure(connection, "devices", lambda: certificates.make_authority(_now()))


def public_address(settings: Settings) -> str:
    """The URL that edges reach this mediation at: as the settings say, else from host and port."""
    if settings.api.address is not None:
        return settings.api.address.rstrip("/")
    with suppress(OSError, ValueError, KeyError):
        place = json.loads(mediation_file(settings.data).read_text(encoding="utf-8"))
        port = urlsplit(str(place["url"])).port or settings.api.port
        host = settings.api.host if settings.api.host not in _ANY else socket.getfqdn()
        return f"{'https' if settings.api.has_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    raise UnavailableError("api.address: this mediation does not know its own address yet: try again")


def partner_trust(settings: TrustSettings, tls: ListenerTls | None) -> Trust:
    """Whom to believe as another pair of this cluster: as the settings say, else who shows our self-signed certificate.

    The pairs share it, because their databases are copies of one.
    """
    if settings.fingerprints or settings.ca_file is not None or tls is None or tls.shown.is_own:
        return trust_of(settings)
    return Trust((tls.shown.facts.fingerprint,))


def require_administrator(settings: Settings, connection: Connection) -> None:
    """ConfigurationError where other machines could reach a mediation that nobody has taken possession of yet."""
    if settings.api.is_beyond_loopback and not has_administrator(connection):
        raise ConfigurationError(
            f"api.host: {settings.api.host} is beyond loopback, where nothing listens before an administrator has "
            "changed the one-time password: start with api.host 127.0.0.1, sign in as admin, then set it again"
        )


def _authorities(settings: Settings, database: Database) -> str:
    own = settings.api.tls.client_ca
    if own is None:
        with database.connection(even_if_fenced=True) as connection:
            return device_authority(connection).certificate
    try:
        text = own.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"api.tls.client_ca: {own} cannot be read: {error}") from None
    if not certificates.split_pem(text):
        raise ConfigurationError(f"api.tls.client_ca: {own} holds no PEM certificate")
    return text


def _ensure(connection: Connection, purpose: Purpose, make: Callable[[], KeyPair]) -> KeyPair:
    found = _read(connection, purpose)
    if found is not None:
        return found
    pair = make()
    connection.execute(
        "INSERT INTO trust_key (purpose, certificate, key) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (purpose, pair.certificate, pair.key),
    )
    return _read(connection, purpose) or pair


def _read(connection: Connection, purpose: Purpose) -> KeyPair | None:
    row = connection.execute("SELECT certificate, key FROM trust_key WHERE purpose = %s", (purpose,)).fetchone()
    return KeyPair(row[0], row[1]) if row else None


def _names(settings: Settings) -> list[str]:
    """What the self-signed certificate is for. Names of more than 63 octets a label are none (RFC 1035 2.3.4)."""
    host = settings.api.host
    own = [socket.gethostname(), socket.getfqdn(), *([] if host in _ANY else [host])]
    names = dict.fromkeys((*settings.api.tls.names, *own, "localhost", "127.0.0.1", "::1"))
    return [name for name in names if name.isascii() and all(0 < len(part) < 64 for part in name.split("."))]


def _now() -> datetime:
    return datetime.now(UTC)
