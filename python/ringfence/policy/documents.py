"""The documents of a version: one for each site, and one for each device that a rule of the version names.

    commit ──► a document for every site then known ──► policy_document ──► distribution, by (version, site, device)

A site or device that came after the commit gets its document when it is first asked for; once written, a document
never changes. What a version says of its sites is kept with it: a site edited later needs a new commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from ringfence.errors import NotFoundError
from ringfence.numbering.dial_plan import Site, site_from
from ringfence.policy.compile import build_document, canonical_bytes, compile_document, document_hash
from ringfence.policy.lists import contents
from ringfence.policy.rules import Policy


@dataclass(frozen=True)
class Place:
    """For whom a document is: a site, or one device of it. `device` '': one that no rule names."""

    site: Site
    device: str = ""


def compile_for(
    policy: Policy, place: Place, version: int, rule_ids: dict[str, int], listed: Mapping[str, bytes]
) -> bytes:
    """A place's document, compiled as its edge would, with the contents of lists. InvalidInputError names the field."""
    document = canonical_bytes(build_document(policy, place.site, version, rule_ids, place.device))
    names = [rule.name for rule in policy.rules if rule.acts_at(place.site.name, place.device)]
    compile_document(document, names, listed)
    return document


def named_devices(policy: Policy) -> list[str]:
    """Devices that rules name: each has a document of its own."""
    return sorted({device for rule in policy.rules for device in rule.devices})


def write_document(connection: Connection, version: int, place: Place, document: bytes) -> str:
    """Keep a document, unless the place has one of this version; the hash of the one that is kept."""
    row = connection.execute(
        """
        INSERT INTO policy_document (version, site, device, hash, document) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (version, site, device) DO UPDATE SET version = excluded.version RETURNING hash
        """,
        (version, place.site.name, place.device, document_hash(document), document),
    ).fetchone()
    return str(row[0]) if row else ""


class VersionDocuments:
    """The documents of one version: which there are, and how a missing one is made."""

    def __init__(self, connection: Connection, version: int) -> None:
        """NotFoundError."""
        row = connection.execute(
            "SELECT sites, named_devices FROM policy_version WHERE version = %s", (version,)
        ).fetchone()
        if row is None:
            raise NotFoundError(f"policy version {version} does not exist; `ringfence policy versions` lists them")
        self._connection = connection
        self._version = version
        self._sites = {known["name"]: site_from(known) for known in row[0]}
        self._named = frozenset(row[1])
        rows = connection.execute(
            "SELECT site, device, hash FROM policy_document WHERE version = %s", (version,)
        ).fetchall()
        self._hashes: dict[tuple[str, str], str] = {(site, device): hash_ for site, device, hash_ in rows}

    def hash_for(self, site: Site, device: str, *, is_made: bool = True) -> str:
        """Hash of what a device of a site gets. A missing document is made, or with `is_made` false has the hash ''.

        InvalidInputError when it does not compile for a site that came after the commit.
        """
        place = self._place(site, device)
        key = place.site.name, place.device
        if key not in self._hashes and is_made:
            self._hashes[key] = write_document(self._connection, self._version, place, self._compile(place))
        return self._hashes.get(key, "")

    def _place(self, site: Site, device: str) -> Place:
        return Place(self._sites.get(site.name, site), device if device in self._named else "")

    def _compile(self, place: Place) -> bytes:
        row = self._connection.execute(
            "SELECT source FROM policy_version WHERE version = %s", (self._version,)
        ).fetchone()
        pins = contents.of_version(self._connection, self._version)
        policy = contents.with_pins(Policy.model_validate(row[0] if row else {}), pins)
        listed = contents.read_pinned(self._connection, pins)
        ids = self._connection.execute("SELECT name, rule_id FROM policy_rule").fetchall()
        return compile_for(policy, place, self._version, dict(ids), listed)


def read_document_by_hash(connection: Connection, hash_: str) -> bytes:
    """Exactly the bytes that have this hash. NotFoundError."""
    row = connection.execute("SELECT document FROM policy_document WHERE hash = %s LIMIT 1", (hash_,)).fetchone()
    if row is None:
        raise NotFoundError(f"no policy document has the hash {hash_}")
    return bytes(row[0])


def snapshot_of(sites: Sequence[Site]) -> list[dict[str, Any]]:
    """Sites as a version keeps them."""
    return [site.as_json() for site in sites]
