"""Tokens: shown once, kept as a hash, revocable, expiring."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ringfence.accounts import credentials
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, NotFoundError, NotSignedInError
from ringfence.vocabulary import Role

NOW = datetime.now(UTC)


def create(database: Database, name: str = "backup", expires_at: datetime | None = None) -> str:
    with database.connection() as connection:
        return credentials.create_token(connection, name, Role.ANALYST, "test", expires_at)


def test_a_token_carries_its_role_and_only_its_hash_is_kept(database: Database) -> None:
    secret = create(database)
    with database.connection() as connection:
        identity = credentials.authenticate(connection, secret)
        rows = connection.execute("SELECT secret_hash FROM credential").fetchall()
    assert (identity.name, identity.role, identity.account_id) == ("backup", Role.ANALYST, None)
    assert [bytes(row[0]) for row in rows] == [credentials.hash_secret(secret)]
    assert secret.startswith("rft_")
    assert len(secret) >= 43


@pytest.mark.parametrize("secret", ["", "rft_", "nonsense", "\ud800", "nul\0"])
def test_what_is_no_credential_is_refused(database: Database, secret: str) -> None:
    with database.connection() as connection, pytest.raises(NotSignedInError):
        credentials.authenticate(connection, secret)


def test_a_token_ends_when_revoked_or_expired(database: Database) -> None:
    revoked, expiring = create(database), create(database, "monthly", NOW + timedelta(days=30))
    with database.connection() as connection:
        credentials.revoke_token(connection, "backup", "test")
        credentials.authenticate(connection, expiring, NOW + timedelta(days=29))
        for secret, when in ((revoked, NOW), (expiring, NOW + timedelta(days=30))):
            with pytest.raises(NotSignedInError):
                credentials.authenticate(connection, secret, when)
        with pytest.raises(NotFoundError):
            credentials.revoke_token(connection, "backup", "test")
        assert [token.name for token in credentials.list_tokens(connection)] == ["monthly"]
        assert credentials.list_tokens(connection, NOW + timedelta(days=31)) == []


def test_a_name_in_use_or_unfit_is_refused(database: Database) -> None:
    create(database)
    with pytest.raises(InvalidInputError, match="in use"):
        create(database)
    for name in ("", "a b", "x" * 65, "a\0"):
        with pytest.raises(InvalidInputError, match="token name"):
            create(database, name)


def test_use_is_recorded_once_a_minute_not_once_a_request(database: Database) -> None:
    secret = create(database)
    uses = []
    for seconds in (0, 30, 61):
        with database.connection() as connection:
            credentials.authenticate(connection, secret, NOW + timedelta(seconds=seconds))
            uses.append(credentials.list_tokens(connection)[0].last_used_at)
    assert uses == [NOW, NOW, NOW + timedelta(seconds=61)]


def test_what_ended_long_ago_is_purged_and_what_is_in_force_stays(database: Database) -> None:
    create(database)
    create(database, "old", NOW - timedelta(days=8))
    create(database, "recent", NOW - timedelta(days=1))
    with database.connection() as connection:
        assert credentials.purge_credentials(connection, NOW) == 1
        names = connection.execute("SELECT name FROM credential ORDER BY name").fetchall()
    assert names == [("backup",), ("recent",)]
