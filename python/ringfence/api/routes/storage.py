"""What the database keeps: sizes, limits, archive; and a round of retention on demand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, status

from ringfence.accounts import audit
from ringfence.api.context import CurrentProcess
from ringfence.api.security import Administrator, Viewer
from ringfence.mediation.jobs import Progress
from ringfence.storage import distribution, keeper
from ringfence.storage.report import storage_report

router = APIRouter(prefix="/storage", tags=["storage"])


@router.get("")
def show_storage(identity: Viewer, process: CurrentProcess) -> dict[str, Any]:
    """Disk, sizes by table and day, archive, what is dropped now and next, and what the last round did."""
    with process.database.connection() as connection:
        return storage_report(connection, process.storage.keeping, datetime.now(UTC))


@router.post("/retention", status_code=status.HTTP_202_ACCEPTED)
def run_retention(identity: Administrator, process: CurrentProcess) -> dict[str, Any]:
    """Archive and drop now what is due, as a job; the leader does the same by itself."""
    with process.database.connection() as connection:
        audit.record(connection, identity.name, "storage.retention")
    return process.jobs.start(keeper.KIND, identity.name, process.storage.run_now(process.database)).as_json()


@router.get("/distribution")
def show_distribution(identity: Viewer, process: CurrentProcess) -> dict[str, Any]:
    """Whether the database can be spread over machines (Citus), its nodes, and how each table lies."""
    with process.database.connection() as connection:
        return distribution.describe(connection)


@router.post("/distribution", status_code=status.HTTP_202_ACCEPTED)
def distribute(identity: Administrator, process: CurrentProcess) -> dict[str, Any]:
    """Spread the tables over the nodes of Citus, as a job; 409 where there is none."""

    def work(progress: Progress) -> dict[str, Any]:
        return distribution.distribute(
            process.database,
            identity.name,
            lambda table, done, total: progress.at(done, total, f"distributing {table}"),
        )

    return process.jobs.start(distribution.KIND, identity.name, work).as_json()


@router.post("/rebalance", status_code=status.HTTP_202_ACCEPTED)
def rebalance(identity: Administrator, process: CurrentProcess) -> dict[str, Any]:
    """Move shards to nodes that were added, as a job; 409 without Citus."""

    def work(progress: Progress) -> dict[str, Any]:
        progress.at(0, phase="moving shards")
        return distribution.rebalance(process.database, identity.name)

    return process.jobs.start(distribution.KIND, identity.name, work).as_json()
