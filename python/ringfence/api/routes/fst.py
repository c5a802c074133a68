"""The functional system test: its plan, runs with their progress and questions, records, signatures, prints."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, status
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ringfence.acceptance import live, store
from ringfence.acceptance.cases import ALL
from ringfence.acceptance.hands import Answer
from ringfence.acceptance.plan import Numbers, Plan, draft_plan, plan_from, plan_schema, read_plan
from ringfence.acceptance.printed.document import build_document
from ringfence.acceptance.printed.html import print_html
from ringfence.acceptance.printed.pdf import print_pdf
from ringfence.acceptance.record import Change, Signature, compare, read_record
from ringfence.api.context import CurrentDatabase, CurrentProcess
from ringfence.api.security import Analyst, Editor, Viewer
from ringfence.database.connection import Database
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.mediation.devices import list_devices
from ringfence.mediation.sites import list_sites

router = APIRouter(prefix="/fst", tags=["functional system test"])

RunId = Annotated[str, Path(min_length=1, max_length=64)]
Text = Annotated[str, Field(max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
_PLAN_BODY = {
    "requestBody": {
        "required": True,
        "description": "The plan",
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/pdf": {}, "text/html": {}}, "description": "The printed record"}
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NumbersBody(_Body):
    """The five test numbers, E.164, all different."""

    source: Name
    allowed: Name
    terminated: Name
    redirected: Name
    target: Name


class StartBody(_Body):
    """What runs. Without `plan` the kept one; `cases`: groups (B) or cases (B3), empty: all."""

    plan: dict[str, Any] | None = None
    cases: Annotated[list[Annotated[str, Field(max_length=4)]], Field(max_length=50)] = []
    wait_scale: float = Field(1.0, ge=0, le=1, description="1: waits are real; the record says what it was")
    attended: bool = Field(True, description="false: nobody answers; what needs a person is OTHER")
    tester: Text = ""
    witness: Text = ""


class AnswerBody(_Body):
    """The answer to the question with this number."""

    number: int = Field(ge=1, le=2**31 - 1)
    verdict: Literal["PASS", "FAIL", "OTHER"] | None = None
    comment: Text = ""


class ResultBody(_Body):
    """What to change of a result; `agreed`: who agreed to an OTHER, in writing."""

    case: Annotated[str, Field(max_length=4)]
    subject: Name
    verdict: Literal["PASS", "FAIL", "OTHER"] | None = None
    comment: Text | None = None
    agreed: Text | None = None


class DescribeBody(_Body):
    """Overall exceptions and comments, tester and witness."""

    exceptions: Text | None = None
    tester: Text | None = None
    witness: Text | None = None


class SignBody(_Body):
    """The typed name, and the SHA-256 of the record that was looked at."""

    role: Literal["tester", "witness"]
    name: Name
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@router.get("/cases")
def list_cases(identity: Viewer) -> dict[str, Any]:
    """Every case with purpose, procedure and expected result."""
    return {
        "cases": [
            {
                "id": case.id,
                "title": case.title,
                "purpose": case.purpose,
                "procedure": list(case.procedure),
                "expected": case.expected,
            }
            for case in ALL
        ]
    }


@router.get("/plan")
def show_plan(identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """The deployment's plan."""
    with database.connection() as connection:
        found = store.read_plan(connection)
    if found is None:
        raise NotFoundError("there is no plan yet; `ringfence fst plan` drafts one")
    plan, changed_at, changed_by = found
    return {"plan": plan.as_json(), "changed_at": changed_at.isoformat(), "changed_by": changed_by}


@router.get("/plan/schema")
def schema(identity: Viewer) -> dict[str, Any]:
    """JSON schema of a plan."""
    return plan_schema()


