"""Numbers: how a site reads one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ringfence.api.context import CurrentDatabase
from ringfence.api.security import SiteViewer
from ringfence.mediation.sites import first_site, read_site
from ringfence.numbering.explain import explain_number
from ringfence.policy.explain import MAX_NUMBER_LENGTH

router = APIRouter(prefix="/numbers", tags=["sites"])


@router.get("/explain")
def explain(
    identity: SiteViewer,
    database: CurrentDatabase,
    number: Annotated[str, Query(max_length=MAX_NUMBER_LENGTH)],
    site: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """What `number`, in any form, is to a site (none: the first): E.164, class, the rule that read it, call type."""
    with database.connection() as connection:
        plan = read_site(connection, site).site if site else first_site(connection)
    return explain_number(number, plan).as_json()
