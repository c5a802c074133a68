"""The second factor: RFC 6238 codes, each taken once; recovery codes; roles that must have one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from ringfence.accounts import people, second_factor
from ringfence.accounts.credentials import Identity, Origin, authenticate, create_token
from ringfence.accounts.people import FREE_FAILURES, CodeNeededError, SignIn
from ringfence.database.connection import Database
from ringfence.errors import ConflictError, ForbiddenError, InvalidInputError, NotSignedInError
from ringfence.vocabulary import Role

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
STEP = timedelta(seconds=second_factor.STEP_S)


class Ana:
    """Somebody with a second factor."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.connection() as connection:
            self.password = people.create_person(connection, "ana", Role.ANALYST, "test")
            self.first = people.sign_in(connection, "ana", self.password, None, NOW)
            enrolment = second_factor.begin(connection, self.identity)
            assert enrolment.uri.startswith("otpauth://totp/Ringfence:ana?secret=")
            assert enrolment.qr.startswith("data:image/svg+xml")
            self.totp = pyotp.TOTP(enrolment.secret)
            with pytest.raises(InvalidInputError, match="code"):
                second_factor.confirm(connection, self.identity, "000000", NOW)
            self.recovery = second_factor.confirm(connection, self.identity, self.totp.at(NOW), NOW)

    @property
    def identity(self) -> Identity:
        return self.first.identity

    def sign_in(self, code: str | None, now: datetime) -> SignIn:
        with self.database.connection() as connection:
            return people.sign_in(connection, "ana", self.password, "192.0.2.1", now, code=code)

    def refused(self, code: str, now: datetime) -> None:
        with pytest.raises(NotSignedInError, match="wrong"):
            self.sign_in(code, now)


@pytest.fixture
def ana(database: Database) -> Ana:
    return Ana(database)


def test_a_code_is_asked_for_and_taken_once(ana: Ana) -> None:
    with pytest.raises(CodeNeededError):
        ana.sign_in(None, NOW)
    ana.refused(ana.totp.at(NOW), NOW)  # the one that set it up
    later = NOW + 2 * STEP
    code = ana.totp.at(later)
    assert ana.sign_in(code, later).identity.name == "ana"
    ana.refused(code, later)
    ana.refused(ana.totp.at(later - STEP), later)  # within the tolerance, but before the last one
    assert ana.sign_in(ana.totp.at(later + STEP), later)  # a telephone whose clock is ahead
    ana.refused(ana.totp.at(later + 4 * STEP), later)


def test_a_recovery_code_is_good_once_and_kept_as_a_hash(ana: Ana, database: Database) -> None:
    assert len(ana.recovery) == second_factor.RECOVERY_CODES
    assert ana.sign_in(ana.recovery[0].upper(), NOW)
    ana.refused(ana.recovery[0], NOW)
    with database.connection() as connection:
        kept = connection.execute("SELECT code_hash FROM recovery_code").fetchall()
        assert len(kept) == second_factor.RECOVERY_CODES - 1
        assert not {code.encode() for code in ana.recovery} & {bytes(row[0]) for row in kept}
        fresh = second_factor.renew_recovery_codes(connection, ana.identity, ana.recovery[1], NOW)
    ana.refused(ana.recovery[2], NOW)
    assert ana.sign_in(fresh[0], NOW)


def test_the_password_alone_gives_a_step_that_opens_nothing_and_codes_are_not_guessed(ana: Ana) -> None:
    with pytest.raises(CodeNeededError) as needed:
        ana.sign_in(None, NOW)
    step = needed.value.step
    with ana.database.connection() as connection, pytest.raises(NotSignedInError):
        authenticate(connection, step, NOW)
    for _ in range(FREE_FAILURES):
        with ana.database.connection() as connection, pytest.raises(NotSignedInError):
            people.finish_sign_in(connection, step, "123456", Origin("192.0.2.1"), NOW)
    right = ana.totp.at(NOW + STEP)
    with ana.database.connection() as connection, pytest.raises(NotSignedInError):  # locked by now
        people.finish_sign_in(connection, step, right, Origin("192.0.2.1"), NOW + STEP)
    # A minute later the lock is over; the step itself ends after five.
    later = NOW + timedelta(minutes=4)
    with ana.database.connection() as connection:
        signed_in = people.finish_sign_in(connection, step, ana.totp.at(later), Origin("192.0.2.1"), later)
    assert signed_in.identity.name == "ana"
    with ana.database.connection() as connection, pytest.raises(NotSignedInError, match="begin again"):
        people.finish_sign_in(connection, step, ana.totp.at(later + STEP), Origin("192.0.2.1"), later + STEP)


def test_a_role_may_have_to_have_one_and_an_administrator_resets_it(ana: Ana, database: Database) -> None:
    with database.connection() as connection:
        second_factor.require_for(connection, [Role.ANALYST], "root")
        with pytest.raises(ForbiddenError, match="needs a second factor"):
            second_factor.remove(connection, ana.identity, ana.totp.at(NOW + STEP), NOW + STEP)
        second_factor.reset(connection, "ana", "root")
        with pytest.raises(NotSignedInError):
            authenticate(connection, ana.first.secret, NOW)
    identity = ana.sign_in(None, NOW).identity
    assert identity.must_enrol
    with database.connection() as connection:
        second_factor.begin(connection, identity)
        token = create_token(connection, "ci", Role.VIEWER, "root")
        with pytest.raises(ForbiddenError, match="a token has no second factor"):
            second_factor.begin(connection, authenticate(connection, token))


def test_one_that_is_set_up_is_not_set_up_anew_without_a_code(ana: Ana, database: Database) -> None:
    with database.connection() as connection:
        with pytest.raises(ConflictError):
            second_factor.begin(connection, ana.identity)
        with pytest.raises(InvalidInputError):
            second_factor.remove(connection, ana.identity, "000000", NOW)
        second_factor.remove(connection, ana.identity, ana.totp.at(NOW + STEP), NOW + STEP)
    assert ana.sign_in(None, NOW)
