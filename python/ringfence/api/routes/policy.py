"""Policy as code and versions: apply, validate, export, compare, show. To edit: `drafts`; to act: `installation`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse

from ringfence.api.context import CurrentDatabase
from ringfence.api.routes.installation import LONGEST_TRIAL_S
from ringfence.api.security import Editor, Viewer
from ringfence.database.connection import Database
from ringfence.mediation.sites import all_sites
from ringfence.policy import diff, drafts, findings, installation, named, versions
from ringfence.policy.rules import Policy, parse_policy

router = APIRouter(prefix="/policy", tags=["policy"])

VersionNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]
PolicyName = Annotated[str, Query(max_length=16, description="draft, installed, newest or a version's number")]
POLICY_BODY = {
    "requestBody": {
        "required": True,
        "description": "The policy as an operator writes it",
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}


@router.post("", openapi_extra=POLICY_BODY)
async def apply_policy(
    request: Request,
    identity: Editor,
    database: CurrentDatabase,
    message: Annotated[str, Query(max_length=500)] = "",
    dry_run: bool = False,
    install: bool = True,
    confirm_within_s: Annotated[float | None, Query(gt=0, le=LONGEST_TRIAL_S)] = None,
) -> dict[str, Any]:
    """Check a policy, commit it as a version and install that everywhere; with `dry_run` say what that would change."""
    text = await request.body()
    if dry_run:
        return await run_in_threadpool(_try, database, text)
    within = timedelta(seconds=confirm_within_s) if confirm_within_s is not None else None
    return await run_in_threadpool(_apply, database, text, identity.name, message, install, within)


@router.post("/validate", openapi_extra=POLICY_BODY)
async def validate(request: Request, identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """Findings on a policy, errors first; nothing is written."""
    return await run_in_threadpool(_validate, database, await request.body())


@router.get("")
def show_installed(identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """What is installed everywhere; `version` 0 and no policy when nothing is."""
    with database.connection() as connection:
        installed = versions.installed_everywhere(connection)
        if installed == versions.UNINSTALLED:
            return {"version": 0, "hash": "", "policy": None}
        number = installed.version
        return _shown(versions.read_version(connection, number), versions.read_source(connection, number))


@router.get("/export", response_class=PlainTextResponse, responses={200: {"content": {"application/yaml": {}}}})
def export(identity: Viewer, database: CurrentDatabase, of: PolicyName = "installed") -> PlainTextResponse:
    """A policy as YAML that applies to the same policy again: for git."""
    with database.connection() as connection:
        policy = named.read_named(connection, of).policy
    return PlainTextResponse(diff.export(policy), media_type="application/yaml")


@router.get("/schema")
def schema(identity: Viewer) -> dict[str, Any]:
    """JSON schema of a policy."""
    return named.policy_schema()


@router.get("/diff")
def compare(
    identity: Viewer, database: CurrentDatabase, before: PolicyName = "installed", after: PolicyName = "draft"
) -> dict[str, Any]:
    """What differs between two policies: object by object in words, and as a unified diff of YAML."""
    with database.connection() as connection:
        return named.compare(connection, before, after).as_json()


@router.get("/versions")
def list_versions(
    identity: Viewer, database: CurrentDatabase, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> dict[str, Any]:
    """The newest versions, newest first."""
    with database.connection() as connection:
        return {"versions": [version.as_json() for version in versions.list_versions(connection, limit)]}


@router.get("/versions/{version}")
def show_version(version: VersionNumber, identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """One version with its policy as its author wrote it."""
    with database.connection() as connection:
        return _shown(versions.read_version(connection, version), versions.read_source(connection, version))


def _try(database: Database, text: bytes) -> dict[str, Any]:
    policy = parse_policy(text)
    with database.connection() as connection:
        found = findings.check_whole(policy, drafts.read_surroundings(connection))
        findings.refuse_errors(found)
        first, *others = all_sites(connection)
        versions.check_policy(connection, policy, first, other_sites=others)
        compared = named.compare(connection, "installed", policy)
    said = {"dry_run": True, "rules": len(policy.rules), "findings": [one.as_json() for one in found]}
    return said | compared.as_json()


def _apply(
    database: Database, text: bytes, author: str, message: str, is_installed: bool, within: timedelta | None
) -> dict[str, Any]:
    policy = parse_policy(text)
    with database.connection() as connection:
        found = findings.check_whole(policy, drafts.read_surroundings(connection))
        findings.refuse_errors(found)
        first, *others = all_sites(connection)
        commit = versions.commit_policy(connection, policy, first, author, message, other_sites=others)
        number = commit.version.version
        made = None
        if is_installed:
            made = installation.install(connection, number, author, datetime.now(UTC), confirm_within=within)
        version = versions.read_version(connection, number)
    return version.as_json() | {
        "is_new": commit.is_new,
        "installation": made.as_json() if made else None,
        "findings": [one.as_json() for one in found],
    }


def _validate(database: Database, text: bytes) -> dict[str, Any]:
    policy: Policy = parse_policy(text)
    with database.connection() as connection:
        found = findings.check_whole(policy, drafts.read_surroundings(connection))
    return {"rules": len(policy.rules), "findings": [one.as_json() for one in found]}


def _shown(version: versions.Version, source: dict[str, Any]) -> dict[str, Any]:
    return version.as_json() | {"policy": source}
