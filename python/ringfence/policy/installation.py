"""Installing: a version acts on all devices, a site's or one; staged, with a deadline, taken back.

    install ──► targets (what acts where) + a row of the log with what it changed
                   ├── staged: one device first; `go_on` installs on all
                   ├── confirm_by: reverts by itself unless `confirm`ed (the leader looks every second)
                   └── `rollback`: puts back what the newest installation changed; again: the one before

What is installed on all replaces what sites and devices had of their own, and what is installed on a site replaces its
devices'; `keep_exceptions` leaves those. So nothing surprises: after "install on all", all have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from ringfence.accounts import audit
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError
from ringfence.mediation import places
from ringfence.policy import targets, versions
from ringfence.policy.targets import ALL, DEVICE, SITE, Doing, Target

MIN_CONFIRM = timedelta(seconds=10)
MAX_CONFIRM = timedelta(hours=24)
UNDOABLE = ("install", "uninstall", "follow", "go_on")
REVERTER = "commit-confirm"  # who acts, in log and audit, when nobody confirmed
_SELECT = """
    SELECT installation_id, action, target, version, installed_by AS actor, installed_at AS at, changed, is_staged,
           confirm_by, outcome, outcome_at, outcome_by
    FROM policy_installation
"""


@dataclass(frozen=True)
class Scope:
    """Where something is installed: on all devices, on a site's, or on one."""

    site: str | None = None
    device: str | None = None
    keep_exceptions: bool = False

    @property
    def target(self) -> str:
        """`all`, `site:NAME` or `device:NAME`."""
        if self.device is not None:
            return DEVICE + self.device
        return SITE + self.site if self.site is not None else ALL


EVERYWHERE = Scope()


@dataclass(frozen=True)
class Installation:
    """One row of the log. `changed`: target → [version before, after], null where it had none of its own."""

    installation_id: int
    action: str
    target: str
    version: int | None
    actor: str
    at: datetime
    changed: dict[str, list[int | None]]
    is_staged: bool
    confirm_by: datetime | None
    outcome: str | None  # confirmed, reverted, rolled_back, went_on, superseded
    outcome_at: datetime | None
    outcome_by: str | None

    @property
    def is_unconfirmed(self) -> bool:
        """Whether it will revert by itself."""
        return self.confirm_by is not None and self.outcome is None

    @property
    def in_words(self) -> str:
        """One line without who and when."""
        where = in_words(self.target)
        said = {
            "install": f"version {self.version} installed on {where}",
            "go_on": f"version {self.version} installed on {where}, after its first device",
            "uninstall": f"policy uninstalled on {where}",
            "follow": f"{where} follows the others again",
            "rollback": "rolled back: " + _changes_in_words(self.changed),
            "revert": "reverted, not confirmed in time: " + _changes_in_words(self.changed),
        }
        return said[self.action]

    def as_json(self) -> dict[str, Any]:
        """Every field and `words`, times as ISO 8601."""
        values = asdict(self) | {"is_unconfirmed": self.is_unconfirmed, "words": self.in_words}
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


@dataclass(frozen=True)
class State:
    """What acts where, what waits to be confirmed, and the staged installation that waits to go on."""

    targets: dict[str, Target]
    unconfirmed: list[Installation]
    staged: Installation | None

    def as_json(self) -> dict[str, Any]:
        """For API and CLI."""
        return {
            "targets": [
                {"target": t.target, "version": t.version, "since": t.since.isoformat()}
                for t in sorted(self.targets.values(), key=lambda t: t.target)
            ],
            "unconfirmed": [one.as_json() for one in self.unconfirmed],
            "staged": self.staged.as_json() if self.staged else None,
        }


def install(
    connection: Connection,
    version: int,
    actor: str,
    now: datetime,
    scope: Scope = EVERYWHERE,
    *,
    confirm_within: timedelta | None = None,
    is_staged: bool = False,
) -> Installation | None:
    """Make a version act on all devices, a site's or one; None when it does already.

    `confirm_within`: reverts by itself unless confirmed in this time. `is_staged`: on one device first, the others
    after `go_on`. NotFoundError: no such version, site or device.
    """
    versions.read_version(connection, version)
    if confirm_within is not None and not MIN_CONFIRM <= confirm_within <= MAX_CONFIRM:
        raise InvalidInputError("confirm_within: expected between 10 seconds and 24 hours", code="invalid.confirm")
    if is_staged and scope.device is None:
        raise InvalidInputError("device: is missing; a staged installation names the first device")
    confirm_by = now + confirm_within if confirm_within is not None else None
    doing = Doing("install", scope.target, version, actor, now, is_staged, confirm_by)
    return _change(connection, scope, version, doing)


def uninstall(connection: Connection, actor: str, now: datetime, scope: Scope = EVERYWHERE) -> Installation | None:
    """Let no policy act on all devices, a site's or one: they answer as their fail mode says. None: so it is."""
    return _change(connection, scope, 0, Doing("uninstall", scope.target, None, actor, now))


