"""Definitions and their versions, which of them are deployed, and the all-stop switch. Every change is audited.

save ──► detection_version (immutable, numbered for each name)
deploy, withdraw, all-stop ──► what acts ── NOTIFY at commit ──► the leader's watcher
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from ringfence.accounts import audit
from ringfence.detection.catalogue import catalogue
from ringfence.detection.definition import Definition, definition_from
from ringfence.detection.firing import Mode
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError

CHANNEL = "ringfence_detections"  # NOTIFY channel: what is deployed, or may be contained, has changed
MAX_DEFINITIONS = 500
MAX_DEPLOYED = 100  # each costs a look at every event
MAX_MESSAGE = 500
_LOCK = 7_201_011  # advisory lock: changes one after the other

_LIST = """
SELECT v.name, v.version, v.definition, v.author, v.created_at, v.message, d.version, d.mode, d.deployed_at,
       d.deployed_by
FROM (SELECT DISTINCT ON (name) * FROM detection_version ORDER BY name, version DESC) AS v
LEFT JOIN detection_deployment AS d USING (name)
"""
_READ_ALL_STOP = "SELECT is_stopped, reason, changed_by, changed_at FROM detection_control"
_READ_ALL_STOP_HELD = f"{_READ_ALL_STOP} FOR SHARE"


@dataclass(frozen=True)
class Deployment:
    """A definition that acts, in the version and mode in which it does."""

    definition: Definition
    version: int
    mode: Mode
    deployed_at: datetime
    deployed_by: str

    def as_json(self) -> dict[str, Any]:
        """Version, mode, since when and by whom."""
        return {
            "version": self.version,
            "mode": self.mode.value,
            "deployed_at": self.deployed_at.isoformat(),
            "deployed_by": self.deployed_by,
        }


@dataclass(frozen=True)
class Detection:
    """A detection as it stands: its newest definition; `version` 0 is the catalogue's, which nobody has saved."""

    definition: Definition
    version: int
    author: str
    saved_at: datetime | None
    message: str
    deployment: Deployment | None

    @property
    def name(self) -> str:
        """Of the definition."""
        return self.definition.name

    def as_json(self) -> dict[str, Any]:
        """What a list shows of it, and the definition as its author wrote it."""
        one = self.definition
        return {
            "name": one.name,
            "title": one.title,
            "dataset": one.dataset,
            "severity": one.severity.value,
            "version": self.version,
            "is_from_catalogue": one.name in catalogue(),
            "author": self.author,
            "saved_at": self.saved_at.isoformat() if self.saved_at else None,
            "message": self.message,
            "deployed": self.deployment.as_json() if self.deployment else None,
            "needs": one.needs,
            "definition": one.as_source(),
        }


@dataclass(frozen=True)
class AllStop:
    """Whether containment is halted."""

    is_stopped: bool
    reason: str
    changed_by: str
    changed_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Every field, the time as ISO 8601."""
        changed = self.changed_at.isoformat() if self.changed_at else None
        return {
            "is_stopped": self.is_stopped,
            "reason": self.reason,
            "changed_by": self.changed_by,
            "changed_at": changed,
        }


def list_detections(connection: Connection) -> list[Detection]:
    """All that are saved, by name among the catalogue's, which come in their own order."""
    saved = {one.name: one for one in (_detection(connection, row) for row in connection.execute(_LIST).fetchall())}
    of_catalogue = [saved[name] if name in saved else _unsaved(one) for name, one in catalogue().items()]
    return [*of_catalogue, *(saved[name] for name in sorted(saved) if name not in catalogue())]


def read_detection(connection: Connection, name: str) -> Detection:
    """One, in its newest version. NotFoundError."""
    row = connection.execute(f"{_LIST} WHERE v.name = %s", (name,)).fetchone()
    if row is not None:
        return _detection(connection, row)
    if name in catalogue():
        return _unsaved(catalogue()[name])
    raise NotFoundError(f"detection {name!r} does not exist; `ringfence detection list` shows those that do")


def read_definition(connection: Connection, name: str, version: int) -> Definition:
    """A version as it was saved; version 0 is the catalogue's. NotFoundError."""
    if version == 0 and name in catalogue():
        return catalogue()[name]
    row = connection.execute(
        "SELECT definition FROM detection_version WHERE name = %s AND version = %s", (name, version)
    ).fetchone()
    if row is None:
        raise NotFoundError(f"detection {name!r} has no version {version}")
    return definition_from(row[0])


def list_versions(connection: Connection, name: str) -> list[dict[str, Any]]:
    """Every saved version of a detection, newest first."""
    rows = connection.execute(
        "SELECT version, author, message, created_at FROM detection_version WHERE name = %s ORDER BY version DESC",
        (name,),
    ).fetchall()
    return [
        {"version": version, "author": author, "message": message, "created_at": at.isoformat()}
        for version, author, message, at in rows
    ]


def list_deployed(connection: Connection) -> list[Deployment]:
    """What acts, by name."""
    rows = connection.execute(
        """
        SELECT v.definition, d.version, d.mode, d.deployed_at, d.deployed_by
        FROM detection_deployment d JOIN detection_version v USING (name, version) ORDER BY d.name
        """
    ).fetchall()
    return [Deployment(definition_from(row[0]), row[1], Mode(row[2]), row[3], row[4]) for row in rows]


