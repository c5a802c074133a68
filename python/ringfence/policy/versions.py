"""Versions: a policy is committed once as a numbered, immutable version, and installed, uninstalled, rolled back.

    commit ──► policy_version (document, hash, source)      identical content makes no new version
    install ─► policy_installation (newest row acts) ── NOTIFY at commit ──► distribution
Rolling back is installing an older version: nothing is ever edited.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ringfence.accounts import audit
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.numbering.dial_plan import Site
from ringfence.policy.compile import build_document, canonical_bytes, compile_document, document_hash
from ringfence.policy.rules import Policy

CHANNEL = "ringfence_policy"  # NOTIFY channel: what is installed has changed
_COMMIT_LOCK = 7_201_003  # advisory lock: version numbers have no gaps
_SUMMARY = """
    SELECT v.version, v.hash, v.message, v.author, v.created_at, jsonb_array_length(
               coalesce(v.source -> 'rules', '[]')) AS rules, length(v.document) AS bytes,
           v.version IS NOT DISTINCT FROM (SELECT version FROM policy_installation
                                           ORDER BY installation_id DESC LIMIT 1) AS is_installed
    FROM policy_version v
"""


@dataclass(frozen=True)
class Installed:
    """What is installed everywhere: a version and its hash, or version 0."""

    version: int
    hash: str


UNINSTALLED = Installed(0, "")


@dataclass(frozen=True)
class Version:
    """A version's summary."""

    version: int
    hash: str
    message: str
    author: str
    created_at: datetime
    rules: int
    bytes: int
    is_installed: bool

    def as_json(self) -> dict[str, Any]:
        """Every field, the time as ISO 8601."""
        return asdict(self) | {"created_at": self.created_at.isoformat()}


@dataclass(frozen=True)
class DynamicLists:
    """Names of a version's dynamic lists, and what it protects beside the country's emergency numbers."""

    version: int
    names: tuple[str, ...]
    protected: tuple[str, ...]


@dataclass(frozen=True)
class Commit:
    """What a commit came to; with `is_new` false an earlier version has the same content."""

    version: Version
    is_new: bool


def check_policy(connection: Connection, policy: Policy, site: Site) -> None:
    """Everything that a commit would check, and nothing written (dry run)."""
    known = _rule_ids(connection, [rule.name for rule in policy.rules])
    free = iter(range(max(known.values(), default=0) + 1, max(known.values(), default=0) + 1 + len(policy.rules)))
    ids = {rule.name: known.get(rule.name) or next(free) for rule in policy.rules}
    compile_document(canonical_bytes(build_document(policy, site, 1, ids)), [rule.name for rule in policy.rules])


