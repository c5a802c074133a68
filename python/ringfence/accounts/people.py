"""People: their accounts, signing in and out, passwords.

Guessing is bounded twice: here per account (five failures in a row lock it for a minute, each further one for twice as
long, up to fifteen minutes: about a hundred guesses a day, SP 800-63B-4 3.2.2), and at the API per address. No attacker
locks a person out for good: an address that the account has signed in from within ninety days has a count of its own,
and the lock that failures from elsewhere make does not hold there; no lock lasts longer than a quarter of an hour.
An attempt is counted, and the count committed, *before* the password is checked, so that parallel guesses
cannot outrun the lock. What the caller is told is the same for an unknown name, a wrong password, a disabled and
a locked account, and takes the same time.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.errors import UniqueViolation
from psycopg.rows import dict_row

from ringfence.accounts import audit, credentials, passwords, second_factor
from ringfence.accounts.credentials import Identity, Lifetimes, Origin
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError, NotSignedInError
from ringfence.vocabulary import Role

FIRST_ADMINISTRATOR = "admin"
FREE_FAILURES = 5
FIRST_LOCK = timedelta(minutes=1)
LONGEST_LOCK = timedelta(minutes=15)
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_COUNTED = """
    failed_sign_ins = {table}.failed_sign_ins + 1,
    locked_until = CASE WHEN {table}.failed_sign_ins + 1 >= %(free)s THEN %(now)s::timestamptz + least(
        %(longest)s::interval, %(first)s::interval * 2 ^ least({table}.failed_sign_ins + 1 - %(free)s, 10)) END
"""
_ACCOUNT = "account.account_id, account.name, password_hash, role, totp_set_at IS NOT NULL AS has_second_factor"
_ATTEMPT = """
    UPDATE account SET {counted}
    WHERE name = %(name)s AND disabled_at IS NULL AND (locked_until IS NULL OR locked_until <= %(now)s)
    RETURNING {account}
""".format(counted=_COUNTED.format(table="account"), account=_ACCOUNT)  # noqa: S608 - constants
_ATTEMPT_FROM_KNOWN = """
    UPDATE account_address SET {counted} FROM account
    WHERE account.name = %(name)s AND account_address.account_id = account.account_id AND account.disabled_at IS NULL
      AND address = %(address)s AND (account_address.locked_until IS NULL OR account_address.locked_until <= %(now)s)
    RETURNING {account}
""".format(counted=_COUNTED.format(table="account_address"), account=_ACCOUNT)  # noqa: S608 - constants
_KNOWN_ADDRESS = """
    SELECT 1 FROM account_address JOIN account USING (account_id) WHERE name = %(name)s AND address = %(address)s
"""
_FIRST_ACCOUNT_LOCK = 7_201_001  # advisory lock: two mediations starting on an empty database


@dataclass(frozen=True)
class SignIn:
    """A successful sign-in: the session's secret, shown once, and whose it is."""

    secret: str
    identity: Identity


class CodeNeededError(NotSignedInError):
    """The password was right; the account has a second factor. `step` is what `finish_sign_in` takes with the code."""

    code = "not_signed_in.code_needed"

    def __init__(self, step: str) -> None:
        super().__init__("code: is needed; this account has a second factor")
        self.step = step


@dataclass(frozen=True)
class Person:
    """An account as it can be shown. `origin`: who checks its password; `sites` None: all."""

    name: str
    role: str
    origin: str
    sites: list[int] | None
    has_second_factor: bool
    must_change_password: bool
    disabled: bool
    locked_until: datetime | None
    created_at: datetime
    last_seen_at: datetime | None


def is_name(name: str) -> bool:
    """Whether an account can be called so."""
    return _NAME.fullmatch(name) is not None


def sign_in(
    connection: Connection,
    name: str,
    password: str,
    address: str | None,
    now: datetime,
    *,
    code: str | None = None,
    agent: str | None = None,
    lifetimes: Lifetimes | None = None,
) -> SignIn:
    """Check name, password and, where the account has a second factor, its code; open a session.

    Commits the counted attempt even when it fails. NotSignedInError is all that a failure tells; CodeNeededError: the
    password was right, and `finish_sign_in` takes the code.
    """
    account = attempt(connection, name, now, address)
    # An unknown name is verified too, against nobody's hash: it takes the same time.
    is_right = passwords.verify_password(password, account["password_hash"] if account else None)
    if account is None or not is_right:
        raise refuse(connection, name, address)
    if passwords.needs_rehash(account["password_hash"]):
        connection.execute(
            "UPDATE account SET password_hash = %s WHERE account_id = %s",
            (passwords.hash_password(password), account["account_id"]),
        )
    return enter(connection, account, Origin(address, agent), now, lifetimes, code)


