"""Whether anybody but the one who installed this can be meant: asked before other machines are let near."""

from __future__ import annotations

from psycopg import Connection

from ringfence.vocabulary import Role


def has_administrator(connection: Connection) -> bool:
    """Whether an administrator exists who has replaced the one-time password."""
    row = connection.execute(
        "SELECT 1 FROM account WHERE role = %s AND NOT must_change_password AND disabled_at IS NULL LIMIT 1",
        (int(Role.ADMINISTRATOR),),
    ).fetchone()
    return row is not None
