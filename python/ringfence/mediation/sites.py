"""Sites: where devices stand, in which country, with which numbers and dialling habits of their own.

A version of the policy holds the sites as they were when it was committed: what is edited here acts with the next
commit. The name is a site's identity and does not change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from ringfence.accounts import audit
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from ringfence.numbering.dial_plan import Site, dial_plan_of, site_from
from ringfence.policy import targets
from ringfence.policy.compile import build_document, canonical_bytes, compile_document
from ringfence.policy.rules import Policy
from ringfence.settings import SiteSettings

MAX_NOTE = 1000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_OF_COLUMNS = ("name", "country", "own_ranges")
_SELECT = """
    SELECT s.name, s.country, s.own_ranges, s.dial_plan, s.note, s.created_at,
           (SELECT count(*) FROM device d WHERE d.site_id = s.site_id AND d.revoked_at IS NULL) AS devices
    FROM site s
"""


@dataclass(frozen=True)
class SiteEntry:
    """A site as it is kept: the plan, a note, and how many devices stand there."""

    site: Site
    note: str
    created_at: datetime
    devices: int

    def as_json(self) -> dict[str, Any]:
        """What was set, and under `plan` the dial plan that results."""
        plan = {key: value for key, value in self.site.as_document().items() if key not in ("country", "own_ranges")}
        return self.site.as_json() | {
            "note": self.note,
            "created_at": self.created_at.isoformat(),
            "devices": self.devices,
            "plan": plan,
        }


def ensure_first_site(connection: Connection, settings: SiteSettings) -> None:
    """Create the site that the settings describe where there is none yet; afterwards the database is the truth."""
    dial_plan_of(settings.country)
    connection.execute("LOCK TABLE site IN SHARE ROW EXCLUSIVE MODE")
    connection.execute(
        """
        INSERT INTO site (name, country, own_ranges)
        SELECT %s, %s, %s::text[] WHERE NOT EXISTS (SELECT 1 FROM site)
        """,
        (settings.name, settings.country, list(settings.own_ranges)),
    )


def list_sites(connection: Connection) -> list[SiteEntry]:
    """Every site, the first made first."""
    return [_entry(row) for row in connection.execute(f"{_SELECT} ORDER BY s.site_id").fetchall()]


def read_site(connection: Connection, name: str) -> SiteEntry:
    """One site. NotFoundError."""
    row = connection.execute(f"{_SELECT} WHERE s.name = %s", (name,)).fetchone()
    if row is None:
        raise NotFoundError(f"site {name!r} does not exist; `ringfence site list` shows those that do")
    return _entry(row)


def site_ids(connection: Connection, names: Iterable[str] | None) -> list[int] | None:
    """The ids of sites by their names, as accounts and tokens are limited to; None stays None. NotFoundError."""
    if names is None:
        return None
    wanted = sorted(set(names))
    found: dict[str, int] = dict(
        connection.execute("SELECT name, site_id FROM site WHERE name = ANY(%s)", (wanted,)).fetchall()
    )
    for name in wanted:
        if name not in found:
            raise NotFoundError(f"site {name!r} does not exist; `ringfence site list` shows those that do")
    return sorted(int(site_id) for site_id in found.values())


def site_names(connection: Connection) -> dict[int, str]:
    """The names of all sites by their ids."""
    return dict(connection.execute("SELECT site_id, name FROM site ORDER BY site_id").fetchall())


def all_sites(connection: Connection) -> tuple[Site, ...]:
    """Every site's plan, the first made first; at least one. UnavailableError before the first start."""
    found = tuple(entry.site for entry in list_sites(connection))
    if not found:
        raise UnavailableError("the database has no site yet: start `ringfence mediation` once")
    return found


def first_site(connection: Connection) -> Site:
    """The site whose dial plan stands for all where none is named."""
    return all_sites(connection)[0]


