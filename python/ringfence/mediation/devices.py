"""Devices: ENUM servers and probes, each with a credential of its own, and what each last said of itself.

A device is registered by a person, who is shown its credential once; the database keeps its SHA-256. A revoked
device's name may be registered again: it is then the same device, with its history, under a new credential.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from ringfence.accounts import audit
from ringfence.accounts.credentials import hash_secret, new_secret
from ringfence.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError, NotSignedInError
from ringfence.mediation.places import LIVE_FOR
from ringfence.mediation.wanted import NOTHING, read_wanted
from ringfence.policy import targets

KINDS = ("enum", "probe")
PENDING_FOR = timedelta(seconds=10)  # a live device that takes longer to follow has drifted
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Device:
    """A registered device."""

    device_id: int
    name: str
    kind: str
    site: str


@dataclass(frozen=True)
class DeviceStatus:
    """A device and what it last reported. `wanted_version` 0: no policy is installed for it.

    `wanted_from` is the target that it follows ('all', 'site:NAME', 'device:NAME'); `policy_version` and `policy_since`
    are what it was last seen to enforce.
    """

    device_id: int
    name: str
    kind: str
    site: str
    created_at: datetime
    last_seen_at: datetime | None
    address: str | None
    software: str | None
    policy_version: int | None
    policy_hash: str | None
    wanted_version: int
    clock_offset_us: int | None
    is_live: bool
    report: dict[str, Any]
    wanted_hash: str = ""
    wanted_from: str = ""
    wanted_since: datetime | None = None
    policy_since: datetime | None = None
    note: str = ""
    certificate_until: datetime | None = None  # None: it has a credential, not a certificate of ours

    @property
    def is_current(self) -> bool:
        """Whether it enforces the very document that it should."""
        hashes = {self.policy_hash or "", self.wanted_hash} - {""}
        return (self.policy_version or 0) == self.wanted_version and len(hashes) <= 1

    @property
    def pending_version(self) -> int | None:
        """What it should enforce and does not yet, as far as it was last seen; None when it does."""
        return None if self.is_current else self.wanted_version

    def drift_since(self, now: datetime) -> datetime | None:
        """Since when a live device enforces another policy than it should; None: it does not, or only for seconds."""
        changes = [time for time in (self.wanted_since, self.policy_since) if time is not None]
        if self.is_current or not self.is_live or not changes or now - max(changes) < PENDING_FOR:
            return None
        return max(changes)

    def as_json(self, now: datetime | None = None) -> dict[str, Any]:
        """Every field and what follows from them, times as ISO 8601."""
        drift_since = self.drift_since(now or datetime.now(UTC))
        values = asdict(self) | {
            "is_current": self.is_current,
            "pending_version": self.pending_version,
            "is_drifting": drift_since is not None,
            "drift_since": drift_since,
        }
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


@dataclass(frozen=True)
class Heartbeat:
    """What a device says of itself every few seconds (docs/contracts.md 2)."""

    policy_version: int
    policy_hash: str
    now_us: int
    report: Mapping[str, Any] = field(default_factory=dict)


def register_device(connection: Connection, name: str, kind: str, site: str | None, actor: str) -> tuple[Device, str]:
    """Make a device's credential, shown once. `site` None: the first site. Registered already: ConflictError."""
    check_name(name, kind)
    site_id, site_name = find_site(connection, site)
    secret = new_secret("rfd_")
    existing = connection.execute(
        "SELECT 1 FROM device WHERE name = %s AND revoked_at IS NULL FOR UPDATE", (name,)
    ).fetchone()
    if existing is not None:
        raise ConflictError(f"device {name!r} is registered already; revoke it first to give it a new credential")
    device = admit(connection, name, kind, site_id, hash_secret(secret))
    audit.record(connection, actor, "device.add", name, {"kind": kind, "site": site_name})
    return device, secret


def check_name(name: str, kind: str) -> None:
    """InvalidInputError for what is no device's name, or no kind of device."""
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"device name: {name!r} is not a name; expected 1 to 64 letters, digits, '.', '_' or '-'",
            code="invalid.device",
        )
    if kind not in KINDS:
        raise InvalidInputError(
            f"kind: {kind!r} is not a kind of device; expected enum or probe", code="invalid.device"
        )


def admit(connection: Connection, name: str, kind: str, site_id: int, credential_hash: bytes | None) -> Device:
    """Register a device, or give one of this name a new credential; its events stay its own. None: by certificate."""
    row = connection.execute(
        """
        INSERT INTO device (name, kind, site_id, credential_hash) VALUES (%(name)s, %(kind)s, %(site_id)s, %(hash)s)
        ON CONFLICT (name) DO UPDATE SET kind = %(kind)s, site_id = %(site_id)s, credential_hash = %(hash)s,
            revoked_at = NULL, renewal_wanted_at = NULL, last_seen_at = NULL, policy_version = NULL, policy_hash = NULL,
            report = '{}'
        RETURNING device_id
        """,
        {"name": name, "kind": kind, "site_id": site_id, "hash": credential_hash},
    ).fetchone()
    site = connection.execute("SELECT name FROM site WHERE site_id = %s", [site_id]).fetchone()
    assert row is not None  # noqa: S101 - INSERT returns one
    assert site is not None  # noqa: S101 - the device refers to it
    targets.tell(connection)
    return Device(row[0], name, kind, site[0])


