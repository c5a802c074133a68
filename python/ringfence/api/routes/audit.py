"""The audit trail, by administrators."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from ringfence.accounts import audit
from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Administrator

router = APIRouter(prefix="/audit", tags=["audit"])


class Entry(BaseModel):
    """Who did what to what."""

    audit_id: int
    at: datetime
    actor: str
    address: str | None
    action: str
    subject: str
    detail: dict[str, Any]


class Entries(BaseModel):
    """Newest first."""

    entries: list[Entry]


@router.get("")
def list_entries(
    identity: Administrator,
    database: CurrentDatabase,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Entries:
    """The newest entries; `before` (an audit_id) pages on."""
    with database.connection() as connection:
        return Entries(entries=[Entry(**asdict(entry)) for entry in audit.list_entries(connection, limit, before)])
