"""People's accounts, by administrators."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ringfence.accounts import credentials, people, second_factor
from ringfence.accounts.roles import parse_role
from ringfence.api.context import CurrentDatabase
from ringfence.api.routes.own import OneSession, Sessions
from ringfence.api.routes.tokens import names_of
from ringfence.api.security import Administrator
from ringfence.mediation.sites import site_ids, site_names

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


class SitesBody(BaseModel):
    """Which sites; null: all."""

    model_config = ConfigDict(extra="forbid")
    sites: Annotated[list[Word], Field(max_length=1000)] | None


class OneTimePassword(BaseModel):
    """Shown only here; to be changed at the first sign-in."""

    name: str
    one_time_password: str


class User(BaseModel):
    """An account. `origin`: who checks its password; `sites` null: it is not limited to any."""

    name: str
    role: str
    origin: str
    sites: list[str] | None
    has_second_factor: bool
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
        names = site_names(connection)
        return Users(
            users=[
                User(**asdict(person) | {"sites": names_of(person.sites, names)})
                for person in people.list_people(connection)
            ]
        )


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


@router.post("/{name}/sites", status_code=204)
def set_sites(name: Word, body: SitesBody, identity: Administrator, database: CurrentDatabase) -> None:
    """Limit an account to sites, or to none in particular."""
    with database.connection() as connection:
        people.set_sites(connection, name, site_ids(connection, body.sites), identity.name)


@router.get("/{name}/sessions")
def list_sessions(name: Word, identity: Administrator, database: CurrentDatabase) -> Sessions:
    """An account's sessions in force."""
    with database.connection() as connection:
        found = credentials.list_sessions(connection, None)
    return Sessions(sessions=[OneSession(**asdict(session)) for session in found if session.user == name])


@router.post("/{name}/second_factor/reset", status_code=204)
def reset_second_factor(name: Word, identity: Administrator, database: CurrentDatabase) -> None:
    """Take a lost second factor away, and end the account's sessions."""
    with database.connection() as connection:
        second_factor.reset(connection, name, identity.name)


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
