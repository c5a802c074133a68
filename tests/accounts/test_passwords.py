"""Passwords: NIST SP 800-63B-4 3.1.1.2, argon2id."""

from __future__ import annotations

import pytest
from tests.quick_passwords import HASHER_IN_LIFE

from ringfence.accounts import passwords
from ringfence.accounts.passwords import (
    MAX_LENGTH,
    check_new_password,
    hash_password,
    needs_rehash,
    one_time_password,
    verify_password,
)
from ringfence.errors import InvalidInputError


@pytest.fixture(autouse=True)
def _as_in_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_HASHER", HASHER_IN_LIFE)


@pytest.mark.parametrize("password", ["gl4zed-ox", "a b c d e f", "ünïcödé pässwörd", "x" * 3 + "y" * 3 + "z" * 250])
def test_beside_a_second_factor_accepts_any_characters_from_eight_up(password: str) -> None:
    check_new_password(password, "ana", has_second_factor=True)


def test_alone_a_password_has_fifteen_characters() -> None:
    check_new_password("gl4zed-ox-of-me", "ana")
    with pytest.raises(InvalidInputError, match="has 14 characters; expected at least 15"):
        check_new_password("gl4zed-ox-of-m", "ana")


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short12", "has 7 characters; expected at least 8"),
        ("ab" * (MAX_LENGTH // 2) + "c", "expected at most"),
        ("PassWord123", "guessed first"),
        ("PassWord2026!", "guessed first"),
        ("passwordpassword", "guessed first"),
        ("1q2w3e4r5t", "guessed first"),
        ("aaaaaaaaab", "guessed first"),
        ("abcdefghij", "guessed first"),
        ("anabella99", "made of the account's name"),
        ("ringfence-voice-26", "made of this product's words"),
    ],
)
def test_refuses_what_is_guessed_first_and_says_why(password: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        check_new_password(password, "anabella", has_second_factor=True)


def test_length_counts_what_the_reader_sees_after_normalisation() -> None:
    with pytest.raises(InvalidInputError, match="has 4 characters"):
        check_new_password("e\u0301" * 4, "ana")  # eight code points, four letters


def test_hash_is_argon2id_and_salted() -> None:
    first, second = hash_password("gl4zed-ox"), hash_password("gl4zed-ox")
    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert first != second
    assert not needs_rehash(first)


def test_verifies_the_same_text_typed_in_another_unicode_form() -> None:
    password_hash = hash_password("päßword-of-mine")
    assert verify_password("pa\u0308ßword-of-mine", password_hash)
    assert not verify_password("passwort-of-mine", password_hash)


def test_nobody_has_no_right_password() -> None:
    assert not verify_password("", None)
    assert not verify_password("anything", None)
    assert not verify_password("anything", "no hash at all")


def test_one_time_passwords_are_acceptable_and_differ() -> None:
    made = {one_time_password() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        check_new_password(password, "admin")
