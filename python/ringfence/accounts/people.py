"""People: their accounts, signing in and out, passwords.

Guessing is bounded twice: here per account (five failures in a row lock it for a minute, each further one
for twice as long, up to fifteen minutes: about a hundred guesses a day, SP 800-63B 5.2.2), and at the API per address.
An attempt is counted, and the count committed, *before* the password is checked, so that parallel guesses
cannot outrun the lock. What the caller is told is the same for an unknown name, a wrong password, a disabled and
a locked account, and takes the same time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.errors import UniqueViolation
from psycopg.rows import dict_row

from ringfence.accounts import audit, credentials, passwords
from ringfence.accounts.credentials import Identity
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError, NotSignedInError
from ringfence.vocabulary import Role

FIRST_ADMINISTRATOR = "admin"
FREE_FAILURES = 5
FIRST_LOCK = timedelta(minutes=1)
LONGEST_LOCK = timedelta(minutes=15)
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_FIRST_ACCOUNT_LOCK = 7_201_001  # advisory lock: two mediations starting on an empty database


@dataclass(frozen=True)
class SignIn:
    """A successful sign-in: the session's secret, shown once, and whose it is."""

    secret: str
    identity: Identity


@dataclass(frozen=True)
class Person:
    """An account as it can be shown."""

    name: str
    role: str
    must_change_password: bool
    disabled: bool
    locked_until: datetime | None
    created_at: datetime
    last_seen_at: datetime | None


def sign_in(connection: Connection, name: str, password: str, address: str | None, now: datetime) -> SignIn:
    """Check name and password and open a session.

    Commits the counted attempt even when it fails. NotSignedInError is all that a failure tells.
    """
    account = _attempt(connection, name, now)
    # An unknown name is verified too, against nobody's hash: it takes the same time.
    is_right = passwords.verify_password(password, account["password_hash"] if account else None)
    if account is None or not is_right:
        audit.record(connection, name if _NAME.fullmatch(name) else "(no name)", "sign_in.failed", address=address)
        connection.commit()
        raise NotSignedInError(
            "name or password is wrong, or the account is locked for some minutes after repeated failures",
            code="not_signed_in.refused",
        )
    if passwords.needs_rehash(account["password_hash"]):
        _store_password(connection, account["account_id"], password)
    role = Role(account["role"])
    connection.execute(
        "UPDATE account SET failed_sign_ins = 0, locked_until = NULL WHERE account_id = %s", (account["account_id"],)
    )
    secret = credentials.create_session(connection, account["account_id"], name, role, now)
    audit.record(connection, name, "sign_in", address=address)
    return SignIn(secret, credentials.authenticate(connection, secret, now))


def sign_out(connection: Connection, secret: str, now: datetime) -> None:
    """End a session; signing out twice, or of a session that has ended by itself, is no error."""
    try:
        identity = credentials.authenticate(connection, secret, now)
    except NotSignedInError:
        return
    credentials.revoke_secret(connection, secret)
    audit.record(connection, identity.name, "sign_out")


def change_password(
    connection: Connection, identity: Identity, old: str, new: str, now: datetime | None = None
) -> None:
    """Replace one's own password; ends the account's other sessions. A wrong old one counts as a failed sign-in."""
    if identity.account_id is None:
        raise InvalidInputError(f"{identity.name} is a token and has no password", code="invalid.password")
    passwords.check_new_password(new, identity.name)
    account = _attempt(connection, identity.name, now or datetime.now().astimezone())
    if account is None or not passwords.verify_password(old, account["password_hash"]):
        audit.record(connection, identity.name, "password.change.failed")
        connection.commit()
        raise InvalidInputError("old password: is wrong", code="invalid.old_password")
    if passwords.verify_password(new, account["password_hash"]):
        raise InvalidInputError("password: is the old one; expected a new one", code="invalid.password")
    _store_password(connection, identity.account_id, new)
    credentials.revoke_sessions(connection, identity.account_id, keep=identity.credential_id)
    audit.record(connection, identity.name, "password.change")