def follow(connection: Connection, actor: str, now: datetime, scope: Scope) -> Installation | None:
    """Let a device follow its site again, or a site all the others."""
    if scope.target == ALL:
        raise InvalidInputError("site or device: name which one shall follow the others")
    return _change(connection, scope, None, Doing("follow", scope.target, None, actor, now))


def go_on(connection: Connection, actor: str, now: datetime, *, is_forced: bool = False) -> Installation:
    """Install on all what the staged installation put on its first device. ConflictError unless that enforces it."""
    targets.lock(connection)
    staged = _staged(connection)
    if staged is None or staged.version is None:
        raise ConflictError(
            "no staged installation waits; `ringfence policy install VERSION --staged DEVICE` starts one"
        )
    device = staged.target.removeprefix(DEVICE)
    if not is_forced:
        _check_first_device(connection, device, staged.version, now)
    doing = Doing("go_on", ALL, staged.version, actor, now)
    installed = _change(connection, EVERYWHERE, staged.version, doing)
    if installed is None:
        raise ConflictError(f"version {staged.version} is installed everywhere already")
    _settle(connection, staged.installation_id, "went_on", actor, now)
    return installed


def confirm(
    connection: Connection, actor: str, now: datetime, installation_id: int | None = None
) -> list[Installation]:
    """Keep what would revert by itself: one installation, or all that wait. ConflictError when none waits."""
    targets.lock(connection)
    waiting = [one for one in _unconfirmed(connection) if installation_id in (None, one.installation_id)]
    if not waiting:
        raise ConflictError("nothing waits to be confirmed: it was confirmed before, or has reverted")
    for one in waiting:
        _settle(connection, one.installation_id, "confirmed", actor, now)
        audit.record(connection, actor, "policy.confirm", str(one.version or ""), {"target": one.target})
    return [_read(connection, one.installation_id) for one in waiting]


def rollback(connection: Connection, actor: str, now: datetime) -> Installation:
    """Put back what the newest installation that still stands has changed; again: the one before it. ConflictError.

    A staged installation that went on is one, first device and all.
    """
    targets.lock(connection)
    with connection.cursor(row_factory=class_row(Installation)) as cursor:
        newest = cursor.execute(
            f"""{_SELECT} WHERE action = ANY(%s) AND changed <> '{{}}' AND outcome IS DISTINCT FROM 'reverted'
              AND outcome IS DISTINCT FROM 'rolled_back'
            ORDER BY installation_id DESC LIMIT 1
            """,
            (list(UNDOABLE),),
        ).fetchone()
    if newest is None:
        raise ConflictError("there is no installation to roll back")
    whole = _with_first_step(connection, newest, actor, now) if newest.action == "go_on" else newest
    return _undo(connection, whole, "rollback", actor, now)


def revert_unconfirmed(connection: Connection, now: datetime) -> list[Installation]:
    """Take back every installation whose time to be confirmed is over, newest first. The leader's work."""
    if not any(one.confirm_by and one.confirm_by <= now for one in _unconfirmed(connection)):
        return []
    targets.lock(connection)
    due = [one for one in _unconfirmed(connection) if one.confirm_by and one.confirm_by <= now]
    return [_undo(connection, one, "revert", REVERTER, now) for one in reversed(due)]


def read_state(connection: Connection) -> State:
    """What acts where now."""
    return State(targets.read_targets(connection), _unconfirmed(connection), _staged(connection))


def list_installations(connection: Connection, limit: int = 100) -> list[Installation]:
    """The log, newest first."""
    with connection.cursor(row_factory=class_row(Installation)) as cursor:
        return cursor.execute(f"{_SELECT} ORDER BY installation_id DESC LIMIT %s", (limit,)).fetchall()


def in_words(target: str) -> str:
    """`all devices`, `site main`, `device enum-1`."""
    return "all devices" if target == ALL else target.replace(":", " ", 1)


def _change(connection: Connection, scope: Scope, version: int | None, doing: Doing) -> Installation | None:
    targets.lock(connection)
    known = targets.read_targets(connection)
    wanted = _wanted(connection, scope, version, known)
    if not known and not any(wanted.values()):
        return None  # nothing was ever installed
    before = {target: t.version for target, t in known.items() if target in wanted}
    made = targets.change(connection, wanted, doing)
    if made is None:
        return None
    after = {target: value for target, value in wanted.items() if value is not None}
    detail = {"target": scope.target, "before": before, "after": after}
    if doing.confirm_by is not None:
        detail["confirm_by"] = doing.confirm_by.isoformat()
    subject = version or before.get(scope.target) or ""
    audit.record(connection, doing.actor, f"policy.{doing.action}", str(subject), detail)
    return _read(connection, made)


