"""Versions: a policy is committed once as a numbered, immutable version, and installed, uninstalled, rolled back.

    commit ──► policy_version (source) + policy_document (bytes, by site)      identical content makes no new version
    install ─► policy_target ── NOTIFY at commit ──► distribution
Nothing is ever edited: rolling back is installing an older version. Where it acts: `targets`, `installation`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ringfence.accounts import audit
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.numbering.dial_plan import Site
from ringfence.policy import targets
from ringfence.policy.compile import build_document, canonical_bytes, document_hash
from ringfence.policy.documents import Place, compile_for, named_devices, snapshot_of, write_document
from ringfence.policy.lists import contents
from ringfence.policy.rules import Policy

CHANNEL = targets.CHANNEL
_SUMMARY = """
    SELECT v.version, v.hash, v.message, v.author, v.created_at, jsonb_array_length(
               coalesce(v.source -> 'rules', '[]')) AS rules,
           coalesce((SELECT length(d.document) FROM policy_document d WHERE d.version = v.version AND d.hash = v.hash
                     LIMIT 1), 0) AS bytes,
           array(SELECT t.target FROM policy_target t WHERE t.version = v.version ORDER BY t.target) AS installed_on
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
    installed_on: list[str]  # targets: 'all', 'site:NAME', 'device:NAME'

    @property
    def is_installed(self) -> bool:
        """Whether it acts everywhere but where a site or device has another."""
        return targets.ALL in self.installed_on

    def as_json(self) -> dict[str, Any]:
        """Every field and `is_installed`, the time as ISO 8601."""
        return asdict(self) | {"created_at": self.created_at.isoformat(), "is_installed": self.is_installed}


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


def check_policy(connection: Connection, policy: Policy, site: Site, *, other_sites: Sequence[Site] = ()) -> None:
    """Compile a policy for every site as a commit would, and write nothing. InvalidInputError names rule and field."""
    known = _rule_ids(connection, [rule.name for rule in policy.rules])
    free = iter(range(max(known.values(), default=0) + 1, max(known.values(), default=0) + 1 + len(policy.rules)))
    ids = {rule.name: known.get(rule.name) or next(free) for rule in policy.rules}
    pinned, pins = contents.pin(connection, policy, datetime.now(UTC))
    _compile_everywhere(pinned, (site, *other_sites), 1, ids, contents.read_pinned(connection, pins))


