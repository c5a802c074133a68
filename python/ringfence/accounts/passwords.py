"""Passwords: what makes one acceptable, and how it is kept (argon2id). No database here.

The rule is NIST SP 800-63B-4 3.1.1.2: at least 15 characters where the password stands alone, 8 beside a second factor;
no rules of composition, no forced expiry, everything printable allowed; refused when it is commonly used, or is made of
the name that it protects or of this product's words.

`common_passwords.xz`: the 11,611 of at least eight characters among the 30,000 most used in published breaches, as
zxcvbn counts them (MIT licence).
"""

from __future__ import annotations

import lzma
import secrets
import threading
import unicodedata
from functools import cache
from importlib.resources import files
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from ringfence.errors import InvalidInputError

MIN_LENGTH = 15  # SP 800-63B-4 3.1.1.2: a password that stands alone
MIN_LENGTH_WITH_CODE = 8  # the same: beside a second factor
MAX_LENGTH = 256  # the standard asks for at least 64; a bound keeps hashing cheap for hostile input

# RFC 9106 section 4, second recommended option: 64 MiB, 3 passes.
_HASHER = PasswordHasher(time_cost=3, memory_cost=64 << 10, parallelism=4, type=Type.ID)
# Each verification takes 64 MiB: a storm of sign-ins must not take the machine's memory.
_HASHING = threading.BoundedSemaphore(4)

# No 0, O, 1, l, I: one-time passwords are read aloud and typed.
_READABLE = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"

# Words of this product: what is left of a password without them must hold by itself.
_CONTEXT_WORDS = ("ringfence", "telephone", "voice", "enum", "sbc")
_nobody_hash: list[str] = []


def check_new_password(password: str, name: str, *, has_second_factor: bool = False) -> None:
    """Accept a new password for account `name`; InvalidInputError says what would be right."""
    folded = _normalised(password).casefold()
    least = MIN_LENGTH_WITH_CODE if has_second_factor else MIN_LENGTH
    if len(folded) < least:
        raise _refused(f"has {len(folded)} characters; expected at least {least}")
    if len(folded) > MAX_LENGTH:
        raise _refused(f"has {len(folded)} characters; expected at most {MAX_LENGTH}")
    if len(set(folded)) <= 2 or _is_common(folded) or _is_sequence(folded):
        raise _refused("is among those that are guessed first; expected a less common one")
    if name.casefold() in folded and len(folded) - len(name) < MIN_LENGTH_WITH_CODE:
        raise _refused("is made of the account's name; expected one that is not")
    rest = folded
    for word in _CONTEXT_WORDS:
        rest = rest.replace(word, "")
    if rest != folded and len(rest) < MIN_LENGTH_WITH_CODE:
        raise _refused("is made of this product's words; expected one that is not")


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


@cache
def _common() -> frozenset[str]:
    packed = (files("ringfence.accounts") / "common_passwords.xz").read_bytes()
    return frozenset(lzma.decompress(packed).decode("utf-8").split("\n"))


def _is_common(folded: str) -> bool:
    """Whether it is a common one, also twice or thrice in a row, or with digits and marks at its end."""
    if folded in _common() or folded.rstrip("0123456789!.?*#$-_") in _common():
        return True
    return any(
        len(folded) % times == 0
        and folded == folded[: len(folded) // times] * times
        and (folded[: len(folded) // times] in _common() or len(folded) // times < MIN_LENGTH_WITH_CODE)
        for times in (2, 3, 4)
    )


def _is_sequence(text: str) -> bool:
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return len(steps) == 1


def _refused(fault: str) -> InvalidInputError:
    return InvalidInputError(f"password: {fault}", code="invalid.password")
