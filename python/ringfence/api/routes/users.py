"""People's accounts, by administrators."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StringConstraints

from ringfence.accounts import people
from ringfence.accounts.roles import parse_role
from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Administrator

router = APIRouter(prefix="/users", tags=["users"])

Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class UserBody(BaseModel):
    """An account to be."""

    model_config = ConfigDict(extra="forbid")
    name: Word
    role: Word


class RoleBody(BaseModel):
    """Another role."""

    model_config = ConfigDict(extra="forbid")
    role: Word


class OneTimePassword(BaseModel):
    """Shown only here; to be changed at the first sign-in."""

    name: str
    one_time_password: str


class User(BaseModel):
    """An account."""

    name: str
    role: str
    must_change_password: bool
    disabled: bool
    locked_until: datetime | None
    created_at: datetime
    last_seen_at: datetime | None


class Users(BaseModel):
    """All accounts, by name."""

    users: list[User]


@router.get("")
def list_users(identity: Administrator, database: CurrentDatabase) -> Users:
    """Every account."""
    with database.connection() as connection:
        return Users(users=[User(**asdict(person)) for person in people.list_people(connection)])


@router.post("", status_code=201)
def create_user(body: UserBody, identity: Administrator, database: CurrentDatabase) -> OneTimePassword:
    """Make an account."""
    with database.connection() as connection:
        password = people.create_person(connection, body.name, parse_role(body.role), identity.name)
    return OneTimePassword(name=body.name, one_time_password=password)


@router.post("/{name}/reset")
def reset_password(name: Word, identity: Administrator, database: CurrentDatabase) -> OneTimePassword:
    """Give an account a new one-time password and end its sessions."""
    with database.connection() as connection:
        password = people.reset_password(connection, name, identity.name)
    return OneTimePassword(name=name, one_time_password=password)


@router.post("/{name}/role", status_code=204)
def set_role(name: Word, body: RoleBody, identity: Administrator, database: CurrentDatabase) -> None:
    """Give an account another role."""
    with database.connection() as connection:
        people.set_role(connection, name, parse_role(body.role), identity.name)


@router.post("/{name}/disable", status_code=204)
def disable(name: Word, identity: Administrator, database: CurrentDatabase) -> None:
    """Close an account and end its sessions."""
    with database.connection() as connection:
        people.set_disabled(connection, name, True, identity.name)


@router.post("/{name}/enable", status_code=204)
def enable(name: Word, identity: Administrator, database: CurrentDatabase) -> None:
    """Open a closed account again."""
    with database.connection() as connection:
        people.set_disabled(connection, name, False, identity.name)
