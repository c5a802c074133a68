"""Invitations of devices (table `device_invitation`: the only SQL of it), and what a device gets for one.

    administrator ── invite ──► token: addresses, certificate's fingerprint, secret ── to the device, by hand
    device ── secret and signing request, over TLS to that very certificate ──► accept ──► its certificate

The secret is kept as a hash, counts once and not for long. A token is worth a device's name and nothing else.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from ringfence.accounts import audit
from ringfence.accounts.credentials import hash_secret, new_secret
from ringfence.errors import InvalidInputError, NotFoundError, NotSignedInError
from ringfence.mediation import device_certificates, devices
from ringfence.mediation.devices import Device
from ringfence.trust.enrolment_token import EnrolmentToken

LONGEST = timedelta(days=30)


@dataclass(frozen=True)
class Invitation:
    """An invitation that nobody has accepted yet; all but its secret."""

    invitation_id: int
    name: str
    kind: str
    site: str
    made_by: str
    made_at: datetime
    expires_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Every field, times as ISO 8601."""
        return asdict(self) | {"made_at": self.made_at.isoformat(), "expires_at": self.expires_at.isoformat()}


@dataclass(frozen=True)
class Admission:
    """What a device is given: a certificate where the listener has TLS, else a credential."""

    device: Device
    certificate: str | None
    credential: str | None


def invite(
    connection: Connection,
    name: str,
    kind: str,
    site: str | None,
    lasts: timedelta,
    actor: str,
    now: datetime,
    way: EnrolmentToken,
) -> tuple[Invitation, str]:
    """Make an invitation; it and its token, which is shown once. `way`: how to reach this mediation, without secret.

    A device of this name that is registered already keeps its history; what it had until now ends when it enrols.
    """
    devices.check_name(name, kind)
    if not timedelta(0) < lasts <= LONGEST:
        raise InvalidInputError(f"expires: must be more than nothing and at most {LONGEST.days} days")
    site_id, site_name = devices.find_site(connection, site)
    secret = new_secret("rfi_")
    row = connection.execute(
        """
        INSERT INTO device_invitation (secret_hash, name, kind, site_id, made_by, made_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING invitation_id
        """,
        (hash_secret(secret), name, kind, site_id, actor, now, now + lasts),
    ).fetchone()
    assert row is not None  # noqa: S101 - INSERT returns one
    audit.record(connection, actor, "device.invite", name, {"kind": kind, "site": site_name})
    made = Invitation(row[0], name, kind, site_name, actor, now, now + lasts)
    return made, EnrolmentToken(way.addresses, way.fingerprint, secret).encode()


def list_open(connection: Connection, now: datetime) -> list[Invitation]:
    """Those that can still be accepted, by name."""
    with connection.cursor(row_factory=class_row(Invitation)) as cursor:
        return cursor.execute(
            """
            SELECT i.invitation_id, i.name, i.kind, s.name AS site, i.made_by, i.made_at, i.expires_at
            FROM device_invitation i JOIN site s USING (site_id)
            WHERE i.used_at IS NULL AND i.withdrawn_at IS NULL AND i.expires_at > %s ORDER BY i.name, i.invitation_id
            """,
            (now,),
        ).fetchall()


def withdraw(connection: Connection, invitation_id: int, actor: str, now: datetime) -> None:
    """An invitation counts no more. NotFoundError when it is none, or was accepted."""
    row = connection.execute(
        """
        UPDATE device_invitation SET withdrawn_at = %s
        WHERE invitation_id = %s AND used_at IS NULL AND withdrawn_at IS NULL RETURNING name
        """,
        (now, invitation_id),
    ).fetchone()
    if row is None:
        raise NotFoundError(
            f"invitation {invitation_id} is not open; `ringfence device invitations` shows those that are"
        )
    audit.record(connection, actor, "device.invitation_withdrawn", row[0])


def accept(
    connection: Connection, secret: str, kind: str, request: str, now: datetime, *, with_certificate: bool
) -> Admission:
    """Admit the device that brings an invitation's secret; it is used up. NotSignedInError when it does not count.

    InvalidInputError for another kind or a bad request: then it still counts, for nothing was given for it.
    """
    invitation = connection.execute(
        """
        UPDATE device_invitation SET used_at = %(now)s
        WHERE secret_hash = %(hash)s AND used_at IS NULL AND withdrawn_at IS NULL AND expires_at > %(now)s
        RETURNING name, kind, site_id
        """,
        {"now": now, "hash": hash_secret(secret)},
    ).fetchone()
    if invitation is None:
        raise NotSignedInError(
            "the invitation does not count: it was used, withdrawn or has expired; ask for another",
            code="not_signed_in.invitation",
        )
    name, invited_kind, site_id = invitation
    if kind != invited_kind:
        raise InvalidInputError(f"kind: {name} is invited as {invited_kind}, not {kind!r}")
    credential = None if with_certificate else new_secret("rfd_")
    device = devices.admit(connection, name, kind, site_id, hash_secret(credential) if credential else None)
    device_certificates.end_all(connection, device.device_id, now)
    certificate = device_certificates.issue(connection, device, request, now) if with_certificate else None
    audit.record(connection, name, "device.enrol", name, {"kind": kind})
    return Admission(device, certificate, credential)
