"""Passwords: what makes one acceptable, and how it is kept (argon2id). No database here.

The rule is NIST SP 800-63B 5.1.1.2 (revision 3): at least 8 characters, no rules of composition, no forced
expiry, everything printable allowed, refused when it is commonly used or made of the name it protects.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from ringfence.errors import InvalidInputError

MIN_LENGTH = 8  # SP 800-63B 5.1.1.2
MAX_LENGTH = 256  # the standard asks for at least 64; a bound keeps hashing cheap for hostile input

# RFC 9106 section 4, second recommended option: 64 MiB, 3 passes.
_HASHER = PasswordHasher(time_cost=3, memory_cost=64 << 10, parallelism=4, type=Type.ID)
# Each verification takes 64 MiB: a storm of sign-ins must not take the machine's memory.
_HASHING = threading.BoundedSemaphore(4)

# No 0, O, 1, l, I: one-time passwords are read aloud and typed.
_READABLE = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"

# The most used passwords of at least eight characters in published breaches, and this product's own words.
_COMMON_WORDS = """
    12345678 123456789 1234567890 12341234 11111111 00000000 88888888 87654321 987654321 11223344 123123123
    password password1 password12 password123 passw0rd p@ssw0rd p@ssword qwertyui qwertyuiop qwerty123 qwerty12
    1q2w3e4r 1q2w3e4r5t 1qaz2wsx zaq12wsx q1w2e3r4 asdfghjk asdfghjkl asdf1234 zxcvbnm1 abcd1234 abc12345
    iloveyou sunshine princess football baseball superman trustno1 letmein1 welcome1 welcome123 michelle jennifer
    computer internet whatever starwars liverpool charlie1 dragon12 monkey12 changeme changeme1 changeit
    admin123 admin1234 administrator administrator1 root1234 default1 secret12 test1234 testtest
    ringfence ringfence1 ringfence123 telephone voicenetwork
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_nobody_hash: list[str] = []


def check_new_password(password: str, name: str) -> None:
    """Accept a new password for account `name`; InvalidInputError says what would be right."""
    folded = _normalised(password).casefold()
    if len(folded) < MIN_LENGTH:
        raise _refused(f"has {len(folded)} characters; expected at least {MIN_LENGTH}")
    if len(folded) > MAX_LENGTH:
        raise _refused(f"has {len(folded)} characters; expected at most {MAX_LENGTH}")
    if len(set(folded)) <= 2 or folded in _COMMON or _is_sequence(folded):
        raise _refused("is among those that are guessed first; expected a less common one")
    if name.casefold() in folded and len(folded) - len(name) < MIN_LENGTH:
        raise _refused("is made of the account's name; expected one that is not")


def hash_password(password: str) -> str:
    """The argon2id hash in PHC string format."""
    with _HASHING:
        return _HASHER.hash(_normalised(password))


def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether the password is the one hashed. None costs the same time and is never right (unknown account)."""
    with _HASHING:
        try:
            matches = _HASHER.verify(password_hash or _nobody(), _normalised(password)[: MAX_LENGTH + 1])
        except (VerificationError, InvalidHashError):
            return False
    return matches and password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Whether the hash was made with older parameters than today's."""
    return _HASHER.check_needs_rehash(password_hash)


def one_time_password() -> str:
    """Four groups of five readable characters: 116 bits."""
    return "-".join("".join(secrets.choice(_READABLE) for _ in range(5)) for _ in range(4))


def _nobody() -> str:
    """Hash of a random secret, made once: what an unknown name is checked against."""
    if not _nobody_hash:
        _nobody_hash.append(_HASHER.hash(secrets.token_hex(16)))
    return _nobody_hash[0]


def _normalised(password: str) -> str:
    # SP 800-63B 5.1.1.2: the same text typed on two keyboards must be the same bytes.
    return unicodedata.normalize("NFKC", password)


def _is_sequence(text: str) -> bool:
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return len(steps) == 1


def _refused(fault: str) -> InvalidInputError:
    return InvalidInputError(f"password: {fault}", code="invalid.password")
