"""Sessions of people and tokens of programs: made, checked, revoked.

A secret is 256 random bits, shown once; the database holds only its SHA-256. That needs no slow hash (there is
nothing to guess) and is looked up by an index over the hash, so that timing says nothing about the secret.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import Connection
from psycopg.rows import dict_row

from ringfence.accounts import audit
from ringfence.errors import InvalidInputError, NotFoundError, NotSignedInError
from ringfence.vocabulary import Role

SESSION_LIFETIME = timedelta(hours=12)  # SP 800-63B 4.1.3 allows 30 days; a working day is enough
# `last_used_at` says "in use or not", not "when exactly": one write a minute, not one a request.
_USE_RECORDED_EVERY = timedelta(minutes=1)
_TOKEN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True)
class Identity:
    """Who is asking: a signed-in person, or a program with a token."""

    name: str
    role: Role
    must_change_password: bool
    credential_id: int
    account_id: int | None = None


@dataclass(frozen=True)
class Token:
    """A program's token as it can be shown: everything but the secret."""

    name: str
    role: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


def new_secret(prefix: str) -> str:
    """A fresh secret; the prefix (`rfs_`, `rft_`, `rfd_`) lets leak scanners recognise it."""
    return prefix + secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    """What the database keeps of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def create_session(connection: Connection, account_id: int, name: str, role: Role, now: datetime) -> str:
    """A session of a person who has just proved the password. Returns the secret."""
    secret = new_secret("rfs_")
    connection.execute(
        """
        INSERT INTO credential (secret_hash, kind, name, account_id, role, created_at, expires_at)
        VALUES (%s, 'session', %s, %s, %s, %s, %s)
        """,
        (hash_secret(secret), name, account_id, int(role), now, now + SESSION_LIFETIME),
    )
    return secret


def create_token(connection: Connection, name: str, role: Role, actor: str, expires_at: datetime | None = None) -> str:
    """A program's token. Returns the secret, which is shown once. InvalidInputError for a bad or taken name."""
    if not _TOKEN_NAME.fullmatch(name):
        raise InvalidInputError(
            f"token name: {name!r} is not a name; expected 1 to 64 letters, digits, '.', '_', '@' or '-'",
            code="invalid.token",
        )
    taken = connection.execute(
        "SELECT 1 FROM credential WHERE kind = 'token' AND name = %s AND revoked_at IS NULL", (name,)
    ).fetchone()
    if taken:
        raise InvalidInputError(f"token name: {name!r} is in use; revoke it first or choose another", code="conflict")
    secret = issue_token(connection, name, role, expires_at)
    audit.record(connection, actor, "token.add", name, {"role": role.word})
    return secret


def issue_token(connection: Connection, name: str, role: Role, expires_at: datetime | None = None) -> str:
    """Write a token's row without further ceremony (the machine's own token, whose name may repeat)."""
    secret = new_secret("rft_")
    connection.execute(
        "INSERT INTO credential (secret_hash, kind, name, role, expires_at) VALUES (%s, 'token', %s, %s, %s)",
        (hash_secret(secret), name, int(role), expires_at),
    )
    return secret


def authenticate(connection: Connection, secret: str, now: datetime | None = None) -> Identity:
    """Who holds this secret. NotSignedInError when it is unknown, expired or revoked, or its account disabled."""
    now = now or datetime.now(UTC)
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            """
            SELECT c.credential_id, c.account_id, c.last_used_at, coalesce(a.name, c.name) AS name,
                   coalesce(a.role, c.role) AS role, coalesce(a.must_change_password, false) AS must_change_password
            FROM credential c LEFT JOIN account a USING (account_id)
            WHERE c.secret_hash = %s AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > %s)
              AND a.disabled_at IS NULL
            """,
            (hash_secret(secret), now),
        ).fetchone()
    if row is None:
        raise NotSignedInError("the credential is not valid, or not any more: sign in again")
    is_due = row["last_used_at"] is None or now - row["last_used_at"] > _USE_RECORDED_EVERY
    if is_due and not connection.read_only:  # of a pair that is fenced
        connection.execute(
            "UPDATE credential SET last_used_at = %s WHERE credential_id = %s", (now, row["credential_id"])
        )
    return Identity(
        row["name"], Role(row["role"]), row["must_change_password"], row["credential_id"], row["account_id"]
    )


def revoke_secret(connection: Connection, secret: str) -> bool:
    """End the session or token with this secret; whether there was one."""
    cursor = connection.execute(
        "UPDATE credential SET revoked_at = now() WHERE secret_hash = %s AND revoked_at IS NULL",
        (hash_secret(secret),),
    )
    return cursor.rowcount > 0


def revoke_sessions(connection: Connection, account_id: int, keep: int | None = None) -> None:
    """End every session of an account, but not the credential `keep`."""
    connection.execute(
        """
        UPDATE credential SET revoked_at = now()
        WHERE account_id = %s AND revoked_at IS NULL AND credential_id IS DISTINCT FROM %s
        """,
        (account_id, keep),
    )


def revoke_token(connection: Connection, name: str, actor: str) -> None:
    """End a program's token by its name. NotFoundError when there is none in force."""
    cursor = connection.execute(
        "UPDATE credential SET revoked_at = now() WHERE kind = 'token' AND name = %s AND revoked_at IS NULL", (name,)
    )
    if cursor.rowcount == 0:
        raise NotFoundError(f"token {name!r} does not exist; `ringfence token list` shows those in force")
    audit.record(connection, actor, "token.revoke", name)


def list_tokens(connection: Connection, now: datetime | None = None) -> list[Token]:
    """The tokens in force, by name."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            SELECT name, role, created_at, last_used_at, expires_at FROM credential
            WHERE kind = 'token' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %s)
            ORDER BY name, created_at
            """,
            (now or datetime.now(UTC),),
        ).fetchall()
    return [Token(**row | {"role": Role(row["role"]).word}) for row in rows]


def purge_credentials(connection: Connection, now: datetime, keep: timedelta = timedelta(days=7)) -> int:
    """Delete what expired or was revoked longer than `keep` ago; how many. The audit trail stays."""
    return connection.execute(
        "DELETE FROM credential WHERE expires_at < %(limit)s OR revoked_at < %(limit)s", {"limit": now - keep}
    ).rowcount


def end_sessions(connection: Connection, now: datetime) -> int:
    """End every session, and the entrances of machines: after a restore nobody is signed in who was then. How many."""
    return connection.execute(
        """
        UPDATE credential SET revoked_at = %s
        WHERE revoked_at IS NULL AND (kind = 'session' OR (kind = 'token' AND name = 'local'))
        """,
        (now,),
    ).rowcount
