"""Sessions of people, tokens of programs and of people: made, checked, listed, revoked.

A session ends at an hour, and earlier when it is not used. A token has a role and may be limited to sites; that of a
person is never more than its owner, whatever becomes of the owner later: both are compared at each use.
A secret is 256 random bits, shown once; the database holds only its SHA-256. That needs no slow hash (there is
nothing to guess) and is looked up by an index over the hash, so that timing says nothing about the secret.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import Connection
from psycopg.rows import dict_row

from ringfence.accounts import audit
from ringfence.errors import ForbiddenError, InvalidInputError, NotFoundError, NotSignedInError
from ringfence.settings import AccountsSettings
from ringfence.vocabulary import Role

SESSION_LIFETIME = timedelta(hours=12)  # SP 800-63B-4 2.2.3: at AAL2 24 hours are the most; a working day is enough
SESSION_IDLE = timedelta(hours=1)  # SP 800-63B-4 2.2.3
STEP_LIFETIME = timedelta(minutes=5)  # from the password to the code
TOTP_ROLES = "second_factor.roles"  # the setting: roles that must have a second factor
ADDRESS_KNOWN_FOR = timedelta(days=90)  # how long a sign-in from somewhere is remembered
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
    must_enrol: bool = False  # its role needs a second factor, and it has none yet
    sites: frozenset[int] | None = None  # None: all
    is_session: bool = False

    @property
    def is_limited(self) -> bool:
        """Whether it sees and edits what belongs to some sites, not to all."""
        return self.sites is not None


@dataclass(frozen=True)
class Lifetimes:
    """How long a session lasts."""

    absolute: timedelta = SESSION_LIFETIME
    idle: timedelta = SESSION_IDLE

    @classmethod
    def of(cls, settings: AccountsSettings) -> Lifetimes:
        """As the settings say."""
        return cls(timedelta(hours=settings.session_hours), timedelta(minutes=settings.idle_minutes))


@dataclass(frozen=True)
class Origin:
    """Where a sign-in comes from, as its list of sessions shows it."""

    address: str | None = None
    agent: str | None = None


@dataclass(frozen=True)
class OpenSession:
    """A session in force, as it can be shown."""

    session_id: int
    user: str
    address: str | None
    agent: str | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True)
class Token:
    """A token as it can be shown: everything but the secret. `owner` None: a program's; `sites` None: all."""

    name: str
    owner: str | None
    role: str
    sites: list[int] | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


def new_secret(prefix: str) -> str:
    """A fresh secret; the prefix (`rfs_`, `rft_`, `rfd_`) lets leak scanners recognise it."""
    return prefix + secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    """What the database keeps of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def create_session(
    connection: Connection,
    account_id: int,
    name: str,
    role: Role,
    now: datetime,
    lifetimes: Lifetimes | None = None,
    origin: Origin | None = None,
) -> str:
    """A session of a person who has just proved who it is. Returns the secret."""
    lifetimes, origin = lifetimes or Lifetimes(), origin or Origin()
    secret = new_secret("rfs_")
    connection.execute(
        """
        INSERT INTO credential
            (secret_hash, kind, name, account_id, role, created_at, expires_at, idle_s, address, agent)
        VALUES (%s, 'session', %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            hash_secret(secret), name, account_id, int(role), now, now + lifetimes.absolute,
            int(lifetimes.idle.total_seconds()), origin.address, (origin.agent or "")[:200] or None,
        ),
    )  # fmt: skip
    return secret


def create_step(connection: Connection, account_id: int, name: str, role: Role, now: datetime) -> str:
    """What a browser holds between password and code. Returns the secret; it opens nothing else."""
    secret = new_secret("rfc_")
    connection.execute(
        """
        INSERT INTO credential (secret_hash, kind, name, account_id, role, created_at, expires_at)
        VALUES (%s, 'step', %s, %s, %s, %s, %s)
        """,
        (hash_secret(secret), name, account_id, int(role), now, now + STEP_LIFETIME),
    )
    return secret


def read_step(connection: Connection, secret: str, now: datetime) -> tuple[int, str]:
    """Account and name of who has proved the password. NotSignedInError when that is too long ago, or never was."""
    row = connection.execute(
        """
        SELECT account_id, account.name FROM credential JOIN account USING (account_id)
        WHERE secret_hash = %s AND kind = 'step' AND revoked_at IS NULL AND expires_at > %s AND disabled_at IS NULL
        """,
        (hash_secret(secret), now),
    ).fetchone()
    if row is None:
        raise NotSignedInError("the sign-in took too long: begin again with name and password")
    return int(row[0]), str(row[1])