def _hold(connection: Connection, name: str) -> int:
    """Number of a registered device that the person sees, held until the transaction ends. NotFoundError.

    It is then written in the table itself: Citus writes through no view, and people limited to sites have views.
    """
    held = connection.execute(
        """
        SELECT device_id FROM ringfence.device
        WHERE device_id = (SELECT device_id FROM device WHERE name = %s) AND revoked_at IS NULL FOR UPDATE
        """,
        (name,),
    ).fetchone()
    if held is None:
        raise NotFoundError(f"device {name!r} is not registered; `ringfence device list` shows those that are")
    return int(held[0])


def revoke_device(connection: Connection, name: str, actor: str) -> None:
    """Take a device's credential away, at once. NotFoundError when it is not registered."""
    device_id = _hold(connection, name)
    connection.execute("UPDATE ringfence.device SET revoked_at = now() WHERE device_id = %s", (device_id,))
    # Nor is it to come back with them once the name is registered anew.
    connection.execute(
        "UPDATE device_certificate SET ends_at = now() WHERE device_id = %s AND (ends_at IS NULL OR ends_at > now())",
        (device_id,),
    )
    targets.forget(connection, targets.DEVICE + name)
    targets.tell(connection)
    audit.record(connection, actor, "device.revoke", name)


def edit_device(
    connection: Connection, name: str, actor: str, *, site: str | None = None, note: str | None = None
) -> None:
    """Say that a device stands at another site, or a note about it; None leaves it. NotFoundError."""
    device_id = _hold(connection, name)
    before = connection.execute(
        "SELECT s.name, d.note FROM device d JOIN site s USING (site_id) WHERE d.device_id = %s", (device_id,)
    ).fetchone()
    assert before is not None  # noqa: S101 - it is held
    site_id, site_name = find_site(connection, site if site is not None else before[0])
    after = {"site": site_name, "note": before[1] if note is None else note}
    if len(after["note"]) > 1000:
        raise InvalidInputError(f"note: has {len(after['note'])} characters; expected at most 1000")
    if after == {"site": before[0], "note": before[1]}:
        return
    connection.execute(
        "UPDATE ringfence.device SET site_id = %s, note = %s WHERE device_id = %s", (site_id, after["note"], device_id)
    )
    targets.tell(connection)
    audit.record(
        connection, actor, "device.edit", name, {"before": {"site": before[0], "note": before[1]}, "after": after}
    )


def authenticate_device(connection: Connection, credential: str) -> Device:
    """The device that holds this credential. NotSignedInError when unknown or revoked."""
    with connection.cursor(row_factory=class_row(Device)) as cursor:
        device = cursor.execute(
            """
            SELECT d.device_id, d.name, d.kind, s.name AS site FROM device d JOIN site s USING (site_id)
            WHERE d.credential_hash = %s AND d.revoked_at IS NULL
            """,
            (hash_secret(credential),),
        ).fetchone()
    if device is None:
        raise NotSignedInError("the device's credential is not valid, or was revoked: register the device again")
    return device


