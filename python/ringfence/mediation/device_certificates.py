"""Certificates of devices (table `device_certificate`: the only SQL of it): issued, looked up, replaced, ended.

    issue ──► in use, from its first use on ──► the older ones end ten minutes later ──► ended
                                            └─► not_after, or the device is revoked ──► ended

Only what stands here lets a device in. With an authority of the operator's own (`api.tls.client_ca`) nothing is issued
here: then a certificate's common name says which registered device it is.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from psycopg import Connection
from psycopg.rows import class_row

from ringfence.accounts import audit
from ringfence.errors import NotFoundError, NotSignedInError
from ringfence.mediation.devices import Device
from ringfence.mediation.trust_keys import device_authority
from ringfence.trust.certificates import common_name, read_certificate, sign_request

# Requests under way with the certificate before: the longest waits for a minute.
_OVERLAP = timedelta(minutes=10)
_REFUSED = "the device's certificate is not valid here, or was revoked: invite and enrol the device again"


def issue(connection: Connection, device: Device, request: str, now: datetime) -> str:
    """Sign a device's request; the certificate, PEM. InvalidInputError when the request is none."""
    certificate = sign_request(device_authority(connection), request, device.name, now)
    facts = read_certificate(certificate)
    connection.execute(
        "INSERT INTO device_certificate (fingerprint, device_id, issued_at, not_after) VALUES (%s, %s, %s, %s)",
        (bytes.fromhex(facts.fingerprint), device.device_id, now, facts.not_after),
    )
    return certificate


def renew(connection: Connection, device: Device, request: str, now: datetime) -> str:
    """The next certificate of a device that proved itself; the one before ends soon after this is first used."""
    certificate = issue(connection, device, request, now)
    connection.execute("UPDATE device SET renewal_wanted_at = NULL WHERE device_id = %s", (device.device_id,))
    audit.record(connection, device.name, "device.renew", device.name)
    return certificate


def want_renewal(connection: Connection, name: str, actor: str, now: datetime) -> None:
    """Ask a device for a new key and certificate with its next heartbeat. NotFoundError when it has none."""
    enrolled = connection.execute(
        """
        SELECT device_id FROM device d WHERE name = %s AND revoked_at IS NULL
        AND EXISTS (SELECT 1 FROM device_certificate c WHERE c.device_id = d.device_id)
        """,
        (name,),
    ).fetchone()
    if enrolled is None:
        raise NotFoundError(f"device {name!r} is not enrolled; `ringfence device invite {name}` makes an invitation")
    # In the table itself: Citus writes through no view, and people limited to sites have views.
    connection.execute(
        "UPDATE ringfence.device SET renewal_wanted_at = %s WHERE device_id = %s AND revoked_at IS NULL",
        (now, *enrolled),
    )
    audit.record(connection, actor, "device.rotate", name)


def is_renewal_wanted(connection: Connection, device: Device) -> bool:
    """Whether somebody asked this device for a new certificate."""
    row = connection.execute(
        "SELECT renewal_wanted_at IS NOT NULL FROM device WHERE device_id = %s", (device.device_id,)
    ).fetchone()
    return bool(row and row[0])


def end_all(connection: Connection, device_id: int, now: datetime) -> None:
    """None of a device's certificates counts any more, at once; `devices.revoke_device` does the same."""
    connection.execute(
        """
        UPDATE device_certificate SET ends_at = %(now)s
        WHERE device_id = %(id)s AND coalesce(ends_at > %(now)s, true)
        """,
        {"id": device_id, "now": now},
    )


def authenticate_certificate(connection: Connection, der: bytes, now: datetime) -> Device:
    """Whose certificate this is, of those issued here. NotSignedInError when none, ended, or the device revoked."""
    fingerprint = hashlib.sha256(der).digest()
    found = _device(
        connection,
        """
        SELECT d.device_id, d.name, d.kind, s.name AS site
        FROM device_certificate c JOIN device d USING (device_id) JOIN site s USING (site_id)
        WHERE c.fingerprint = %s AND d.revoked_at IS NULL AND c.not_after > %s AND coalesce(c.ends_at > %s, true)
        """,
        (fingerprint, now, now),
    )
    if not connection.read_only:  # of a pair that is fenced
        _note_first_use(connection, found, fingerprint, now)
    return found


def authenticate_named(connection: Connection, der: bytes) -> Device:
    """Whose certificate of the operator's own authority this is, by its common name. NotSignedInError."""
    return _device(
        connection,
        """
        SELECT d.device_id, d.name, d.kind, s.name AS site FROM device d JOIN site s USING (site_id)
        WHERE d.name = %s AND d.revoked_at IS NULL
        """,
        (common_name(der),),
    )


def _device(connection: Connection, statement: str, parameters: tuple[object, ...]) -> Device:
    with connection.cursor(row_factory=class_row(Device)) as cursor:
        found = cursor.execute(statement.encode(), parameters).fetchone()
    if found is None:
        raise NotSignedInError(_REFUSED)
    return found


def _note_first_use(connection: Connection, device: Device, fingerprint: bytes, now: datetime) -> None:
    used = connection.execute(
        "UPDATE device_certificate SET first_used_at = %s WHERE fingerprint = %s AND first_used_at IS NULL",
        (now, fingerprint),
    )
    if used.rowcount:
        connection.execute(
            """
            UPDATE device_certificate SET ends_at = least(ends_at, %(end)s)
            WHERE device_id = %(id)s AND fingerprint <> %(this)s
              AND issued_at <= (SELECT issued_at FROM device_certificate WHERE fingerprint = %(this)s)
            """,
            {"end": now + _OVERLAP, "id": device.device_id, "this": fingerprint},
        )
