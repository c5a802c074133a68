"""What the one who asks may see of the database: all, or what belongs to some sites, with numbers whole or masked.

    identity ─► Sight ─► `seeing(sight)` ─► every connection taken meanwhile finds views in the tables' place

A connection of somebody whose sight is limited has a schema of views in front of ours on its search path, each named as
the table that it stands for. So whoever asks, however: analytics, the call log, exports, a page, a job that it started:
no statement can forget the condition, for none has to have it. The views are made from the catalog, for every table
with a device or a site, and mask an event's numbers: a new table is covered by having such columns. Without its views a
limited connection is refused. Nobody else's connection is touched, nor slower.

A masked number keeps all but its last four digits, as text: to the database it is no number any more, so nothing can be
found, sorted or counted by what is hidden.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from psycopg import sql

from ringfence.errors import ForbiddenError, UnavailableError

if TYPE_CHECKING:
    from ringfence.database.connection import Database

TABLES = "ringfence"
BY_SITE, MASKED = "ringfence_by_site", "ringfence_masked"
# Digits that are hidden, at a number's end.
HIDDEN_DIGITS = 4
MASK = "•"
_ADVISORY_LOCK = 7_201_013
log = structlog.get_logger()

# Kept lists of numbers: a view of masked numbers is made of the calls instead.
_PACKED = frozenset(("hour_top",))
# Texts of a SIP call that may hold other numbers.
UNMASKABLE = frozenset(("details",))

_ALL = "current_setting('ringfence.all_sites') = 'on'"
_AT_SITES = "current_setting('ringfence.sites')::smallint[]"
_BY_SITE_ID = f"({_ALL} OR site_id = ANY ({_AT_SITES}))"
_DEVICES = f"SELECT d.device_id FROM {TABLES}.device AS d WHERE d.site_id = ANY ({_AT_SITES})"  # noqa: S608 - constants
_BY_DEVICE = f"({_ALL} OR device_id = ANY (ARRAY({_DEVICES})))"
_COLUMNS = """
SELECT c.relname, array_agg(a.attname::text || ' ' || format_type(a.atttypid, NULL) ORDER BY a.attnum)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND c.relname !~ '_event_[0-9]+$'  -- a partition that is being dropped
  AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY c.relname ORDER BY c.relname
"""
_MADE_OF = "SELECT obj_description(to_regnamespace(%s), 'pg_namespace')"


@dataclass(frozen=True)
class Sight:
    """`sites` None: all; `is_masked`: without the last digits of numbers."""

    sites: frozenset[int] | None = None
    is_masked: bool = False

    @property
    def is_limited(self) -> bool:
        """Whether anything is kept from it."""
        return self.sites is not None or self.is_masked


FULL = Sight()


class _Holder:
    """Of one request: who asks is known only once it is under way, and then in other threads too."""

    def __init__(self, sight: Sight) -> None:
        self.sight = sight


_holder: ContextVar[_Holder | None] = ContextVar("sight", default=None)


@contextmanager
def seeing(sight: Sight) -> Iterator[None]:
    """Whatever is read inside, also by threads and jobs that are started there, is read with this sight."""
    token = _holder.set(_Holder(sight))
    try:
        yield
    finally:
        _holder.reset(token)


def narrow(sight: Sight) -> None:
    """From here on what is under way in the present `seeing` sees this; for who learns late who asks."""
    holder = _holder.get()
    if holder is None:
        _holder.set(_Holder(sight))
    else:
        holder.sight = sight


def present_sight() -> Sight:
    """The sight of who asks now."""
    holder = _holder.get()
    return holder.sight if holder is not None else FULL


def require_full_numbers(what: str) -> None:
    """ForbiddenError for who sees numbers masked: `what` works with whole ones."""
    if present_sight().is_masked:
        raise ForbiddenError(f"{what} works with whole numbers, which your role does not see", code="forbidden.masked")


def require_all_sites(what: str) -> None:
    """ForbiddenError for who is limited to sites: `what` concerns all."""
    if present_sight().sites is not None:
        raise ForbiddenError(f"{what} concerns all sites; you are limited to some", code="forbidden.sites")


@contextmanager
def whole_numbers(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """For matching calls by their numbers where no number comes out: the sites' limit stays, the mask goes."""
    sight = present_sight()
    if not sight.is_masked:
        yield
        return
    connection.execute("SELECT set_config('search_path', %s, false)", (f"{BY_SITE}, {TABLES}",))
    yield
    connection.execute("SELECT set_config('search_path', %s, false)", (f"{MASKED}, {TABLES}",))


def limit(connection: psycopg.Connection[Any], sight: Sight) -> None:
    """Put the views in front, before the caller does anything. UnavailableError where they are missing."""
    schema = MASKED if sight.is_masked else BY_SITE
    sites = "{" + ",".join(str(site) for site in sorted(sight.sites or ())) + "}"
    all_sites = "on" if sight.sites is None else "off"
    found = connection.execute(
        """
        SELECT set_config('search_path', %(path)s, false), set_config('ringfence.sites', %(sites)s, false),
               set_config('ringfence.all_sites', %(all)s, false), to_regclass(%(view)s) IS NOT NULL,
               to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL
        """,
        {"path": f"{schema}, {TABLES}", "sites": sites, "all": all_sites, "view": f"{schema}.enum_event"},
    ).fetchone()
    connection.commit()
    if found is None or not found[3]:
        raise UnavailableError("database: has no views for limited accounts; start `ringfence mediation` once")
    if found[4]:
        # In the caller's transaction, which begins here.
        for statement in told_to_nodes(sites, all_sites):
            connection.execute(statement)