@router.post("/plan/draft")
def draft(body: NumbersBody, identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """A plan of the registered sites and devices, to be filled in; nothing is kept."""
    now = datetime.now(UTC)
    numbers = _numbers(body)
    with database.connection() as connection:
        sites = [site.as_json() for site in list_sites(connection)]
        devices = [device.as_json() for device in list_devices(connection, now)]
    if not devices:
        raise InvalidInputError("devices: none is registered; a plan is made of what is")
    return {"plan": draft_plan(sites, devices, numbers, now.date()).as_json()}


@router.put("/plan", openapi_extra=_PLAN_BODY)
async def put_plan(request: Request, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Keep a plan, as YAML or JSON; each fault is named with its field."""
    plan = read_plan(await request.body())
    await run_in_threadpool(_save_plan, database, plan, identity.name)
    return {"plan": plan.as_json()}


@router.post("/plan/check", openapi_extra=_PLAN_BODY)
async def check_plan(request: Request, identity: Viewer) -> dict[str, Any]:
    """Read a plan and say what is wrong with it; nothing is kept."""
    return {"plan": read_plan(await request.body()).as_json()}


@router.get("/runs")
def list_runs(
    identity: Viewer, database: CurrentDatabase, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> dict[str, Any]:
    """The newest runs."""
    with database.connection() as connection:
        return {"runs": store.list_runs(connection, limit)}


@router.post("/runs", status_code=status.HTTP_202_ACCEPTED)
def start_run(body: StartBody, identity: Editor, process: CurrentProcess) -> dict[str, Any]:
    """Begin a run from this mediation, the SBC emulator as each site's SBC; `GET` it to watch."""
    if body.plan is not None:
        plan = plan_from(body.plan)
    else:
        with process.database.connection() as connection:
            found = store.read_plan(connection)
        if found is None:
            raise NotFoundError("there is no plan yet; PUT one to fst/plan, or send it along")
        plan = found[0]
    request = live.RunRequest(
        plan, identity.name, tuple(body.cases), body.wait_scale, body.attended, body.tester, body.witness
    )
    record = live.start(process.jobs, process.database, process.settings.data, request, datetime.now(UTC))
    return {"run": record.run, "cases": list(record.cases)}


@router.post("/records", status_code=status.HTTP_201_CREATED)
def add_record(body: dict[str, Any], identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Keep a record that `ringfence fst run` made elsewhere."""
    record = read_record(body)
    with database.connection() as connection:
        return _summary(store.add_record(connection, record, identity.name))


@router.get("/runs/{run}")
def show_run(run: RunId, identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """The record, its verdict and signatures, and under `now` how far the run is and what it asks."""
    now = live.state_of(run)  # before the record: that of a run which has ended is read with its end
    with database.connection() as connection:
        kept = store.read_run(connection, run)
    return kept.as_json() | {"now": now}


@router.post("/runs/{run}/answer", status_code=204)
def answer(run: RunId, body: AnswerBody, identity: Editor) -> None:
    """Answer what the run asks."""
    live.answer(run, body.number, Answer(body.verdict, body.comment, identity.name))


@router.post("/runs/{run}/cancel", status_code=status.HTTP_202_ACCEPTED)
def cancel(run: RunId, identity: Editor) -> dict[str, Any]:
    """Break the run off; what was found stays."""
    live.cancel(run)
    return live.state_of(run)


@router.patch("/runs/{run}/result")
def change_result(run: RunId, body: ResultBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Change a verdict or comment, or note who agreed to an OTHER; only while nobody has signed."""
    wanted = Change(body.case, body.subject, body.verdict, body.comment, body.agreed)
    with database.connection() as connection:
        return _summary(store.change(connection, run, wanted, identity.name, datetime.now(UTC)))


@router.patch("/runs/{run}")
def describe(run: RunId, body: DescribeBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Overall exceptions and comments, tester and witness; only while nobody has signed."""
    with database.connection() as connection:
        return _summary(store.describe(connection, run, identity.name, body.exceptions, body.tester, body.witness))


@router.post("/runs/{run}/sign")
def sign(run: RunId, body: SignBody, identity: Analyst, database: CurrentDatabase) -> dict[str, Any]:
    """Sign: the record is sealed from then on."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    signature = Signature(body.role, body.name.strip(), identity.name, now, body.digest)
    with database.connection() as connection:
        return _summary(store.add_signature(connection, run, signature))


@router.get("/runs/{run}/compare")
def compare_runs(
    run: RunId, identity: Viewer, database: CurrentDatabase, before: Annotated[str, Query(max_length=64)]
) -> dict[str, Any]:
    """Results that came out otherwise than in the run `before`."""
    with database.connection() as connection:
        earlier, later = store.read_run(connection, before), store.read_run(connection, run)
    found = compare(earlier.record, later.record)
    return {
        "before": {"run": before, "verdict": earlier.record.verdict()},
        "after": {"run": run, "verdict": later.record.verdict()},
        "differences": [asdict(one) for one in found],
    }


@router.get("/runs/{run}/record.{kind}", response_class=Response, responses=_FILE)
def print_record(
    run: RunId, kind: Literal["pdf", "html", "json"], identity: Viewer, database: CurrentDatabase
) -> Response:
    """The record as PDF, as an HTML page, or as the JSON that was signed."""
    with database.connection() as connection:
        kept = store.read_run(connection, run)
    name = {"Content-Disposition": f'inline; filename="fst-{run}.{kind}"'}
    if kind == "json":
        return Response(kept.record.canonical(), media_type="application/json", headers=name)
    document = build_document(kept.record, kept.signatures, datetime.now(UTC))
    if kind == "html":
        return Response(print_html(document), media_type="text/html; charset=utf-8", headers=name)
    return Response(print_pdf(document), media_type="application/pdf", headers=name)


def _summary(kept: store.KeptRun) -> dict[str, Any]:
    return {name: value for name, value in kept.as_json().items() if name != "record"}


def _save_plan(database: Database, plan: Plan, actor: str) -> None:
    with database.connection() as connection:
        store.save_plan(connection, plan, actor, datetime.now(UTC))


def _numbers(body: NumbersBody) -> Numbers:
    checked = plan_from({"locations": [_ANY_LOCATION], "numbers": body.model_dump()})
    return checked.numbers


_ANY_LOCATION = {"site": "any", "enum_servers": [{"name": "any", "address": "192.0.2.1:53"}]}