def enter(
    connection: Connection,
    account: dict[str, Any],
    origin: Origin,
    now: datetime,
    lifetimes: Lifetimes | None = None,
    code: str | None = None,
) -> SignIn:
    """Open a session for who has proved the password (here or to a directory), after the second factor where one is.

    `account` is what `attempt` returned. CodeNeededError, NotSignedInError.
    """
    name, role, account_id = account["name"], Role(account["role"]), account["account_id"]
    if account["has_second_factor"]:
        if code is None:
            step = credentials.create_step(connection, account_id, name, role, now)
            connection.commit()
            raise CodeNeededError(step)
        if not second_factor.check_code(connection, account_id, code, now):
            raise refuse(connection, name, origin.address)
    connection.execute(
        "UPDATE account SET failed_sign_ins = 0, locked_until = NULL WHERE account_id = %s", (account_id,)
    )
    if origin.address is not None:
        connection.execute(
            """
            INSERT INTO account_address (account_id, address, succeeded_at) VALUES (%s, %s, %s)
            ON CONFLICT (account_id, address) DO UPDATE
                SET succeeded_at = excluded.succeeded_at, failed_sign_ins = 0, locked_until = NULL
            """,
            (account_id, origin.address, now),
        )
    secret = credentials.create_session(connection, account_id, name, role, now, lifetimes, origin)
    audit.record(connection, name, "sign_in", address=origin.address)
    return SignIn(secret, credentials.authenticate(connection, secret, now))


def finish_sign_in(
    connection: Connection,
    step: str,
    code: str,
    origin: Origin,
    now: datetime,
    lifetimes: Lifetimes | None = None,
) -> SignIn:
    """The second half of a sign-in: the code. Each try is counted like one of a password. NotSignedInError."""
    _, name = credentials.read_step(connection, step, now)
    account = attempt(connection, name, now, origin.address)
    if account is None:
        raise refuse(connection, name, origin.address)
    signed_in = enter(connection, account, origin, now, lifetimes, code)
    credentials.revoke_secret(connection, step)
    return signed_in


def refuse(connection: Connection, name: str, address: str | None) -> NotSignedInError:
    """Record a failed sign-in, commit it, and say what may be said of it."""
    audit.record(connection, name if _NAME.fullmatch(name) else "(no name)", "sign_in.failed", address=address)
    connection.commit()
    return NotSignedInError(
        "name or password is wrong, or the account is locked for some minutes after repeated failures",
        code="not_signed_in.refused",
    )


def origin_of_session(connection: Connection, secret: str) -> str | None:
    """Who checked the one whose session this is: `local`, `ldap`, `oidc`; None: nobody's."""
    row = connection.execute(
        "SELECT origin FROM credential JOIN account USING (account_id) WHERE secret_hash = %s",
        (credentials.hash_secret(secret),),
    ).fetchone()
    return str(row[0]) if row else None


def sign_out(connection: Connection, secret: str, now: datetime) -> None:
    """End a session; signing out twice, or of a session that has ended by itself, is no error."""
    try:
        identity = credentials.authenticate(connection, secret, now)
    except NotSignedInError:
        return
    credentials.revoke_secret(connection, secret)
    audit.record(connection, identity.name, "sign_out")