def ensure_first_administrator(connection: Connection) -> str | None:
    """Where no account exists, make `admin` and return its one-time password; else None."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_FIRST_ACCOUNT_LOCK,))
    if connection.execute("SELECT 1 FROM account LIMIT 1").fetchone():
        return None
    return create_person(connection, FIRST_ADMINISTRATOR, Role.ADMINISTRATOR, actor="ringfence")


def create_person(connection: Connection, name: str, role: Role, actor: str) -> str:
    """Make an account; returns the one-time password, which must be changed at the first sign-in."""
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"user name: {name!r} is not a name; expected 1 to 64 lower-case letters, digits, '.', '_', '@' or '-'",
            code="invalid.user",
        )
    password = passwords.one_time_password()
    try:
        with connection.transaction():
            connection.execute(
                "INSERT INTO account (name, password_hash, role, must_change_password) VALUES (%s, %s, %s, true)",
                (name, passwords.hash_password(password), int(role)),
            )
    except UniqueViolation:
        raise ConflictError(f"user {name!r} exists already") from None
    audit.record(connection, actor, "user.add", name, {"role": role.word})
    return password


def reset_password(connection: Connection, name: str, actor: str) -> str:
    """Give an account a new one-time password, lift its lock and end its sessions."""
    account_id = _account_id(connection, name)
    password = passwords.one_time_password()
    connection.execute(
        """
        UPDATE account SET password_hash = %s, must_change_password = true, failed_sign_ins = 0, locked_until = NULL
        WHERE account_id = %s
        """,
        (passwords.hash_password(password), account_id),
    )
    credentials.revoke_sessions(connection, account_id)
    audit.record(connection, actor, "user.reset", name)
    return password


def set_disabled(connection: Connection, name: str, disabled: bool, actor: str) -> None:
    """Close an account and its sessions, or open it again. The last administrator cannot be closed."""
    account_id = _account_id(connection, name)
    if disabled:
        _keep_an_administrator(connection, account_id, name)
        credentials.revoke_sessions(connection, account_id)
    connection.execute(
        "UPDATE account SET disabled_at = CASE WHEN %s THEN coalesce(disabled_at, now()) END WHERE account_id = %s",
        (disabled, account_id),
    )
    audit.record(connection, actor, "user.disable" if disabled else "user.enable", name)


def set_role(connection: Connection, name: str, role: Role, actor: str) -> None:
    """Give an account another role, in force from its next request. The last administrator keeps the role."""
    account_id = _account_id(connection, name)
    if role is not Role.ADMINISTRATOR:
        _keep_an_administrator(connection, account_id, name)
    connection.execute("UPDATE account SET role = %s WHERE account_id = %s", (int(role), account_id))
    audit.record(connection, actor, "user.role", name, {"role": role.word})


def list_people(connection: Connection) -> list[Person]:
    """Every account, by name."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            SELECT a.name, a.role, a.must_change_password, a.disabled_at IS NOT NULL AS disabled, a.created_at,
                   CASE WHEN a.locked_until > now() THEN a.locked_until END AS locked_until,
                   (SELECT max(c.last_used_at) FROM credential c WHERE c.account_id = a.account_id) AS last_seen_at
            FROM account a ORDER BY a.name
            """
        ).fetchall()
    return [Person(**row | {"role": Role(row["role"]).word}) for row in rows]


def _attempt(connection: Connection, name: str, now: datetime) -> dict[str, Any] | None:
    """Count an attempt and commit it; the account, or None where the attempt must fail whatever the password."""
    if not _NAME.fullmatch(name):
        return None
    with connection.cursor(row_factory=dict_row) as cursor:
        account = cursor.execute(
            """
            UPDATE account SET failed_sign_ins = failed_sign_ins + 1,
                locked_until = CASE WHEN failed_sign_ins + 1 >= %(free)s THEN %(now)s::timestamptz + least(
                    %(longest)s::interval, %(first)s::interval * 2 ^ least(failed_sign_ins + 1 - %(free)s, 10)) END
            WHERE name = %(name)s AND disabled_at IS NULL AND (locked_until IS NULL OR locked_until <= %(now)s)
            RETURNING account_id, password_hash, role
            """,
            {"name": name, "now": now, "free": FREE_FAILURES, "first": FIRST_LOCK, "longest": LONGEST_LOCK},
        ).fetchone()
    connection.commit()
    return account


def _store_password(connection: Connection, account_id: int, password: str) -> None:
    connection.execute(
        """
        UPDATE account SET password_hash = %s, must_change_password = false, failed_sign_ins = 0, locked_until = NULL
        WHERE account_id = %s
        """,
        (passwords.hash_password(password), account_id),
    )


def _account_id(connection: Connection, name: str) -> int:
    row = connection.execute("SELECT account_id FROM account WHERE name = %s", (name,)).fetchone()
    if row is None:
        raise NotFoundError(f"user {name!r} does not exist; `ringfence user list` shows those that do")
    return int(row[0])


def _keep_an_administrator(connection: Connection, account_id: int, name: str) -> None:
    # Locks every administrator's row: two administrators who close each other at once cannot both succeed.
    others = connection.execute(
        "SELECT account_id FROM account WHERE role = %s AND disabled_at IS NULL ORDER BY account_id FOR UPDATE",
        (int(Role.ADMINISTRATOR),),
    ).fetchall()
    if [row[0] for row in others] == [account_id]:
        raise ConflictError(f"user {name!r} is the last administrator; make another one first")
