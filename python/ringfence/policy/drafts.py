"""The draft: the one candidate of the whole policy that all operators edit, until it is committed as a version.

    edit (by one who saw revision N) ──► what did others do to the same object since N? ──► conflict, with who and what
                                                        └── nothing ──► new revision N+1 + a row of the change log
    commit ──► findings ──► version; the draft then equals it. A version that came meanwhile is merged in.

Edits of different objects never conflict; two edits of one object do, and the second learns what the first did.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ringfence.accounts import audit
from ringfence.errors import ConflictError, RingfenceError
from ringfence.mediation.places import read_places
from ringfence.mediation.sites import all_sites
from ringfence.policy import versions
from ringfence.policy.diff import Change, changes_between, move_of, objects_of, patched
from ringfence.policy.edits import Edit
from ringfence.policy.findings import Finding, Surroundings, check_object, check_whole, refuse_errors
from ringfence.policy.lists.catalogue import all_lists
from ringfence.policy.rules import Policy

KEPT_CHANGES = 10_000  # of the change log; older ones are in the audit trail


@dataclass(frozen=True)
class By:
    """Who edits, when, and which revision of the draft they looked at; None: whatever is there."""

    actor: str
    now: datetime
    seen: int | None = None


@dataclass(frozen=True)
class Draft:
    """The candidate. `base_version` is the newest version that it takes into account, 0 for none."""

    revision: int
    base_version: int
    policy: Policy
    changed_at: datetime | None
    changed_by: str | None

    def as_json(self) -> dict[str, Any]:
        """Every field, the policy as its authors wrote it."""
        return {
            "revision": self.revision,
            "base_version": self.base_version,
            "changed_at": self.changed_at.isoformat() if self.changed_at else None,
            "changed_by": self.changed_by,
            "policy": self.policy.as_source(),
        }


@dataclass(frozen=True)
class DraftChange:
    """One line of the draft's change log."""

    revision: int
    kind: str
    name: str
    what: str
    at: datetime
    actor: str
    operation: str
    words: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """Every field, the time as ISO 8601."""
        return asdict(self) | {"at": self.at.isoformat()}


@dataclass(frozen=True)
class Edited:
    """What an edit came to: the draft, what it changed in it, and what is to be said of the object."""

    draft: Draft
    changes: tuple[Change, ...]
    findings: list[Finding]

    def as_json(self) -> dict[str, Any]:
        """Without the whole policy."""
        return {
            "revision": self.draft.revision,
            "changes": [one.as_json() for one in self.changes],
            "findings": [one.as_json() for one in self.findings],
        }


def read_draft(connection: Connection) -> Draft:
    """The draft as it is now; where nobody edited since, the newest version."""
    newest = versions.newest_version(connection)
    row = connection.execute(
        "SELECT revision, base_version, source, changed_at, changed_by FROM policy_draft"
    ).fetchone()
    if row is None:
        return Draft(0, newest, _version_policy(connection, newest), None, None)
    draft = Draft(row[0], row[1], Policy.model_validate(row[2]), row[3], row[4])
    return draft if draft.base_version == newest else _merged(connection, draft, newest)


def pending_changes(connection: Connection, draft: Draft | None = None) -> tuple[Change, ...]:
    """What a commit would change in the newest version."""
    newest = _version_policy(connection, versions.newest_version(connection))
    return changes_between(newest, (draft or read_draft(connection)).policy)


def read_changes(connection: Connection, since: int = 0, limit: int = 200) -> list[DraftChange]:
    """The change log after a revision, newest first."""
    with connection.cursor(row_factory=class_row(DraftChange)) as cursor:
        return cursor.execute(
            """
            SELECT revision, kind, name, what, at, actor, operation, words, before, after FROM policy_draft_change
            WHERE revision > %s ORDER BY revision DESC, kind, name LIMIT %s
            """,
            (since, limit),
        ).fetchall()


def apply_edit(connection: Connection, edit: Edit, by: By) -> Edited:
    """Do an edit. ConflictError tells who did what to the same object since `by.seen`; nothing is changed then."""
    draft = _locked(connection)
    _check_since(connection, draft, edit, by)
    after = edit.apply(draft.policy)
    findings = _findings_of(connection, after, edit)
    refuse_errors([one for one in findings if one.code in ("syntax", "template")])
    changes = move_of(edit.name, draft.policy, after) if edit.is_move else changes_between(draft.policy, after)
    edited = _store(connection, draft, after, changes, edit.operation, by)
    for change in edited.changes[:1]:
        detail = {"before": change.before, "after": change.after, "words": change.in_words}
        audit.record(connection, by.actor, f"draft.{edit.kind}.{edit.operation}", edit.name, detail)
    return Edited(edited.draft, edited.changes, findings)


