"""Which roles must have a second factor, by administrators. One's own is `own`'s."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ringfence.accounts import second_factor
from ringfence.accounts.roles import parse_role
from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Administrator

router = APIRouter(prefix="/second_factor", tags=["users"])


class Required(BaseModel):
    """Roles whose people must have one."""

    model_config = ConfigDict(extra="forbid")
    roles: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=10)]


@router.get("")
def show_required(identity: Administrator, database: CurrentDatabase) -> Required:
    """The roles that must have one."""
    with database.connection() as connection:
        return Required(roles=[role.word for role in sorted(second_factor.required_roles(connection))])


@router.put("")
def set_required(body: Required, identity: Administrator, database: CurrentDatabase) -> Required:
    """Ask it of these roles, in force from each person's next request: who has none sets one up first."""
    roles = {parse_role(word) for word in body.roles}
    with database.connection() as connection:
        second_factor.require_for(connection, roles, identity.name)
    return Required(roles=[role.word for role in sorted(roles)])