def told_to_nodes(sites: str, all_sites: str) -> list[sql.Composed]:
    """Statements that make Citus tell its nodes what the views' conditions ask for, until the transaction ends.

    Plain PostgreSQL takes them too. A node that was not told refuses.
    """
    settings = {"citus.propagate_set_commands": "local", "ringfence.sites": sites, "ringfence.all_sites": all_sites}
    return [
        sql.SQL("SET LOCAL {} TO {}").format(sql.Identifier(*name.split(".")), sql.Literal(value))
        for name, value in settings.items()
    ]


def unlimit(connection: psycopg.Connection[Any]) -> None:
    """Take them away again."""
    if connection.closed or connection.broken:
        return
    connection.rollback()
    connection.execute(
        """
        SELECT set_config('search_path', %s, false), set_config('ringfence.sites', '{}', false),
               set_config('ringfence.all_sites', 'off', false)
        """,
        (TABLES,),
    )
    connection.commit()


def drop_views(connection: Any) -> None:
    """Before tables are changed: views hold their columns."""
    for schema in (BY_SITE, MASKED):
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def ensure_views(database: Database) -> None:
    """Make the views where they are missing or their tables have other columns by now; else one question.

    Where the database's user may make no schema, limited connections are refused and all else goes on.
    """
    try:
        _make_views(database)
    except psycopg.errors.InsufficientPrivilege as error:
        log.warning("sight.no_views", error=str(error).strip().split("\n")[0])


def _make_views(database: Database) -> None:
    with database.connection() as connection:
        tables = _tables(connection)
        wanted = _digest(tables)
        if connection.execute(_MADE_OF, (MASKED,)).fetchone() == (wanted,) or database.fence is not None:
            return
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_ADVISORY_LOCK,))
        drop_views(connection)
        for schema in (BY_SITE, MASKED):
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
            for table, columns in tables.items():
                if (view := _view(schema, table, columns)) is not None:
                    connection.execute(view)
            connection.execute(
                sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(schema), sql.Literal(wanted))
            )


def _tables(connection: psycopg.Connection[Any]) -> dict[str, dict[str, str]]:
    """Table → column → type, of those that a view may stand for."""
    rows = connection.execute(_COLUMNS, (TABLES,)).fetchall()
    return {table: dict(column.split(" ", 1) for column in columns) for table, columns in rows}


def _digest(tables: dict[str, dict[str, str]]) -> str:
    views = [
        view.as_string()
        for schema in (BY_SITE, MASKED)
        for table, columns in tables.items()
        if (view := _view(schema, table, columns)) is not None
    ]
    return hashlib.sha256("\n".join(views).encode()).hexdigest()


def _view(schema: str, table: str, columns: dict[str, str]) -> sql.Composed | None:
    """The view that stands for a table; None: the table is nobody's in particular."""
    condition = _BY_DEVICE if "device_id" in columns else _BY_SITE_ID if "site_id" in columns else None
    if table == "device":
        condition = _BY_SITE_ID
    if condition is None or table in ("account", "credential"):
        return None
    is_masked = schema == MASKED
    if is_masked and table in _PACKED:
        condition = "false"
    shown = [_column(name, columns) if is_masked else sql.Identifier(name) for name in columns]
    return sql.SQL("CREATE VIEW {}.{} AS SELECT {} FROM {}.{} WHERE {}").format(
        sql.Identifier(schema), sql.Identifier(table), sql.SQL(", ").join(shown), sql.Identifier(TABLES),
        sql.Identifier(table), sql.SQL(condition),
    )  # fmt: skip


def _column(name: str, columns: dict[str, str]) -> sql.Composable:
    """A column as it is shown masked."""
    side = name.removesuffix("_raw")
    if name in UNMASKABLE:
        return sql.SQL("NULL::text AS {}").format(sql.Identifier(name))
    if side not in ("source", "destination") or columns.get(f"{side}_raw") != "text" or columns.get(side) != "bigint":
        return sql.Identifier(name)
    if name == side:
        return sql.SQL("0::bigint AS {}").format(sql.Identifier(name))
    return sql.SQL(
        "CASE WHEN {number} <> 0"
        " THEN '+' || left({number}::text, -{hidden}) || repeat({mask}, least({hidden}, length({number}::text)))"
        " ELSE regexp_replace({raw}, '[0-9](?=[0-9]{{0,3}}([^0-9]|$))', {mask}, 'g') END AS {raw}"
    ).format(
        number=sql.Identifier(side), raw=sql.Identifier(name), hidden=sql.Literal(HIDDEN_DIGITS), mask=sql.Literal(MASK)
    )