def change_password(
    connection: Connection,
    identity: Identity,
    old: str,
    new: str,
    now: datetime | None = None,
    *,
    with_tokens: bool = False,
) -> None:
    """Replace one's own password; ends the account's other sessions, and its tokens where wanted.

    A wrong old one counts as a failed sign-in.
    """
    if identity.account_id is None or not identity.is_session:
        raise InvalidInputError(f"{identity.name} came with a token, which has no password", code="invalid.password")
    account = attempt(connection, identity.name, now or datetime.now().astimezone(), None)
    if account is not None and account["password_hash"] is None:
        raise InvalidInputError("your password is your directory's: change it there", code="invalid.password")
    has_code = account is not None and account["has_second_factor"]
    if account is None or not passwords.verify_password(old, account["password_hash"]):
        audit.record(connection, identity.name, "password.change.failed")
        connection.commit()
        raise InvalidInputError("old password: is wrong", code="invalid.old_password")
    # The attempt proved rightful, whatever the new one is like: that is no guessing.
    connection.execute(
        "UPDATE account SET failed_sign_ins = 0, locked_until = NULL WHERE account_id = %s", (identity.account_id,)
    )
    connection.commit()
    passwords.check_new_password(new, identity.name, has_second_factor=has_code)
    if passwords.verify_password(new, account["password_hash"]):
        raise InvalidInputError("password: is the old one; expected a new one", code="invalid.password")
    _store_password(connection, identity.account_id, new)
    credentials.revoke_sessions(connection, identity.account_id, keep=identity.credential_id, with_tokens=with_tokens)
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
    if connection.execute("SELECT origin FROM account WHERE account_id = %s", (account_id,)).fetchone() != ("local",):
        raise ConflictError(f"user {name!r} has the password of a directory: it is reset there")
    password = passwords.one_time_password()
    connection.execute(
        """
        UPDATE account SET password_hash = %s, must_change_password = true, failed_sign_ins = 0, locked_until = NULL
        WHERE account_id = %s
        """,
        (passwords.hash_password(password), account_id),
    )
    connection.execute("DELETE FROM account_address WHERE account_id = %s", (account_id,))
    credentials.revoke_sessions(connection, account_id, with_tokens=True)
    audit.record(connection, actor, "user.reset", name)
    return password


def set_disabled(connection: Connection, name: str, disabled: bool, actor: str) -> None:
    """Close an account and its sessions, or open it again. The last administrator cannot be closed."""
    account_id = _account_id(connection, name)
    if disabled:
        _keep_an_administrator(connection, account_id, name)
        credentials.revoke_sessions(connection, account_id, with_tokens=True)
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


def set_sites(connection: Connection, name: str, sites: Collection[int] | None, actor: str) -> None:
    """Limit an account to sites, from its next request; None: it sees all. The last administrator is not limited."""
    account_id = _account_id(connection, name)
    if sites is not None:
        _keep_an_administrator(connection, account_id, name)
    connection.execute(
        "UPDATE account SET sites = %s WHERE account_id = %s",
        (sorted(sites) if sites is not None else None, account_id),
    )
    audit.record(connection, actor, "user.sites", name, {"sites": sorted(sites) if sites is not None else "all"})


def list_people(connection: Connection) -> list[Person]:
    """Every account, by name."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            SELECT a.name, a.role, a.origin, a.sites, a.totp_set_at IS NOT NULL AS has_second_factor,
                   a.must_change_password, a.disabled_at IS NOT NULL AS disabled, a.created_at,
                   CASE WHEN a.locked_until > now() THEN a.locked_until END AS locked_until,
                   (SELECT max(c.last_used_at) FROM credential c WHERE c.account_id = a.account_id) AS last_seen_at
            FROM account a ORDER BY a.name
            """
        ).fetchall()
    return [Person(**row | {"role": Role(row["role"]).word}) for row in rows]


def attempt(connection: Connection, name: str, now: datetime, address: str | None) -> dict[str, Any] | None:
    """Count an attempt and commit it; the account, or None where the attempt must fail whatever the password.

    From an address that the account signed in from before, that address's own failures count; from elsewhere those of
    all such addresses together.
    """
    if not _NAME.fullmatch(name):
        return None
    values = {
        "name": name, "now": now, "address": address,
        "free": FREE_FAILURES, "first": FIRST_LOCK, "longest": LONGEST_LOCK,
    }  # fmt: skip
    with connection.cursor(row_factory=dict_row) as cursor:
        known = cursor.execute(_KNOWN_ADDRESS, values).fetchone()
        account = cursor.execute(_ATTEMPT_FROM_KNOWN if known else _ATTEMPT, values).fetchone()
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
        """
        SELECT account_id FROM account WHERE role = %s AND disabled_at IS NULL AND sites IS NULL
        ORDER BY account_id FOR UPDATE
        """,
        (int(Role.ADMINISTRATOR),),
    ).fetchall()
    if [row[0] for row in others] == [account_id]:
        raise ConflictError(f"user {name!r} is the last administrator; make another one first")
