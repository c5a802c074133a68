"""Status: the mediation that answers, its database, the devices and what is installed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ringfence.api.context import CurrentProcess
from ringfence.api.security import SiteViewer
from ringfence.mediation.status import read_status

router = APIRouter(prefix="/status", tags=["status"])


@router.get("")
def status(identity: SiteViewer, process: CurrentProcess) -> dict[str, Any]:
    """Whether all is well, and each part with the reason when it is not."""
    return read_status(process)