def commit_policy(connection: Connection, policy: Policy, site: Site, author: str, message: str = "") -> Commit:
    """Make a version of a policy, unless one with this content exists. InvalidInputError when it does not compile."""
    if len(message) > 500:
        raise InvalidInputError(f"message: has {len(message)} characters; expected at most 500")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_COMMIT_LOCK,))
    ids = _lasting_rule_ids(connection, [rule.name for rule in policy.rules])
    content = _content_hash(build_document(policy, site, 0, ids), policy)
    known = connection.execute("SELECT version FROM policy_version WHERE content_hash = %s", (content,)).fetchone()
    if known is not None:
        return Commit(read_version(connection, known[0]), is_new=False)
    number = _next_version(connection)
    document = canonical_bytes(build_document(policy, site, number, ids))
    compile_document(document, [rule.name for rule in policy.rules])
    connection.execute(
        """
        INSERT INTO policy_version (version, hash, content_hash, document, source, message, author, dynamic_lists,
                                    protected)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            number,
            document_hash(document),
            content,
            document,
            Jsonb(policy.as_source()),
            message,
            author,
            sorted(name for name, numbers in policy.lists.items() if numbers.dynamic),
            list(policy.protected),
        ),
    )
    audit.record(connection, author, "policy.commit", str(number), {"message": message, "rules": len(policy.rules)})
    return Commit(read_version(connection, number), is_new=True)


def install_version(connection: Connection, version: int, actor: str) -> Version:
    """Make a version the one that acts everywhere, at once. Installing what is installed changes nothing."""
    if installed_everywhere(connection, lock=True).version != version:
        read_version(connection, version)
        connection.execute("INSERT INTO policy_installation (version, installed_by) VALUES (%s, %s)", (version, actor))
        connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(version)))
        audit.record(connection, actor, "policy.install", str(version))
    return read_version(connection, version)


def uninstall(connection: Connection, actor: str) -> None:
    """No policy acts anywhere: every edge answers as its fail mode says."""
    was = installed_everywhere(connection, lock=True)
    if was == UNINSTALLED:
        return
    connection.execute("INSERT INTO policy_installation (version, installed_by) VALUES (NULL, %s)", (actor,))
    connection.execute("SELECT pg_notify(%s, '0')", (CHANNEL,))
    audit.record(connection, actor, "policy.uninstall", str(was.version))


def installed_everywhere(connection: Connection, *, lock: bool = False) -> Installed:
    """What acts now. With `lock`, nobody else installs before this transaction ends."""
    if lock:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_COMMIT_LOCK,))
    row = connection.execute(
        """
        SELECT i.version, v.hash FROM policy_installation i LEFT JOIN policy_version v USING (version)
        ORDER BY i.installation_id DESC LIMIT 1
        """
    ).fetchone()
    return UNINSTALLED if row is None or row[0] is None else Installed(row[0], row[1])


def list_versions(connection: Connection, limit: int = 100) -> list[Version]:
    """The newest versions, newest first."""
    with connection.cursor(row_factory=class_row(Version)) as cursor:
        return cursor.execute(f"{_SUMMARY} ORDER BY v.version DESC LIMIT %s", (limit,)).fetchall()


def read_version(connection: Connection, version: int) -> Version:
    """One version's summary. NotFoundError."""
    with connection.cursor(row_factory=class_row(Version)) as cursor:
        found = cursor.execute(f"{_SUMMARY} WHERE v.version = %s", (version,)).fetchone()
    if found is None:
        raise _unknown(version)
    return found


def read_source(connection: Connection, version: int) -> dict[str, Any]:
    """The policy as its author wrote it."""
    row = connection.execute("SELECT source FROM policy_version WHERE version = %s", (version,)).fetchone()
    if row is None:
        raise _unknown(version)
    # jsonb does not keep the order of keys; the model does.
    return Policy.model_validate(row[0]).as_source()


def read_document(connection: Connection, version: int) -> bytes:
    """Exactly the bytes that edges compile."""
    row = connection.execute("SELECT document FROM policy_version WHERE version = %s", (version,)).fetchone()
    if row is None:
        raise _unknown(version)
    return bytes(row[0])


def hashes_of(connection: Connection, versions: Iterable[int]) -> dict[int, str]:
    """version → hash."""
    rows = connection.execute(
        "SELECT version, hash FROM policy_version WHERE version = ANY(%s)", (list(versions),)
    ).fetchall()
    return dict(rows)


def installed_dynamic_lists(connection: Connection) -> DynamicLists:
    """What the installed version declares; nothing when none is installed. Reads no document."""
    row = connection.execute(
        """
        SELECT v.version, v.dynamic_lists, v.protected
        FROM policy_installation i JOIN policy_version v USING (version)
        WHERE i.installation_id = (SELECT max(installation_id) FROM policy_installation)
        """
    ).fetchone()
    return DynamicLists(row[0], tuple(row[1]), tuple(row[2])) if row else DynamicLists(0, (), ())


def _next_version(connection: Connection) -> int:
    row = connection.execute("SELECT coalesce(max(version), 0) + 1 FROM policy_version").fetchone()
    return int(row[0]) if row else 1


def _rule_ids(connection: Connection, names: list[str]) -> dict[str, int]:
    rows = connection.execute("SELECT name, rule_id FROM policy_rule WHERE name = ANY(%s)", (names,)).fetchall()
    return dict(rows)


def _lasting_rule_ids(connection: Connection, names: list[str]) -> dict[str, int]:
    """Every rule's id by name; a name never seen before gets one, in the order of the policy."""
    known = _rule_ids(connection, names)
    new = [name for name in names if name not in known]
    if new:
        connection.execute(
            """
            INSERT INTO policy_rule (name)
            SELECT name FROM unnest(%s::text[]) WITH ORDINALITY AS new (name, place) ORDER BY place
            """,
            (new,),
        )
        known |= _rule_ids(connection, new)
    return known


def _content_hash(document: dict[str, Any], policy: Policy) -> str:
    """What makes two versions the same: what edges enforce and what the author wrote (notes too), not the number."""
    return hashlib.sha256(canonical_bytes({"document": document, "source": policy.as_source()})).hexdigest()


def _unknown(version: int) -> NotFoundError:
    return NotFoundError(f"policy version {version} does not exist; `ringfence policy versions` lists them")
