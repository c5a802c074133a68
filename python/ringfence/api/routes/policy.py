"""Policy: apply, show, versions, install, uninstall. Rolling back is installing an older version."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Editor, Viewer
from ringfence.database.connection import Database
from ringfence.mediation.sites import first_site
from ringfence.policy import versions
from ringfence.policy.rules import parse_policy

router = APIRouter(prefix="/policy", tags=["policy"])

VersionNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]
_POLICY_BODY = {
    "requestBody": {
        "required": True,
        "description": "The policy as an operator writes it",
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}


class InstallBody(BaseModel):
    """Which version shall act."""

    model_config = ConfigDict(extra="forbid")
    version: int = Field(ge=1, le=2**31 - 1)


@router.post("", openapi_extra=_POLICY_BODY)
async def apply_policy(
    request: Request,
    identity: Editor,
    database: CurrentDatabase,
    message: Annotated[str, Query(max_length=500)] = "",
    dry_run: bool = False,
) -> dict[str, Any]:
    """Check a policy, commit it as a version and install that everywhere; with `dry_run` only check."""
    return await run_in_threadpool(_apply, database, await request.body(), identity.name, message, dry_run)


@router.get("")
def show_installed(identity: Viewer, database: CurrentDatabase) -> dict[str, Any]:
    """What is installed everywhere; `version` 0 and no policy when nothing is."""
    with database.connection() as connection:
        installed = versions.installed_everywhere(connection)
        if installed == versions.UNINSTALLED:
            return {"version": 0, "hash": "", "policy": None}
        number = installed.version
        return _shown(versions.read_version(connection, number), versions.read_source(connection, number))


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


@router.post("/install")
def install_version(body: InstallBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Make a version act everywhere."""
    with database.connection() as connection:
        return versions.install_version(connection, body.version, identity.name).as_json()


@router.post("/uninstall")
def uninstall(identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """No policy acts anywhere: every edge answers as its fail mode says."""
    with database.connection() as connection:
        versions.uninstall(connection, identity.name)
    return {"version": 0}


def _apply(database: Database, text: bytes, author: str, message: str, dry_run: bool) -> dict[str, Any]:
    policy = parse_policy(text)
    with database.connection() as connection:
        site = first_site(connection)
        if dry_run:
            versions.check_policy(connection, policy, site)
            return {"dry_run": True, "rules": len(policy.rules)}
        commit = versions.commit_policy(connection, policy, site, author, message)
        installed = versions.install_version(connection, commit.version.version, author)
    return installed.as_json() | {"is_new": commit.is_new}


def _shown(version: versions.Version, source: dict[str, Any]) -> dict[str, Any]:
    return version.as_json() | {"policy": source}