def _wanted(
    connection: Connection, scope: Scope, version: int | None, known: Mapping[str, Target]
) -> dict[str, int | None]:
    """The target itself, and the narrower ones that it replaces."""
    there = places.read_places(connection)
    there.check(scope.site, scope.device)
    narrower: list[str] = []
    if not scope.keep_exceptions and scope.target == ALL:
        narrower = [target for target in known if target != ALL]
    elif not scope.keep_exceptions and scope.device is None and version is not None:
        narrower = [DEVICE + device for device, site in there.devices.items() if site == scope.site]
    return {**{target: None for target in narrower if target in known}, scope.target: version}


def _undo(connection: Connection, one: Installation, how: targets.Action, actor: str, now: datetime) -> Installation:
    """Put back each target that still is what the installation made of it; others were changed since, on purpose."""
    known = targets.read_targets(connection)
    back = {
        target: before
        for target, (before, after) in one.changed.items()
        if (known[target].version if target in known else None) == after
    }
    if how == "revert" and not back:
        _settle(connection, one.installation_id, "superseded", actor, now)
        return _read(connection, one.installation_id)
    _settle(connection, one.installation_id, "reverted" if how == "revert" else "rolled_back", actor, now)
    doing = Doing(how, one.target, back.get(one.target) or None, actor, now)
    made = targets.change(connection, back, doing) if back else None
    words = f"installation {one.installation_id}: {one.in_words}"
    detail = {"target": one.target, "undone": words, "after": back}
    audit.record(connection, actor, f"policy.{how}", str(one.version or ""), detail)
    return _read(connection, made if made is not None else one.installation_id)


def _with_first_step(connection: Connection, second: Installation, actor: str, now: datetime) -> Installation:
    """A `go_on` with what its first step changed: undone from before that. The first step is settled with it."""
    with connection.cursor(row_factory=class_row(Installation)) as cursor:
        first = cursor.execute(
            f"""{_SELECT} WHERE is_staged AND outcome = 'went_on' AND installation_id < %s
            ORDER BY installation_id DESC LIMIT 1
            """,
            (second.installation_id,),
        ).fetchone()
    if first is None:
        return second
    _settle(connection, first.installation_id, "rolled_back", actor, now)
    changed = dict(second.changed)
    for target, (before, after) in first.changed.items():
        changed[target] = [before, changed[target][1] if target in changed else after]
    return replace(second, changed=changed)


def _check_first_device(connection: Connection, device: str, version: int, now: datetime) -> None:
    state = places.read_places(connection).reported.get(device)
    if state is None or state.version != version or not state.is_live(now):
        does = f"enforces version {state.version}" if state and state.version else "enforces no policy"
        if state is None or not state.is_live(now):
            does = "is not connected"
        raise ConflictError(
            f"device {device} {does}, not version {version}: look at it first, or go on with --force",
            code="conflict.first_device",
        )


def _settle(connection: Connection, installation_id: int, outcome: str, actor: str, now: datetime) -> None:
    connection.execute(
        "UPDATE policy_installation SET outcome = %s, outcome_at = %s, outcome_by = %s WHERE installation_id = %s",
        (outcome, now, actor, installation_id),
    )


def _read(connection: Connection, installation_id: int) -> Installation:
    with connection.cursor(row_factory=class_row(Installation)) as cursor:
        found = cursor.execute(f"{_SELECT} WHERE installation_id = %s", (installation_id,)).fetchone()
    if found is None:
        raise NotFoundError(f"installation {installation_id} does not exist")
    return found


def _unconfirmed(connection: Connection) -> list[Installation]:
    with connection.cursor(row_factory=class_row(Installation)) as cursor:
        return cursor.execute(
            f"""{_SELECT} WHERE confirm_by IS NOT NULL AND outcome IS NULL
            ORDER BY installation_id
            """
        ).fetchall()


def _staged(connection: Connection) -> Installation | None:
    """The newest installation, when it is a staged one that still stands."""
    with connection.cursor(row_factory=class_row(Installation)) as cursor:
        newest = cursor.execute(
            f"""{_SELECT} WHERE is_staged AND outcome IS DISTINCT FROM 'rolled_back'
              AND outcome IS DISTINCT FROM 'reverted' AND outcome IS DISTINCT FROM 'went_on'
            ORDER BY installation_id DESC LIMIT 1
            """
        ).fetchone()
    if newest is None:
        return None
    now_there = targets.read_targets(connection).get(newest.target)
    return newest if now_there is not None and now_there.version == newest.version else None


def _changes_in_words(changed: Mapping[str, list[int | None]]) -> str:
    def said(target: str, version: int | None) -> str:
        if version is None and target != ALL:
            return "follows the others"
        return f"version {version}" if version else "no policy"

    return "; ".join(f"{in_words(target)}: {said(target, after)}" for target, (_, after) in sorted(changed.items()))
