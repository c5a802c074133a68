"""People: signing in and out, lockout, passwords, the last administrator; every step audited."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ringfence.accounts import audit, people
from ringfence.accounts.credentials import SESSION_IDLE, SESSION_LIFETIME, authenticate, create_token
from ringfence.accounts.people import FREE_FAILURES, LONGEST_LOCK, SignIn
from ringfence.database.connection import Database
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError, NotSignedInError
from ringfence.vocabulary import Role

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NEW = "a better battery horse"


def make(database: Database, name: str = "ana", role: Role = Role.VIEWER) -> str:
    with database.connection() as connection:
        return people.create_person(connection, name, role, actor="test")


def sign_in(database: Database, name: str, password: str, now: datetime = NOW) -> SignIn:
    with database.connection() as connection:
        return people.sign_in(connection, name, password, "127.0.0.1", now)


def fail(database: Database, name: str, now: datetime = NOW, password: str = "wrong") -> str:
    with pytest.raises(NotSignedInError) as refused:
        sign_in(database, name, password, now)
    return refused.value.message


def actions(database: Database) -> list[tuple[str, str, str]]:
    with database.connection() as connection:
        return [(entry.actor, entry.action, entry.subject) for entry in audit.list_entries(connection)][::-1]


def test_the_first_administrator_is_made_once_with_a_password_to_be_changed(database: Database) -> None:
    with database.connection() as connection:
        password = people.ensure_first_administrator(connection)
    assert password is not None
    with database.connection() as connection:
        assert people.ensure_first_administrator(connection) is None
    identity = sign_in(database, "admin", password).identity
    assert (identity.name, identity.role, identity.must_change_password) == ("admin", Role.ADMINISTRATOR, True)


def test_two_mediations_starting_at_once_make_one_administrator(database: Database) -> None:
    def start() -> str | None:
        with database.connection() as connection:
            return people.ensure_first_administrator(connection)

    with ThreadPoolExecutor(4) as pool:
        passwords = [made.result() for made in [pool.submit(start) for _ in range(4)]]
    assert len([password for password in passwords if password]) == 1


def test_a_session_is_good_until_signed_out(database: Database) -> None:
    secret = sign_in(database, "ana", make(database)).secret
    with database.connection() as connection:
        assert authenticate(connection, secret, NOW).name == "ana"
        people.sign_out(connection, secret, NOW)
    with database.connection() as connection, pytest.raises(NotSignedInError):
        authenticate(connection, secret, NOW)
    assert ("ana", "sign_out", "") in actions(database)


def test_a_session_ends_by_itself_and_earlier_when_it_is_not_used(database: Database) -> None:
    password = make(database)
    used, unused = sign_in(database, "ana", password).secret, sign_in(database, "ana", password).secret
    with database.connection() as connection:
        for minutes in range(0, int(SESSION_LIFETIME.total_seconds()) // 60, 59):
            authenticate(connection, used, NOW + timedelta(minutes=minutes))
        for secret, after in ((used, SESSION_LIFETIME), (unused, SESSION_IDLE)):
            with pytest.raises(NotSignedInError):
                authenticate(connection, secret, NOW + after)


def test_unknown_name_wrong_password_and_disabled_account_read_the_same(database: Database) -> None:
    password = make(database)
    make(database, "closed")
    with database.connection() as connection:
        people.set_disabled(connection, "closed", True, "test")
    messages = {fail(database, name) for name in ("ana", "nobody", "closed", "nul\0name", "")}
    assert len(messages) == 1
    assert sign_in(database, "ana", password)


def test_repeated_failures_lock_for_a_while_that_doubles_and_the_count_survives_the_refusal(database: Database) -> None:
    password = make(database)
    for _ in range(FREE_FAILURES):
        fail(database, "ana")
    assert fail(database, "ana", NOW + timedelta(seconds=59), password)
    assert fail(database, "ana", NOW + timedelta(seconds=60))  # the lock is over: a sixth failure doubles it
    fail(database, "ana", NOW + timedelta(seconds=60 + 119), password)
    assert sign_in(database, "ana", password, NOW + timedelta(seconds=60 + 120))
    assert fail(database, "ana")
    assert sign_in(database, "ana", password)  # success forgave the earlier failures


def test_the_lock_never_lasts_longer_than_its_bound(database: Database) -> None:
    password, now = make(database), NOW
    for _ in range(FREE_FAILURES + 12):
        fail(database, "ana", now)
        now += LONGEST_LOCK
    assert sign_in(database, "ana", password, now)


def test_parallel_guesses_cannot_outrun_the_lock(database: Database) -> None:
    make(database)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: fail(database, "ana"), range(2 * FREE_FAILURES)))
    with database.connection() as connection:
        row = connection.execute("SELECT failed_sign_ins FROM account WHERE name = 'ana'").fetchone()
    assert row == (FREE_FAILURES,)


def test_an_attacker_cannot_lock_a_person_out_of_a_known_address(database: Database) -> None:
    password = make(database)
    assert sign_in(database, "ana", password)  # from 127.0.0.1, which is known from now on

    def from_elsewhere(secret: str) -> SignIn:
        with database.connection() as connection:
            return people.sign_in(connection, "ana", secret, "203.0.113.66", NOW)

    for _ in range(FREE_FAILURES):
        with pytest.raises(NotSignedInError):
            from_elsewhere("guess")
    with pytest.raises(NotSignedInError):
        from_elsewhere(password)  # locked for who is not known
    assert sign_in(database, "ana", password)
    for _ in range(FREE_FAILURES):  # and nobody guesses without end from a known address
        fail(database, "ana")
    fail(database, "ana", password=password)
    assert sign_in(database, "ana", password, NOW + timedelta(minutes=1))


def test_changing_the_password_ends_tokens_where_that_is_wanted(database: Database) -> None:
    one_time = make(database)
    here = sign_in(database, "ana", one_time)
    with database.connection() as connection:
        token = create_token(connection, "mine", Role.VIEWER, "ana", owner=here.identity)
        people.change_password(connection, here.identity, one_time, NEW, NOW)
        assert authenticate(connection, token, NOW).name == "ana"
        people.change_password(connection, here.identity, NEW, f"{NEW} again", NOW, with_tokens=True)
        with pytest.raises(NotSignedInError):
            authenticate(connection, token, NOW)
        with pytest.raises(InvalidInputError, match="token"):
            people.change_password(connection, replace(here.identity, is_session=False), NEW, one_time, NOW)


def test_changing_the_password_ends_other_sessions_and_needs_the_old_one(database: Database) -> None:
    one_time = make(database)
    here, elsewhere = sign_in(database, "ana", one_time), sign_in(database, "ana", one_time)
    with database.connection() as connection, pytest.raises(InvalidInputError, match="old password: is wrong"):
        people.change_password(connection, here.identity, "wrong", NEW, NOW)
    with database.connection() as connection, pytest.raises(InvalidInputError, match="expected a new one"):
        people.change_password(connection, here.identity, one_time, one_time, NOW)
    for _ in range(FREE_FAILURES + 1):  # a new one that will not do is no guess at the old one
        with database.connection() as connection, pytest.raises(InvalidInputError, match="at least 15"):
            people.change_password(connection, here.identity, one_time, "short", NOW)
    with database.connection() as connection:
        people.change_password(connection, here.identity, one_time, NEW, NOW)
        assert not authenticate(connection, here.secret, NOW).must_change_password
        with pytest.raises(NotSignedInError):
            authenticate(connection, elsewhere.secret, NOW)
    fail(database, "ana", password=one_time)
    assert sign_in(database, "ana", NEW)


def test_a_wrong_old_password_counts_towards_the_lock(database: Database) -> None:
    password = make(database)
    identity = sign_in(database, "ana", password).identity
    for _ in range(FREE_FAILURES):
        with database.connection() as connection, pytest.raises(InvalidInputError, match="old password"):
            people.change_password(connection, identity, "wrong", NEW, NOW)
    with database.connection() as connection, pytest.raises(InvalidInputError, match="old password"):
        people.change_password(connection, identity, password, NEW, NOW)


def test_reset_gives_a_new_one_time_password_lifts_the_lock_and_ends_sessions(database: Database) -> None:
    secret = sign_in(database, "ana", make(database)).secret
    for _ in range(FREE_FAILURES):
        fail(database, "ana")
    with database.connection() as connection:
        password = people.reset_password(connection, "ana", "test")
    with database.connection() as connection, pytest.raises(NotSignedInError):
        authenticate(connection, secret, NOW)
    assert sign_in(database, "ana", password).identity.must_change_password


def test_a_closed_account_loses_its_sessions_and_comes_back_when_opened(database: Database) -> None:
    password = make(database)
    secret = sign_in(database, "ana", password).secret
    with database.connection() as connection:
        people.set_disabled(connection, "ana", True, "test")
    with database.connection() as connection, pytest.raises(NotSignedInError):
        authenticate(connection, secret, NOW)
    with database.connection() as connection:
        people.set_disabled(connection, "ana", False, "test")
    assert sign_in(database, "ana", password)


def test_a_new_role_is_in_force_at_once(database: Database) -> None:
    secret = sign_in(database, "ana", make(database)).secret
    with database.connection() as connection:
        people.set_role(connection, "ana", Role.EDITOR, "test")
        assert authenticate(connection, secret, NOW).role is Role.EDITOR


def test_the_last_administrator_stays(database: Database) -> None:
    make(database, "root1", Role.ADMINISTRATOR)
    make(database, "root2", Role.ADMINISTRATOR)
    with database.connection() as connection:
        people.set_disabled(connection, "root1", True, "test")
        with pytest.raises(ConflictError, match="last administrator"):
            people.set_disabled(connection, "root2", True, "test")
        with pytest.raises(ConflictError, match="last administrator"):
            people.set_role(connection, "root2", Role.VIEWER, "test")


def test_names_are_unique_and_checked(database: Database) -> None:
    make(database)
    with pytest.raises(ConflictError, match="exists already"):
        make(database)
    for name in ("", "Ana", "a b", "-ana", "a" * 65, "a\0"):
        with pytest.raises(InvalidInputError, match="user name"):
            make(database, name)
    with database.connection() as connection, pytest.raises(NotFoundError):
        people.reset_password(connection, "nobody", "test")


def test_every_sign_in_and_change_is_audited_without_secrets(database: Database) -> None:
    password = make(database)
    fail(database, "ana")
    fail(database, "no\nbody")
    sign_in(database, "ana", password)
    assert actions(database) == [
        ("test", "user.add", "ana"),
        ("ana", "sign_in.failed", ""),
        ("(no name)", "sign_in.failed", ""),
        ("ana", "sign_in", ""),
    ]
    with database.connection() as connection:
        assert password not in repr(audit.list_entries(connection))
        kept = repr(connection.execute("SELECT * FROM account").fetchall())
    assert password not in kept
