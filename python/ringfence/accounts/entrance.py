"""The door: who checks a sign-in, an account of our own, the directory or the provider; and whom they still know.

An account belongs to whoever made it: a name that is ours is never asked of the directory, and neither directory nor
provider can take over an account that is not theirs.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import structlog
from psycopg import Connection

from ringfence.accounts import audit, credentials, people
from ringfence.accounts.credentials import Lifetimes, Origin
from ringfence.accounts.ldap import Directory, DirectoryPerson
from ringfence.accounts.oidc import Provider
from ringfence.accounts.people import SignIn
from ringfence.database.connection import Database
from ringfence.errors import NotSignedInError, UnavailableError
from ringfence.settings import AccountsSettings
from ringfence.vocabulary import Role

LDAP, OIDC = "ldap", "oidc"
_NOT_IN_NAMES = re.compile(r"[^a-z0-9._@-]+")
log = structlog.get_logger()


class Entrance:
    """Of one process. `directory` and `provider` are None where the settings name none."""

    def __init__(self, settings: AccountsSettings) -> None:
        self.settings = settings
        self.lifetimes = Lifetimes.of(settings)
        self.directory = Directory(settings.ldap) if settings.ldap.url is not None else None
        self.provider = Provider(settings.oidc) if settings.oidc.issuer is not None else None

    def sign_in(
        self,
        connection: Connection,
        name: str,
        password: str,
        origin: Origin,
        now: datetime,
        *,
        code: str | None = None,
    ) -> SignIn:
        """By name and password. NotSignedInError, CodeNeededError; UnavailableError when the directory is away."""
        if self.directory is not None:
            of = connection.execute("SELECT origin FROM account WHERE name = %s", (name.casefold(),)).fetchone()
            if of is None or of[0] == LDAP:
                return self._by_directory(self.directory, connection, name.casefold(), password, origin, now, code)
        return people.sign_in(
            connection, name, password, origin.address, now, code=code, agent=origin.agent, lifetimes=self.lifetimes
        )

    def _by_directory(
        self,
        directory: Directory,
        connection: Connection,
        name: str,
        password: str,
        origin: Origin,
        now: datetime,
        code: str | None,
    ) -> SignIn:
        exists = connection.execute("SELECT 1 FROM account WHERE name = %s", (name,)).fetchone() is not None
        # Counted before the directory is asked: guessing here must not lock people out there.
        if exists and people.attempt(connection, name, now, origin.address) is None:
            raise people.refuse(connection, name, origin.address)
        connection.commit()
        found = directory.authenticate(name, password) if people.is_name(name) else None
        if found is None:
            raise people.refuse(connection, name, origin.address)
        if found.role is None:
            raise _without_role(connection, name, origin)
        account = _take_in(connection, LDAP, found.dn, name, found.role, now)
        return people.enter(connection, account, origin, now, self.lifetimes, code)

    def finish_provider(
        self,
        connection: Connection,
        browser: str,
        state: str,
        code: str,
        issuer: str | None,
        origin: Origin,
        now: datetime,
    ) -> tuple[SignIn, str]:
        """Who comes back from the provider: the session, and where the person wanted to go."""
        if self.provider is None:
            raise NotSignedInError("no provider is set up")
        proven = self.provider.finish(connection, browser, state, code, issuer, now)
        name = _NOT_IN_NAMES.sub("-", proven.name.casefold()).strip("-._@")[:64]
        if not people.is_name(name):
            raise people.refuse(connection, name, origin.address)
        if proven.role is None:
            raise _without_role(connection, name, origin)
        account = _take_in(connection, OIDC, proven.subject, name, proven.role, now)
        return people.enter(connection, account, origin, now, self.lifetimes), proven.target

    def recheck(self, database: Database) -> None:
        """Ask the directory about everybody of it who has a session or a token: who is gone is signed out."""
        if self.directory is None:
            return
        with database.connection() as connection:
            waiting = connection.execute(
                """
                SELECT account_id, name, origin_id, role FROM account
                WHERE origin = 'ldap' AND disabled_at IS NULL AND EXISTS (
                    SELECT FROM credential c WHERE c.account_id = account.account_id AND c.revoked_at IS NULL
                       AND (c.expires_at IS NULL OR c.expires_at > now()))
                """
            ).fetchall()
        for account_id, name, dn, role in waiting:
            try:
                found = self.directory.look_up(dn)
            except UnavailableError as error:
                log.warning("directory.not_rechecked", error=error.message)
                return  # nobody is signed out because the directory is away
            with database.connection() as connection:
                _follow(connection, account_id, name, Role(role), found)


def _follow(connection: Connection, account_id: int, name: str, role: Role, found: DirectoryPerson | None) -> None:
    """Make an account what the directory says it is now."""
    if found is None or found.role is None:
        credentials.revoke_sessions(connection, account_id, with_tokens=True)
        audit.record(
            connection, "ringfence", "user.signed_out", name, {"words": "the directory does not let in any more"}
        )
    elif found.role is not role:
        connection.execute("UPDATE account SET role = %s WHERE account_id = %s", (int(found.role), account_id))
        audit.record(connection, "ringfence", "user.role", name, {"role": found.role.word, "by": "directory"})
    connection.execute("UPDATE account SET checked_at = %s WHERE account_id = %s", (datetime.now(UTC), account_id))


def _take_in(connection: Connection, of: str, origin_id: str, name: str, role: Role, now: datetime) -> dict[str, Any]:
    """The account of somebody who was proved elsewhere, made at the first sign-in, its role as it is there now.

    NotSignedInError when the name is an account of somebody else, or the account was closed here.
    """
    connection.execute(
        """
        INSERT INTO account (name, role, origin, origin_id, checked_at) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT DO NOTHING
        """,
        (name, int(role), of, origin_id, now),
    )
    row = connection.execute(
        """
        UPDATE account SET role = %(role)s, checked_at = %(now)s, origin_id = %(id)s FROM account AS before
        WHERE before.account_id = account.account_id AND account.origin = %(of)s AND account.disabled_at IS NULL
          AND (account.origin_id = %(id)s OR %(of)s = 'ldap' AND account.name = %(name)s)
        RETURNING account.account_id, account.name, account.role, before.role AS role_before,
                  account.totp_set_at IS NOT NULL AS has_second_factor
        """,
        {"role": int(role), "now": now, "id": origin_id, "of": of, "name": name},
    ).fetchone()
    if row is None:
        raise people.refuse(connection, name, None)
    account_id, name, _, before, has_second_factor = row
    if before != int(role):
        audit.record(connection, name, "user.role", name, {"role": role.word, "by": of})
    return {
        "account_id": account_id, "name": name, "role": int(role),
        "has_second_factor": has_second_factor and of == LDAP,
    }  # fmt: skip


def _without_role(connection: Connection, name: str, origin: Origin) -> NotSignedInError:
    audit.record(connection, name, "sign_in.without_role", address=origin.address)
    connection.commit()
    return NotSignedInError(
        "you are in no group that may use this console; an administrator can say which one is",
        code="not_signed_in.no_role",
    )