def replace(connection: Connection, policy: Policy, operation: str, by: By) -> Edited:
    """Another policy as the draft (a file, a version). ConflictError when the draft changed since `by.seen`."""
    draft = _locked(connection)
    _check_unchanged(connection, draft, by)
    caught_up = dataclasses.replace(draft, base_version=versions.newest_version(connection))
    edited = _store(connection, caught_up, policy, changes_between(draft.policy, policy), operation, by)
    if edited.changes:
        words = [change.in_words for change in edited.changes[:100]]
        detail = {"changes": words, "before": draft.policy.as_source(), "after": policy.as_source()}
        audit.record(connection, by.actor, f"draft.{operation}", str(edited.draft.revision), detail)
    return edited


def load_version(connection: Connection, version: int, by: By) -> Edited:
    """Take a version as the draft: the way back that leaves room for edits. NotFoundError."""
    versions.read_version(connection, version)
    return replace(connection, _version_policy(connection, version), "load", by)


def discard(connection: Connection, by: By) -> Edited:
    """Drop every edit since the newest version."""
    newest = versions.newest_version(connection)
    return replace(connection, _version_policy(connection, newest), "discard", by)


def check_draft(connection: Connection, draft: Draft | None = None) -> list[Finding]:
    """Findings on the whole draft, as a commit would have them."""
    checked = draft or read_draft(connection)
    return check_whole(checked.policy, read_surroundings(connection)) + _overlap(connection, checked)


def check_one(connection: Connection, kind: str, name: str, body: dict[str, Any]) -> list[Finding]:
    """Findings on an object as somebody writes it, before it is in the draft; changes nothing."""
    return check_object(read_draft(connection).policy, kind, name, body, read_surroundings(connection))


def commit_draft(connection: Connection, message: str, by: By, *, overwrites: bool = False) -> versions.Commit:
    """Make a version of the draft. InvalidInputError when findings have errors; ConflictError when the draft changed
    since `by.seen`, or (unless it `overwrites`) a version that came meanwhile changed the same objects.
    """
    draft = _locked(connection)
    _check_unchanged(connection, draft, by)
    refuse_errors(check_whole(draft.policy, read_surroundings(connection)))
    overlap = _overlap(connection, draft)
    if overlap and not overwrites:
        raise ConflictError("; ".join(one.words for one in overlap), code="conflict.version")
    first, *others = all_sites(connection)
    made = versions.commit_policy(connection, draft.policy, first, by.actor, message, other_sites=others)
    connection.execute("UPDATE policy_draft SET base_version = %s", (versions.newest_version(connection),))
    return made


def read_surroundings(connection: Connection) -> Surroundings:
    """What the policy stands in now."""
    sizes = {known.name: known.entries for known in all_lists(connection) if known.kind == "static"}
    return Surroundings(all_sites(connection), read_places(connection).devices, sizes)


def _findings_of(connection: Connection, policy: Policy, edit: Edit) -> list[Finding]:
    body = objects_of(policy.as_source(), edit.kind).get(edit.name)
    if body is None or edit.is_move:
        return []
    return check_object(policy, edit.kind, edit.name, body, read_surroundings(connection))


def _locked(connection: Connection) -> Draft:
    """The draft, which nobody else edits before this transaction ends."""
    connection.execute(
        """
        INSERT INTO policy_draft (revision, base_version, source, changed_at, changed_by) VALUES (0, %s, %s, now(), '')
        ON CONFLICT DO NOTHING
        """,
        (
            newest := versions.newest_version(connection),
            Jsonb(_version_policy(connection, newest).as_source()),
        ),
    )
    connection.execute("SELECT 1 FROM policy_draft FOR UPDATE")
    return read_draft(connection)


def _store(
    connection: Connection, draft: Draft, after: Policy, changes: tuple[Change, ...], operation: str, by: By
) -> Edited:
    revision = draft.revision + 1 if changes else draft.revision
    connection.execute(
        "UPDATE policy_draft SET revision = %s, base_version = %s, source = %s, changed_at = %s, changed_by = %s",
        (revision, draft.base_version, Jsonb(after.as_source()), by.now, by.actor),
    )
    _log(connection, revision, changes, operation, by)
    return Edited(Draft(revision, draft.base_version, after, by.now, by.actor), changes, [])