def commit_policy(
    connection: Connection,
    policy: Policy,
    site: Site,
    author: str,
    message: str = "",
    *,
    other_sites: Sequence[Site] = (),
) -> Commit:
    """Make a version of a policy for these sites, unless one with this content exists.

    Its hash is that of the document of `site`. InvalidInputError when it does not compile for one of them.
    """
    if len(message) > 500:
        raise InvalidInputError(f"message: has {len(message)} characters; expected at most 500")
    targets.lock(connection)
    sites = (site, *other_sites)
    ids = _lasting_rule_ids(connection, [rule.name for rule in policy.rules])
    pinned, pins = contents.pin(connection, policy, datetime.now(UTC))
    content = _content_hash([build_document(pinned, each, 0, ids) for each in sites], policy)
    known = connection.execute("SELECT version FROM policy_version WHERE content_hash = %s", (content,)).fetchone()
    if known is not None:
        return Commit(read_version(connection, known[0]), is_new=False)
    number = newest_version(connection) + 1
    documents = _compile_everywhere(pinned, sites, number, ids, contents.read_pinned(connection, pins))
    connection.execute(
        """
        INSERT INTO policy_version (version, hash, content_hash, source, message, author, dynamic_lists, protected,
                                    sites, named_devices)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            number,
            document_hash(documents[Place(site)]),
            content,
            Jsonb(policy.as_source()),
            message,
            author,
            sorted(name for name, numbers in policy.lists.items() if numbers.dynamic),
            list(policy.protected),
            Jsonb(snapshot_of(sites)),
            named_devices(policy),
        ),
    )
    for place, document in documents.items():
        write_document(connection, number, place, document)
    contents.record(connection, number, pins)
    audit.record(connection, author, "policy.commit", str(number), {"message": message, "rules": len(policy.rules)})
    return Commit(read_version(connection, number), is_new=True)


def install_version(connection: Connection, version: int, actor: str) -> Version:
    """Make a version the one that acts everywhere, at once: `installation.install` without its choices."""
    read_version(connection, version)
    _everywhere(connection, targets.Doing("install", targets.ALL, version, actor, datetime.now(UTC)), version)
    return read_version(connection, version)


def uninstall(connection: Connection, actor: str) -> None:
    """No policy acts anywhere: every edge answers as its fail mode says."""
    _everywhere(connection, targets.Doing("uninstall", targets.ALL, None, actor, datetime.now(UTC)), 0)


def _everywhere(connection: Connection, doing: targets.Doing, version: int) -> None:
    targets.lock(connection)
    known = targets.read_targets(connection)
    before = known[targets.ALL].version if targets.ALL in known else 0
    if not known and version == 0:
        return
    wanted: dict[str, int | None] = {**dict.fromkeys(known), targets.ALL: version}
    if targets.change(connection, wanted, doing) is not None:
        detail = {"target": targets.ALL, "before": before, "after": version}
        audit.record(connection, doing.actor, f"policy.{doing.action}", str(version or before), detail)


def installed_everywhere(connection: Connection) -> Installed:
    """What acts on every device that has nothing of its own."""
    row = connection.execute(
        "SELECT t.version, v.hash FROM policy_target t LEFT JOIN policy_version v USING (version) WHERE target = 'all'"
    ).fetchone()
    return UNINSTALLED if row is None or row[1] is None else Installed(row[0], row[1])


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
    """Exactly the bytes that edges of the first site compile; those of others: `documents`."""
    row = connection.execute(
        """
        SELECT d.document FROM policy_version v JOIN policy_document d USING (version, hash)
        WHERE v.version = %s LIMIT 1
        """,
        (version,),
    ).fetchone()
    if row is None:
        raise _unknown(version)
    return bytes(row[0])


def installed_dynamic_lists(connection: Connection) -> DynamicLists:
    """What the versions that act anywhere declare; nothing when none is installed. Reads no document."""
    rows = connection.execute(
        """
        SELECT DISTINCT v.version, v.dynamic_lists, v.protected
        FROM policy_target t JOIN policy_version v USING (version) ORDER BY v.version
        """
    ).fetchall()
    names = sorted({name for row in rows for name in row[1]})
    return DynamicLists(max((row[0] for row in rows), default=0), tuple(names),
                        tuple(sorted({number for row in rows for number in row[2]})))  # fmt: skip


def newest_version(connection: Connection) -> int:
    """Number of the newest version; 0 without any."""
    row = connection.execute("SELECT coalesce(max(version), 0) FROM policy_version").fetchone()
    return int(row[0]) if row else 0


def _compile_everywhere(
    policy: Policy, sites: Sequence[Site], number: int, ids: dict[str, int], listed: Mapping[str, bytes]
) -> dict[Place, bytes]:
    """A document for each site. Those of the devices that rules name are made when they are asked for, but a rule that
    only they have must compile now.
    """
    for rule in policy.rules:
        site = next((site for site in sites if not rule.sites or site.name in rule.sites), None)
        if rule.devices and site is not None:
            alone = policy.model_copy(update={"rules": (rule,)})
            compile_for(alone, Place(site, rule.devices[0]), number, ids, listed)
    return {Place(site): compile_for(policy, Place(site), number, ids, listed) for site in sites}


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


def _content_hash(documents: list[dict[str, Any]], policy: Policy) -> str:
    """What makes two versions the same: what edges enforce and what the author wrote (notes too), not the number."""
    return hashlib.sha256(canonical_bytes({"documents": documents, "source": policy.as_source()})).hexdigest()


def _unknown(version: int) -> NotFoundError:
    return NotFoundError(f"policy version {version} does not exist; `ringfence policy versions` lists them")
