"""For monitoring: alive or not, and the numbers."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from ringfence import __version__
from ringfence.api.context import CurrentDatabase, CurrentProcess
from ringfence.api.security import Viewer
from ringfence.mediation.metrics import render_metrics

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Alive, with its database."""

    status: str
    version: str


@router.get("/healthz")
def healthz(database: CurrentDatabase, process: CurrentProcess) -> Health:
    """200 when the database answers and no other pair is active, else 503. Needs no credential, tells nothing else."""
    with database.connection() as connection:
        connection.execute("SELECT 1")
    process.membership.require_active()
    return Health(status="ok", version=__version__)


@router.get("/metrics", response_class=Response)
def metrics(identity: Viewer, process: CurrentProcess) -> Response:
    """Prometheus text format."""
    return Response(render_metrics(process), media_type=CONTENT_TYPE_LATEST)