def save_definition(
    connection: Connection, definition: Definition, author: str, now: datetime, message: str = ""
) -> Detection:
    """Keep a definition as the next version of its name; the same again makes none. What is deployed stays so."""
    if len(message) > MAX_MESSAGE:
        raise InvalidInputError(f"message: has {len(message)} characters; expected at most {MAX_MESSAGE}")
    _lock(connection)
    row = connection.execute(
        "SELECT version, definition FROM detection_version WHERE name = %s ORDER BY version DESC LIMIT 1",
        (definition.name,),
    ).fetchone()
    if row is not None and definition_from(row[1]) == definition:
        return read_detection(connection, definition.name)
    if row is None:
        _check_room(connection)
    version = (row[0] if row else 0) + 1
    connection.execute(
        """
        INSERT INTO detection_version (name, version, definition, author, message, created_at)
        VALUES (%s, %s, %s, %s, %s, %s)
        """,
        (definition.name, version, Jsonb(definition.as_source()), author, message, now),
    )
    detail = {"version": version, "message": message, "before": row[1] if row else None}
    audit.record(connection, author, "detection.save", definition.name, detail | {"after": definition.as_source()})
    return read_detection(connection, definition.name)


def deploy(
    connection: Connection, name: str, actor: str, now: datetime, mode: Mode | None = None, version: int | None = None
) -> Detection:
    """Let a detection act, in its newest version unless another is named. The catalogue's becomes version 1.

    ConflictError: something must be filled in first, or it has nothing to contain with. NotFoundError.
    """
    _lock(connection)
    found = read_detection(connection, name)
    if found.version == 0:
        found = save_definition(connection, found.definition, actor, now, "from the catalogue")
    chosen = version or found.version
    definition = read_definition(connection, name, chosen)
    wanted = mode or definition.mode
    if definition.needs:
        raise ConflictError(f"detection {name!r} is not complete: {definition.needs}; fill it in, clear needs, save")
    if wanted is Mode.CONTAIN and definition.contain is None:
        raise ConflictError(f"detection {name!r} cannot contain: its definition has no contain: which list, how long")
    others = connection.execute("SELECT count(*) FROM detection_deployment WHERE name <> %s", (name,)).fetchone()
    if others is not None and others[0] >= MAX_DEPLOYED:
        raise ConflictError(f"{MAX_DEPLOYED} detections are deployed, the most; withdraw one first")
    connection.execute(
        """
        INSERT INTO detection_deployment (name, version, mode, deployed_at, deployed_by) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (name) DO UPDATE SET version = excluded.version, mode = excluded.mode,
            deployed_at = excluded.deployed_at, deployed_by = excluded.deployed_by
        """,
        (name, chosen, wanted.value, now, actor),
    )
    before = found.deployment.as_json() if found.deployment else None
    audit.record(
        connection, actor, "detection.deploy", name, {"version": chosen, "mode": wanted.value, "before": before}
    )
    _tell(connection)
    return read_detection(connection, name)


def withdraw(connection: Connection, name: str, actor: str) -> Detection:
    """Let it act no more; its entries on lists stay until they end or are released. ConflictError: it did not act."""
    _lock(connection)
    found = read_detection(connection, name)
    if found.deployment is None:
        raise ConflictError(f"detection {name!r} is not deployed")
    connection.execute("DELETE FROM detection_deployment WHERE name = %s", (name,))
    audit.record(connection, actor, "detection.withdraw", name, {"before": found.deployment.as_json()})
    _tell(connection)
    return read_detection(connection, name)


def read_all_stop(connection: Connection, *, held: bool = False) -> AllStop:
    """The switch; with `held` nobody turns it until this transaction ends, so that nothing is listed after it."""
    row = connection.execute(_READ_ALL_STOP_HELD if held else _READ_ALL_STOP).fetchone()
    return AllStop(*row) if row else AllStop(False, "", "", None)


def set_all_stop(connection: Connection, is_stopped: bool, actor: str, now: datetime, reason: str = "") -> AllStop:
    """Halt all containment, or let it go on. Once this is committed nothing more is listed; entries stay."""
    if len(reason) > MAX_MESSAGE:
        raise InvalidInputError(f"reason: has {len(reason)} characters; expected at most {MAX_MESSAGE}")
    before = read_all_stop(connection)
    connection.execute(
        "UPDATE detection_control SET is_stopped = %s, reason = %s, changed_by = %s, changed_at = %s",
        (is_stopped, reason, actor, now),
    )
    detail = {"before": before.is_stopped, "after": is_stopped, "reason": reason}
    audit.record(connection, actor, "detection.all_stop", "on" if is_stopped else "off", detail)
    _tell(connection)
    return read_all_stop(connection)


def _detection(connection: Connection, row: tuple[Any, ...]) -> Detection:
    name, version, source, author, saved_at, message, deployed, mode, deployed_at, deployed_by = row
    definition = definition_from(source)
    deployment = None
    if deployed is not None:
        acting = definition if deployed == version else read_definition(connection, name, deployed)
        deployment = Deployment(acting, deployed, Mode(mode), deployed_at, deployed_by)
    return Detection(definition, version, author, saved_at, message, deployment)


def _unsaved(definition: Definition) -> Detection:
    return Detection(definition, 0, "", None, "", None)


def _check_room(connection: Connection) -> None:
    row = connection.execute("SELECT count(DISTINCT name) FROM detection_version").fetchone()
    if row is not None and row[0] >= MAX_DEFINITIONS:
        raise ConflictError(f"there are {MAX_DEFINITIONS} detections already, the most")


def _lock(connection: Connection) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


def _tell(connection: Connection) -> None:
    connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