def _log(connection: Connection, revision: int, changes: Iterable[Change], operation: str, by: By) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO policy_draft_change (revision, kind, name, what, at, actor, operation, words, before, after)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    *(revision, one.kind, one.name, one.what, by.now, by.actor, operation, one.in_words),
                    *(None if body is None else Jsonb(body) for body in (one.before, one.after)),
                )
                for one in changes
            ],
        )
    connection.execute("DELETE FROM policy_draft_change WHERE revision <= %s", (revision - KEPT_CHANGES,))


def _check_since(connection: Connection, draft: Draft, edit: Edit, by: By) -> None:
    """ConflictError when others did to the same object, since the revision that was seen, what this edit would lose."""
    if by.seen is None:
        return
    _check_known(draft, by.seen)
    since = [
        one
        for one in read_changes(connection, by.seen, KEPT_CHANGES)
        if (one.kind, one.name) == (edit.kind, edit.name) and one.what in edit.conflicts_with
    ]
    if since:
        current = objects_of(draft.policy.as_source(), edit.kind).get(edit.name)
        raise _conflict(draft, by.seen, since, {"current": current})


def _check_unchanged(connection: Connection, draft: Draft, by: By) -> None:
    if by.seen is None or by.seen == draft.revision:
        return
    _check_known(draft, by.seen)
    raise _conflict(draft, by.seen, read_changes(connection, by.seen, 20), {})


def _check_known(draft: Draft, seen: int) -> None:
    if seen > draft.revision:
        raise ConflictError(f"revision: {seen} is not known, the draft is at {draft.revision}: read it again")
    if seen < draft.revision - KEPT_CHANGES:
        raise ConflictError(f"revision: {seen} is too long ago, the draft is at {draft.revision}: read it again")


def _conflict(draft: Draft, seen: int, since: list[DraftChange], detail: dict[str, Any]) -> RingfenceError:
    told = "; ".join(f"{one.actor} at {one.at:%H:%M:%S} UTC: {one.words}" for one in since[:3])
    return ConflictError(
        f"changed meanwhile by {told}. You saw revision {seen}, the draft is at {draft.revision}: "
        "nothing of yours was applied; look at it and edit again",
        code="conflict.draft",
        detail={
            "seen": seen,
            "revision": draft.revision,
            "changes": [one.as_json() for one in since],
            **detail,
        },
    )


def _merged(connection: Connection, draft: Draft, newest: int) -> Draft:
    """The draft's own edits on top of a version that came meanwhile; as it was where both changed the same objects."""
    base = _version_policy(connection, draft.base_version)
    mine = changes_between(base, draft.policy)
    theirs = _version_policy(connection, newest)
    if not mine:
        return Draft(draft.revision, newest, theirs, draft.changed_at, draft.changed_by)
    if _same_objects(mine, changes_between(base, theirs)):
        return draft
    try:
        return Draft(draft.revision, newest, patched(theirs, mine), draft.changed_at, draft.changed_by)
    except (RingfenceError, ValueError):
        return draft  # they do not fit together: the draft stays, and a finding says so


def _overlap(connection: Connection, draft: Draft) -> list[Finding]:
    """A version came meanwhile that changed what the draft changes too: committing would undo that."""
    newest = versions.newest_version(connection)
    if draft.base_version == newest:
        return []
    base = _version_policy(connection, draft.base_version)
    theirs = changes_between(base, _version_policy(connection, newest))
    both = _same_objects(changes_between(base, draft.policy), theirs) or {(one.kind, one.name) for one in theirs}
    return [
        Finding("warning", "overlap", one.kind, one.name, "",
                f"version {newest}, committed meanwhile, has: {one.in_words}; the draft would undo that")
        for one in theirs
        if (one.kind, one.name) in both
    ]  # fmt: skip


def _same_objects(mine: Iterable[Change], theirs: Iterable[Change]) -> set[tuple[str, str]]:
    mine = list(mine)
    same = {(one.kind, one.name): one.after for one in mine}
    return {
        (one.kind, one.name)
        for one in theirs
        if (one.kind, one.name) in same and one.what != "moved" and same[one.kind, one.name] != one.after
    }


def _version_policy(connection: Connection, version: int) -> Policy:
    return Policy.model_validate(versions.read_source(connection, version)) if version else Policy()
