"""argon2id is dear on purpose. Tests of what a password opens ask often; those of passwords ask as in life."""

from __future__ import annotations

from argon2 import PasswordHasher

from ringfence.accounts import passwords

HASHER_IN_LIFE = passwords._HASHER


def use() -> None:
    """Hash with little memory and one pass in this process; processes that tests start hash as in life."""
    passwords._HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