def create_token(
    connection: Connection,
    name: str,
    role: Role,
    actor: str,
    expires_at: datetime | None = None,
    *,
    owner: Identity | None = None,
    sites: Collection[int] | None = None,
) -> str:
    """A program's token, or that of the person `owner`. Returns the secret, which is shown once.

    InvalidInputError for a bad or taken name; ForbiddenError for a role or a site that the owner does not have.
    """
    if owner is not None:
        sites = _within(owner, role, sites)
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
    secret = issue_token(connection, name, role, expires_at, owner.account_id if owner else None, sites)
    detail = {"role": role.word} | ({"owner": owner.name} if owner else {})
    audit.record(connection, actor, "token.add", name, detail | ({"sites": sorted(sites)} if sites is not None else {}))
    return secret


def _within(owner: Identity, role: Role, sites: Collection[int] | None) -> Collection[int] | None:
    """The sites of a person's token, which is never more than the person."""
    if owner.account_id is None or not owner.is_session:
        raise ForbiddenError("a token makes no other tokens: sign in to make one")
    if role > owner.role:
        raise ForbiddenError(f"your role is {owner.role.word}; a token of yours cannot be {role.word}")
    if owner.sites is not None and not set(sites if sites is not None else owner.sites) <= owner.sites:
        raise ForbiddenError("a token of yours cannot see sites that you do not see")
    return sites


def issue_token(
    connection: Connection,
    name: str,
    role: Role,
    expires_at: datetime | None = None,
    account_id: int | None = None,
    sites: Collection[int] | None = None,
) -> str:
    """Write a token's row without further ceremony (the machine's own token, whose name may repeat)."""
    secret = new_secret("rft_")
    connection.execute(
        """
        INSERT INTO credential (secret_hash, kind, name, role, expires_at, account_id, sites)
        VALUES (%s, 'token', %s, %s, %s, %s, %s)
        """,
        (hash_secret(secret), name, int(role), expires_at, account_id, sorted(sites) if sites is not None else None),
    )
    return secret


def authenticate(connection: Connection, secret: str, now: datetime | None = None) -> Identity:
    """Who holds this secret. NotSignedInError when it is unknown, expired or revoked, or its account disabled."""
    now = now or datetime.now(UTC)
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            """
            SELECT c.credential_id, c.account_id, c.kind, c.last_used_at, coalesce(a.name, c.name) AS name,
                   CASE c.kind WHEN 'token' THEN least(a.role, c.role) ELSE a.role END AS role,
                   coalesce(a.must_change_password, false) AS must_change_password, a.sites, c.sites AS own_sites,
                   c.kind = 'session' AND a.origin <> 'oidc' AND a.totp_set_at IS NULL
                       AND EXISTS (SELECT FROM setting WHERE key = %(roles)s AND value @> to_jsonb(a.role))
                       AS must_enrol
            FROM credential c LEFT JOIN account a USING (account_id)
            WHERE c.secret_hash = %(hash)s AND c.kind IN ('session', 'token') AND c.revoked_at IS NULL
              AND (c.expires_at IS NULL OR c.expires_at > %(now)s) AND a.disabled_at IS NULL
              AND (c.idle_s IS NULL
                   OR coalesce(c.last_used_at, c.created_at) + make_interval(secs => c.idle_s) > %(now)s)
            """,
            {"hash": hash_secret(secret), "now": now, "roles": TOTP_ROLES},
        ).fetchone()
    if row is None:
        raise NotSignedInError("the credential is not valid, or not any more: sign in again")
    is_due = row["last_used_at"] is None or now - row["last_used_at"] > _USE_RECORDED_EVERY
    if is_due and not connection.read_only:  # of a pair that is fenced
        connection.execute(
            "UPDATE credential SET last_used_at = %s WHERE credential_id = %s", (now, row["credential_id"])
        )
    is_session = row["kind"] == "session"
    limits = [frozenset(sites) for sites in (row["sites"], row["own_sites"]) if sites is not None]
    return Identity(
        row["name"], Role(row["role"]), row["must_change_password"], row["credential_id"], row["account_id"],
        row["must_enrol"], frozenset.intersection(*limits) if limits else None, is_session,
    )  # fmt: skip


