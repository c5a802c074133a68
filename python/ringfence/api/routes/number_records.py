"""All that is kept about one number, by administrators. The number stands in the body: addresses end up in logs."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, status
from pydantic import BaseModel, ConfigDict, Field

from ringfence.api.context import CurrentDatabase, CurrentProcess
from ringfence.api.security import Administrator
from ringfence.mediation import number_records

router = APIRouter(prefix="/number_records", tags=["privacy"])

Number = Annotated[str, Field(min_length=1, max_length=32, description="E.164, such as +12105550123")]


class NumberBody(BaseModel):
    """Whose records."""

    model_config = ConfigDict(extra="forbid")
    number: Number


class EraseBody(NumberBody):
    """`confirm` says that what follows cannot be taken back."""

    confirm: Literal[True]


@router.post("/export")
def export(body: NumberBody, identity: Administrator, database: CurrentDatabase) -> dict[str, Any]:
    """Every call and list entry of a number, and where else it may be. Audited."""
    found = number_records.read_records(database, body.number, datetime.now(UTC))
    with database.connection() as connection:
        number_records.record_export(connection, identity.name, len(found["calls"]))
    return found


@router.post("/erase", status_code=status.HTTP_202_ACCEPTED)
def erase(body: EraseBody, identity: Administrator, process: CurrentProcess) -> dict[str, Any]:
    """Replace a number by a mark in all calls; a job, whose result says what was changed and what is left."""
    number_records.digits_of(body.number)
    work = partial(number_records.erase, process.database, body.number, identity.name)
    return process.jobs.start(number_records.KIND, identity.name, work, datetime.now(UTC)).as_json()
