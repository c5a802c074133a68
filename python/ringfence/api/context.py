"""What a route needs of the process that serves it, and of the one who asks."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from ringfence.database.connection import Database
from ringfence.mediation.process import MediationProcess


def process_of(request: Request) -> MediationProcess:
    """The mediation process that serves this request."""
    return cast(MediationProcess, request.app.state.process)


def database_of(request: Request) -> Database:
    """Its database."""
    return process_of(request).database


def address_of(request: Request) -> str | None:
    """Where the request comes from; None over a Unix socket."""
    return request.client.host if request.client and request.client.host else None


CurrentProcess = Annotated[MediationProcess, Depends(process_of)]
CurrentDatabase = Annotated[Database, Depends(database_of)]
