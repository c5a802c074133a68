"""What acts where: install, uninstall, go on, confirm, roll back, and what is installed now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Editor, Viewer
from ringfence.policy import installation, versions
from ringfence.policy.installation import Installation, Scope

router = APIRouter(prefix="/policy", tags=["policy"])

Name = Annotated[str, Field(min_length=1, max_length=64)]

# The domain's bound (MAX_CONFIRM) is tighter and says so; this one keeps it a time at all.
LONGEST_TRIAL_S = 30 * 86_400.0


class ScopeBody(BaseModel):
    """Where: all devices, or a site's, or one."""

    model_config = ConfigDict(extra="forbid")
    site: Name | None = None
    device: Name | None = None
    keep_exceptions: bool = Field(False, description="leave what narrower targets have of their own")

    @model_validator(mode="after")
    def _site_or_device(self) -> ScopeBody:
        if self.site is not None and self.device is not None:
            raise ValueError("name a site or a device, not both")
        return self

    @property
    def scope(self) -> Scope:
        """For the domain."""
        return Scope(self.site, self.device, self.keep_exceptions)


class InstallBody(ScopeBody):
    """Which version shall act, where, and until when it must be confirmed."""

    version: int = Field(ge=1, le=2**31 - 1)
    confirm_within_s: float | None = Field(
        None, gt=0, le=LONGEST_TRIAL_S, description="reverts by itself unless confirmed in this time"
    )
    staged: bool = Field(False, description="on `device` first; `go-on` installs on all")


class GoOnBody(BaseModel):
    """Go on with the staged installation."""

    model_config = ConfigDict(extra="forbid")
    force: bool = Field(False, description="also when the first device does not enforce it")


class ConfirmBody(BaseModel):
    """Which installation to keep; without, all that wait."""

    model_config = ConfigDict(extra="forbid")
    installation_id: int | None = Field(None, ge=1, le=2**31 - 1)


@router.get("/installation")
def show(
    identity: Viewer, database: CurrentDatabase, limit: Annotated[int, Query(ge=1, le=1000)] = 20
) -> dict[str, Any]:
    """What is installed where, what waits to be confirmed or to go on, and the newest `limit` of the log."""
    with database.connection() as connection:
        state = installation.read_state(connection)
        log = installation.list_installations(connection, limit)
    return state.as_json() | {"log": [one.as_json() for one in log]}


@router.post("/install")
def install(body: InstallBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Make a version act; an older one too."""
    within = timedelta(seconds=body.confirm_within_s) if body.confirm_within_s is not None else None
    with database.connection() as connection:
        made = installation.install(
            connection,
            body.version,
            identity.name,
            datetime.now(UTC),
            body.scope,
            confirm_within=within,
            is_staged=body.staged,
        )
        version = versions.read_version(connection, body.version)
    return version.as_json() | {"installation": _or_none(made)}


@router.post("/uninstall")
def uninstall(identity: Editor, database: CurrentDatabase, body: ScopeBody | None = None) -> dict[str, Any]:
    """No policy acts there: edges answer as their fail mode says."""
    scope = body.scope if body else Scope()
    with database.connection() as connection:
        made = installation.uninstall(connection, identity.name, datetime.now(UTC), scope)
    return {"version": 0, "installation": _or_none(made)}


@router.post("/follow")
def follow(body: ScopeBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Let a device follow its site again, or a site all the others."""
    with database.connection() as connection:
        made = installation.follow(connection, identity.name, datetime.now(UTC), body.scope)
    return {"installation": _or_none(made)}


@router.post("/go-on")
def go_on(body: GoOnBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Install on all what was staged on its first device; 409 until that enforces it."""
    with database.connection() as connection:
        made = installation.go_on(connection, identity.name, datetime.now(UTC), is_forced=body.force)
    return {"version": made.version, "installation": made.as_json()}


@router.post("/confirm")
def confirm(body: ConfirmBody, identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Keep what would revert by itself."""
    with database.connection() as connection:
        kept = installation.confirm(connection, identity.name, datetime.now(UTC), body.installation_id)
    return {"confirmed": [one.as_json() for one in kept]}


@router.post("/rollback")
def rollback(identity: Editor, database: CurrentDatabase) -> dict[str, Any]:
    """Put back what acted before the newest installation; again: before the one before it."""
    with database.connection() as connection:
        made = installation.rollback(connection, identity.name, datetime.now(UTC))
        acting = versions.installed_everywhere(connection)
    return {"version": acting.version, "installation": made.as_json()}


def _or_none(made: Installation | None) -> dict[str, Any] | None:
    return made.as_json() if made else None
