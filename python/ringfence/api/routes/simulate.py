"""Simulation: what a policy would have done to recorded calls. A job: ask `/jobs/{id}` how far it is."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, status
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from ringfence.api.context import CurrentProcess
from ringfence.api.security import Analyst
from ringfence.errors import InvalidInputError
from ringfence.mediation import simulation
from ringfence.policy.rules import parse_policy, policy_from

router = APIRouter(prefix="/simulate", tags=["policy"])
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
Name = Annotated[str, Field(min_length=1, max_length=64)]


class SimulationBody(BaseModel):
    """Over which calls, and which policy: one of `version`, `draft`, `policy` (as YAML text or as an object).

    None of them: what is installed. `against`: `recorded` (what was decided), `installed`, or a version's number.
    """

    model_config = ConfigDict(extra="forbid")
    start: AwareDatetime
    end: AwareDatetime | None = None
    version: Version | None = None
    draft: bool = False
    policy: Annotated[str, Field(min_length=1)] | dict[str, Any] | None = None
    against: Annotated[str, StringConstraints(pattern=r"^(recorded|installed|[1-9][0-9]{0,8})$")] = "recorded"
    site: Name | None = None
    device: Name | None = None


@router.post("", status_code=status.HTTP_202_ACCEPTED)
def start_simulation(body: SimulationBody, identity: Analyst, process: CurrentProcess) -> dict[str, Any]:
    """Begin; the job's result says which calls would be blocked, redirected, allowed, and by which rules."""
    if sum((body.version is not None, body.draft, body.policy is not None)) > 1:
        raise InvalidInputError("version, draft, policy: only one of them may be given")
    policy = body.policy
    now = datetime.now(UTC)
    request = simulation.SimulationRequest(
        start=body.start,
        end=body.end or now,
        version=body.version,
        draft=body.draft,
        policy=None
        if policy is None
        else parse_policy(policy.encode())
        if isinstance(policy, str)
        else policy_from(policy),
        against=body.against,
        site=body.site,
        device=body.device,
    )
    with process.database.connection() as connection:
        prepared = simulation.prepare(connection, request, now)
    work = partial(simulation.simulate, process.database, prepared)
    return process.jobs.start(simulation.KIND, identity.name, work, now).as_json()