def revoke_secret(connection: Connection, secret: str) -> bool:
    """End the session or token with this secret; whether there was one."""
    cursor = connection.execute(
        "UPDATE credential SET revoked_at = now() WHERE secret_hash = %s AND revoked_at IS NULL",
        (hash_secret(secret),),
    )
    return cursor.rowcount > 0


def revoke_sessions(
    connection: Connection, account_id: int, keep: int | None = None, *, with_tokens: bool = False
) -> None:
    """End every session of an account, but not the credential `keep`; with its tokens, where wanted."""
    connection.execute(
        """
        UPDATE credential SET revoked_at = now()
        WHERE account_id = %s AND revoked_at IS NULL AND credential_id IS DISTINCT FROM %s AND (%s OR kind <> 'token')
        """,
        (account_id, keep, with_tokens),
    )


def list_sessions(connection: Connection, account_id: int | None, now: datetime | None = None) -> list[OpenSession]:
    """The sessions in force of an account, or of all; the latest made first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            SELECT c.credential_id AS session_id, a.name AS user, c.address, c.agent, c.created_at, c.last_used_at,
                   c.expires_at
            FROM credential c JOIN account a USING (account_id)
            WHERE c.kind = 'session' AND c.revoked_at IS NULL AND c.expires_at > %(now)s AND a.disabled_at IS NULL
              AND (c.idle_s IS NULL
                   OR coalesce(c.last_used_at, c.created_at) + make_interval(secs => c.idle_s) > %(now)s)
              AND (%(account)s::integer IS NULL OR account_id = %(account)s)
            ORDER BY c.credential_id DESC
            """,
            {"account": account_id, "now": now or datetime.now(UTC)},
        ).fetchall()
    return [OpenSession(**row) for row in rows]


def revoke_session(connection: Connection, session_id: int, identity: Identity) -> None:
    """End one session: one's own, or as an administrator anybody's. NotFoundError, also for somebody else's."""
    ended = connection.execute(
        """
        UPDATE credential SET revoked_at = now() FROM account
        WHERE credential_id = %s AND kind = 'session' AND revoked_at IS NULL
          AND account.account_id = credential.account_id AND (%s OR credential.account_id = %s)
        RETURNING account.name
        """,
        (session_id, identity.role is Role.ADMINISTRATOR and not identity.is_limited, identity.account_id),
    ).fetchone()
    if ended is None:
        raise NotFoundError(f"session {session_id} does not exist, or has ended")
    audit.record(connection, identity.name, "session.revoke", str(ended[0]))


def revoke_token(connection: Connection, name: str, actor: str, *, owner: int | None = None) -> None:
    """End a token by its name; only one of account `owner`, where given. NotFoundError when there is none in force."""
    cursor = connection.execute(
        """
        UPDATE credential SET revoked_at = now()
        WHERE kind = 'token' AND name = %s AND revoked_at IS NULL AND (%s::integer IS NULL OR account_id = %s)
        """,
        (name, owner, owner),
    )
    if cursor.rowcount == 0:
        raise NotFoundError(f"token {name!r} does not exist; `ringfence token list` shows those in force")
    audit.record(connection, actor, "token.revoke", name)


def list_tokens(connection: Connection, now: datetime | None = None, *, owner: int | None = None) -> list[Token]:
    """The tokens in force, by name; only those of account `owner`, where given."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            SELECT c.name, a.name AS owner, least(c.role, a.role) AS role, c.sites, c.created_at, c.last_used_at,
                   c.expires_at
            FROM credential c LEFT JOIN account a USING (account_id)
            WHERE kind = 'token' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(now)s)
              AND (%(owner)s::integer IS NULL OR account_id = %(owner)s)
            ORDER BY c.name, c.created_at
            """,
            {"now": now or datetime.now(UTC), "owner": owner},
        ).fetchall()
    return [Token(**row | {"role": Role(row["role"]).word}) for row in rows]


def purge_credentials(connection: Connection, now: datetime, keep: timedelta = timedelta(days=7)) -> int:
    """Delete what expired or was revoked longer than `keep` ago; how many. The audit trail stays."""
    connection.execute("DELETE FROM account_address WHERE succeeded_at < %s", (now - ADDRESS_KNOWN_FOR,))
    connection.execute("DELETE FROM oidc_request WHERE made_at < %s", (now - timedelta(hours=1),))
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
