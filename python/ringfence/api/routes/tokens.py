"""Tokens of programs and of people, by administrators; people's own are `own`'s."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter
from psycopg import Connection
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ringfence.accounts import credentials
from ringfence.accounts.roles import parse_role
from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Administrator
from ringfence.mediation.sites import site_ids, site_names

router = APIRouter(prefix="/tokens", tags=["tokens"])

Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class TokenBody(BaseModel):
    """A token to be; without `days` it does not expire, without `sites` it is not limited to any."""

    model_config = ConfigDict(extra="forbid")
    name: Word
    role: Word
    days: Annotated[int, Field(ge=1, le=3650)] | None = None
    sites: Annotated[list[Word], Field(max_length=1000)] | None = None


class NewToken(BaseModel):
    """The token, which is shown only here."""

    name: str
    token: str


class Token(BaseModel):
    """A token in force, without its secret. `owner` null: a program's."""

    name: str
    owner: str | None
    role: str
    sites: list[str] | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


class Tokens(BaseModel):
    """All tokens in force, by name."""

    tokens: list[Token]


def shown(connection: Connection, tokens: Iterable[credentials.Token]) -> Tokens:
    """Tokens with their sites' names."""
    names = site_names(connection)
    return Tokens(tokens=[Token(**asdict(token) | {"sites": names_of(token.sites, names)}) for token in tokens])


def names_of(sites: list[int] | None, names: dict[int, str]) -> list[str] | None:
    """Sites by name; those that are gone are left out."""
    return None if sites is None else [names[site] for site in sites if site in names]


@router.get("")
def list_tokens(identity: Administrator, database: CurrentDatabase) -> Tokens:
    """Every token in force."""
    with database.connection() as connection:
        return shown(connection, credentials.list_tokens(connection))


@router.post("", status_code=201)
def create_token(body: TokenBody, identity: Administrator, database: CurrentDatabase) -> NewToken:
    """Make a token."""
    expires_at = datetime.now(UTC) + timedelta(days=body.days) if body.days else None
    with database.connection() as connection:
        secret = credentials.create_token(
            connection, body.name, parse_role(body.role), identity.name, expires_at,
            sites=site_ids(connection, body.sites),
        )  # fmt: skip
    return NewToken(name=body.name, token=secret)


@router.delete("/{name}", status_code=204)
def revoke_token(name: Word, identity: Administrator, database: CurrentDatabase) -> None:
    """End a token."""
    with database.connection() as connection:
        credentials.revoke_token(connection, name, identity.name)