def add_site(connection: Connection, site: Site, actor: str, note: str = "") -> SiteEntry:
    """Make a site. ConflictError when there is one of this name, InvalidInputError names the field."""
    check_site(site, note)
    made = connection.execute(
        """
        INSERT INTO site (name, country, own_ranges, dial_plan, note) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (name) DO NOTHING
        """,
        (site.name, site.country, list(site.own_ranges), Jsonb(_plan(site)), note),
    )
    if made.rowcount == 0:
        raise ConflictError(f"site {site.name!r} exists already; `ringfence site edit` changes it")
    audit.record(connection, actor, "site.add", site.name, {"before": None, "after": site.as_json() | {"note": note}})
    return read_site(connection, site.name)


def edit_site(connection: Connection, name: str, changes: dict[str, Any], actor: str) -> SiteEntry:
    """Change fields of a site, and its `note`. NotFoundError, InvalidInputError names the field."""
    before = read_site(connection, name)
    changes = dict(changes)
    note = str(changes.pop("note", before.note))
    site = site_from({**before.site.as_json(), **changes, "name": name})
    check_site(site, note)
    if (site, note) == (before.site, before.note):
        return before
    # In the table itself, not through the view of people limited to sites: Citus writes through none.
    connection.execute(
        "UPDATE ringfence.site SET country = %s, own_ranges = %s, dial_plan = %s, note = %s WHERE name = %s",
        (site.country, list(site.own_ranges), Jsonb(_plan(site)), note, name),
    )
    was, now_is = before.site.as_json() | {"note": before.note}, site.as_json() | {"note": note}
    audit.record(connection, actor, "site.edit", name, {"before": was, "after": now_is})
    return read_site(connection, name)


def remove_site(connection: Connection, name: str, actor: str) -> None:
    """Take a site away. ConflictError while a device stands there, stood there and has calls, or it is the last one."""
    before = read_site(connection, name)
    connection.execute("LOCK TABLE site IN SHARE ROW EXCLUSIVE MODE")
    if len(list_sites(connection)) == 1:
        raise ConflictError(f"site {name!r} is the only one; policies are compiled for at least one site")
    names = connection.execute(
        "SELECT d.name FROM device d JOIN site s USING (site_id) WHERE s.name = %s ORDER BY d.name", (name,)
    ).fetchall()
    if names:
        listed = ", ".join(row[0] for row in names[:5])
        raise ConflictError(
            f"site {name!r} has devices ({listed}): move them first, also revoked ones; they have calls"
        )
    connection.execute("DELETE FROM site WHERE name = %s", (name,))
    targets.forget(connection, targets.SITE + name)
    targets.tell(connection)
    audit.record(connection, actor, "site.remove", name, {"before": before.site.as_json(), "after": None})


def check_site(site: Site, note: str = "") -> None:
    """What a policy's compiler would refuse. InvalidInputError names the field."""
    if not _NAME.fullmatch(site.name):
        raise InvalidInputError(
            f"name: {site.name!r} is not a name; expected 1 to 64 letters, digits, spaces, '.', '_' or '-'",
            code="invalid.site",
        )
    if len(note) > MAX_NOTE:
        raise InvalidInputError(f"note: has {len(note)} characters; expected at most {MAX_NOTE}", code="invalid.site")
    try:
        compile_document(canonical_bytes(build_document(Policy(), site, 1, {})))
    except InvalidInputError as error:
        raise InvalidInputError(error.message.removeprefix("site."), code="invalid.site") from None


def _plan(site: Site) -> dict[str, Any]:
    return {key: value for key, value in site.as_json().items() if key not in _OF_COLUMNS}


def _entry(row: tuple[Any, ...]) -> SiteEntry:
    name, country, own_ranges, plan, note, created_at, devices = row
    return SiteEntry(
        site_from({"name": name, "country": country, "own_ranges": own_ranges, **plan}), note, created_at, devices
    )


def site_of_device(connection: Connection, device_id: int) -> Site:
    """The site that a device stands at: its dial plan reads the numbers of the device's calls."""
    row = connection.execute(
        f"{_SELECT} JOIN device own USING (site_id) WHERE own.device_id = %s", (device_id,)
    ).fetchone()
    if row is None:
        raise UnavailableError(f"device {device_id} has no site")
    return _entry(row).site