def list_devices(connection: Connection, now: datetime | None = None) -> list[DeviceStatus]:
    """Every registered device, by name."""
    now = now or datetime.now(UTC)
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            SELECT d.device_id, d.name, d.kind, s.name AS site, d.created_at, d.last_seen_at, d.address, d.software,
                   d.policy_version, d.policy_hash, d.policy_since, d.clock_offset_us, d.report, d.note,
                   (SELECT max(c.not_after) FROM device_certificate c
                    WHERE c.device_id = d.device_id AND c.ends_at IS NULL) AS certificate_until
            FROM device d JOIN site s USING (site_id) WHERE d.revoked_at IS NULL ORDER BY d.name
            """
        ).fetchall()
    wanted = read_wanted(connection)
    return [
        DeviceStatus(
            **row,
            is_live=_is_live(row["last_seen_at"], now),
            wanted_version=should.version,
            wanted_hash=should.hash,
            wanted_from=should.target,
            wanted_since=should.since,
        )
        for row in rows
        for should in (wanted.get(row["device_id"], NOTHING),)
    ]


def read_device(connection: Connection, name: str, now: datetime | None = None) -> DeviceStatus:
    """One registered device. NotFoundError."""
    for device in list_devices(connection, now):
        if device.name == name:
            return device
    raise NotFoundError(f"device {name!r} is not registered; `ringfence device list` shows those that are")


def record_hello(
    connection: Connection, device: Device, kind: str, software: str, now_us: int, address: str | None, now: datetime
) -> None:
    """A device starts or reconnects. InvalidInputError when it is not of the kind that was registered."""
    if kind != device.kind:
        raise InvalidInputError(f"kind: device {device.name} is registered as {device.kind}, not {kind!r}")
    connection.execute(
        "UPDATE device SET software = %s, address = %s, last_seen_at = %s, clock_offset_us = %s WHERE device_id = %s",
        (software, address, now, _offset_us(now_us, now), device.device_id),
    )


def record_heartbeat(
    connection: Connection, device: Device, heartbeat: Heartbeat, address: str | None, now: datetime
) -> None:
    """Keep what a device says of itself: the newest of all, and of each minute what analytics shows as its health."""
    journal = heartbeat.report.get("journal", {})
    connection.execute(
        """
        WITH before AS (
            SELECT coalesce((report -> 'journal' ->> 'lost')::bigint, 0) AS lost FROM device
            WHERE device_id = %(device_id)s
        ), minute AS (
            INSERT INTO device_minute (device_id, minute, clock_offset_us, unsent, lost)
            SELECT %(device_id)s, date_trunc('minute', %(now)s::timestamptz), %(offset)s, %(unsent)s,
                   -- A journal that was opened anew counts from 0.
                   CASE WHEN %(lost)s >= before.lost THEN %(lost)s - before.lost ELSE %(lost)s END FROM before
            ON CONFLICT (device_id, minute) DO UPDATE SET
                clock_offset_us = CASE WHEN abs(excluded.clock_offset_us) > abs(device_minute.clock_offset_us)
                                       THEN excluded.clock_offset_us ELSE device_minute.clock_offset_us END,
                unsent = greatest(device_minute.unsent, excluded.unsent), lost = device_minute.lost + excluded.lost
        )
        UPDATE device SET policy_version = %(version)s, policy_hash = %(hash)s, report = %(report)s,
               address = %(address)s, last_seen_at = %(now)s, clock_offset_us = %(offset)s,
               policy_since = CASE WHEN (policy_version, policy_hash) IS DISTINCT FROM (%(version)s, %(hash)s)
                                   THEN %(now)s ELSE policy_since END
        WHERE device_id = %(device_id)s
        """,
        {
            "version": heartbeat.policy_version,
            "hash": heartbeat.policy_hash,
            "report": Jsonb(dict(heartbeat.report)),
            "address": address,
            "now": now,
            "offset": _offset_us(heartbeat.now_us, now),
            "unsent": max(0, journal.get("durable", 0) - journal.get("acknowledged", 0)),
            "lost": journal.get("lost", 0),
            "device_id": device.device_id,
        },
    )


def record_running_policy(connection: Connection, device: Device, version: int, hash_: str, now: datetime) -> None:
    """A policy poll says which version the device runs now: earlier than its next heartbeat would."""
    connection.execute(
        """
        UPDATE device SET policy_version = %(version)s, policy_hash = %(hash)s, last_seen_at = %(now)s,
               policy_since = %(now)s
        WHERE device_id = %(device_id)s AND (policy_version, policy_hash) IS DISTINCT FROM (%(version)s, %(hash)s)
        """,
        {"version": version, "hash": hash_, "now": now, "device_id": device.device_id},
    )


def received_sequences(connection: Connection, device: Device, journal_id: int) -> dict[int, int]:
    """Stream → last sequence of this device's journal that the committed database holds."""
    rows = connection.execute(
        "SELECT stream, last_sequence FROM device_stream WHERE device_id = %s AND journal_id = %s",
        (device.device_id, journal_id),
    ).fetchall()
    return dict(rows)


def refuse_foreign_journal(connection: Connection, device_id: int, journal_id: int) -> None:
    """ForbiddenError when another device sent of this journal: its events are that device's own, and held already."""
    row = connection.execute(
        """
        SELECT d.name FROM device_stream s JOIN device d USING (device_id)
        WHERE s.journal_id = %s AND s.device_id <> %s LIMIT 1
        """,
        (journal_id, device_id),
    ).fetchone()
    if row is not None:
        raise ForbiddenError(
            f"journal {journal_id} is that of device {row[0]}: enrol this one by that name, or move its journal away",
            code="forbidden.journal",
        )


def clock_offset_us(connection: Connection, device_id: int) -> int:
    """The device's clock minus ours as last measured, 0 where it never was; a network's delay makes it too small."""
    row = connection.execute("SELECT clock_offset_us FROM device WHERE device_id = %s", (device_id,)).fetchone()
    return int(row[0] or 0) if row else 0


def find_site(connection: Connection, name: str | None) -> tuple[int, str]:
    """Id and name of a site; None: the first one. NotFoundError."""
    row = connection.execute(
        "SELECT site_id, name FROM site WHERE %(name)s::text IS NULL OR name = %(name)s ORDER BY site_id LIMIT 1",
        {"name": name},
    ).fetchone()
    if row is None:
        raise NotFoundError(f"site {name!r} does not exist")
    return int(row[0]), str(row[1])


def _offset_us(device_us: int, now: datetime) -> int:
    return device_us - int(now.timestamp() * 1_000_000)


def _is_live(last_seen_at: datetime | None, now: datetime) -> bool:
    return last_seen_at is not None and now - last_seen_at <= LIVE_FOR
