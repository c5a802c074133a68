"""Sites: where devices stand, in which country, with which numbers of their own."""

from __future__ import annotations

from psycopg import Connection

from ringfence.errors import UnavailableError
from ringfence.numbering.dial_plan import Site, dial_plan_of
from ringfence.settings import SiteSettings


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


def first_site(connection: Connection) -> Site:
    """The site whose dial plan policies are compiled for."""
    row = connection.execute("SELECT name, country, own_ranges FROM site ORDER BY site_id LIMIT 1").fetchone()
    if row is None:
        raise UnavailableError("the database has no site yet: start `ringfence mediation` once")
    return Site(row[0], row[1], tuple(row[2]))
