"""Reports: saved views sent by e-mail, and how their sending went."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, status
from pydantic import BaseModel, ConfigDict, Field

from ringfence.api.context import CurrentDatabase, CurrentProcess
from ringfence.api.security import Analyst
from ringfence.reports import store
from ringfence.reports.schedule import Every
from ringfence.reports.sending import KIND
from ringfence.reports.store import Report

router = APIRouter(prefix="/reports", tags=["analytics"])

Name = Annotated[str, Path(min_length=1, max_length=64)]
Word = Annotated[str, Field(min_length=1, max_length=64)]


class ViewName(BaseModel):
    """A saved view; without `owner` one's own."""

    model_config = ConfigDict(extra="forbid")
    name: Word
    owner: Word | None = None


class ReportBody(BaseModel):
    """Which view goes to whom and when. `day`: of the week from 1 for Monday, of the month; daily it is 1."""

    model_config = ConfigDict(extra="forbid")
    view: ViewName
    every: Every
    day: int = 1
    hour: int
    zone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"
    recipients: Annotated[list[Annotated[str, Field(max_length=254)]], Field(max_length=200)]


@router.get("")
def list_reports(identity: Analyst, database: CurrentDatabase) -> list[dict[str, Any]]:
    """All, each with its newest run."""
    now = datetime.now(UTC)
    with database.connection() as connection:
        return [
            report.as_json(store.newest_runs(connection, report, 1), now) for report in store.list_reports(connection)
        ]


@router.get("/{name}")
def show_report(name: Name, identity: Analyst, database: CurrentDatabase) -> dict[str, Any]:
    """One, with its newest runs."""
    with database.connection() as connection:
        report = store.read_report(connection, name)
        return report.as_json(store.newest_runs(connection, report), datetime.now(UTC))


@router.put("/{name}")
def set_report(name: Name, body: ReportBody, identity: Analyst, database: CurrentDatabase) -> dict[str, Any]:
    """Send a saved view from the next time that it is due; a report of the same name is replaced, its owner stays."""
    now = datetime.now(UTC)
    fields = body.model_dump(exclude={"view"})
    view_owner = body.view.owner or identity.name
    report = Report(0, name, identity.name, view_owner, body.view.name, set_at=now, **fields)
    with database.connection() as connection:
        store.check_owner(connection, name, identity.name, identity.role)
        kept = store.set_report(connection, report, identity.name)
        return kept.as_json(store.newest_runs(connection, kept), now)


@router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT)
def remove_report(name: Name, identity: Analyst, database: CurrentDatabase) -> None:
    """Send it no more."""
    with database.connection() as connection:
        store.check_owner(connection, name, identity.name, identity.role)
        store.remove_report(connection, name, identity.name)


@router.post("/{name}/send", status_code=status.HTTP_202_ACCEPTED)
def send_report(name: Name, identity: Analyst, process: CurrentProcess) -> dict[str, Any]:
    """Send it now, beside its schedule, as of now: a job, whose result is the run as it ended."""
    with process.database.connection() as connection:
        store.check_owner(connection, name, identity.name, identity.role)
        store.read_report(connection, name)
    work = process.reports.sending(process.database, name, identity.name)
    return process.jobs.start(KIND, identity.name, work, datetime.now(UTC)).as_json()
