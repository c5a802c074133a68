"""Sites: country, dial plan, own ranges. What is edited acts with the next commit of the policy."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Administrator, SiteAdministrator, SiteViewer
from ringfence.mediation import sites
from ringfence.numbering.dial_plan import site_from

router = APIRouter(prefix="/sites", tags=["sites"])

SiteName = Annotated[str, Path(min_length=1, max_length=64)]
Digits = Annotated[str, Field(max_length=15)]
Length = Annotated[int, Field(ge=1, le=20)]


class SiteFields(BaseModel):
    """What can be said of a site; what is left out is as it was, or as in its country."""

    model_config = ConfigDict(extra="forbid")
    country: Annotated[str, Field(min_length=2, max_length=2)] | None = None
    own_ranges: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=10_000)] | None = None
    national_prefix: Digits | None = None
    international_prefixes: Annotated[list[Digits], Field(max_length=50)] | None = None
    national_lengths: Annotated[list[Length], Field(max_length=20)] | None = None
    local_prefix: Digits | None = None
    local_lengths: Annotated[list[Length], Field(max_length=20)] | None = None
    extension_lengths: Annotated[list[Length], Field(max_length=20)] | None = None
    note: Annotated[str, Field(max_length=sites.MAX_NOTE)] | None = None

    def changes(self) -> dict[str, Any]:
        """The fields that were named."""
        given = self.model_dump(exclude_unset=True)
        # null takes the country's plan again; texts and lists that no country has go back to nothing.
        plain: dict[str, Any] = {"local_prefix": "", "local_lengths": [], "extension_lengths": [], "own_ranges": []}
        return {
            field: plain.get(field) if value is None else value
            for field, value in given.items()
            if not (value is None and field in ("country", "note"))
        }


class NewSite(SiteFields):
    """A site to be."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    country: Annotated[str, Field(min_length=2, max_length=2)]


@router.get("")
def list_sites(identity: SiteViewer, database: CurrentDatabase) -> dict[str, Any]:
    """Every site with its dial plan."""
    with database.connection() as connection:
        return {"sites": [site.as_json() for site in sites.list_sites(connection)]}


@router.post("", status_code=201)
def add_site(body: NewSite, identity: Administrator, database: CurrentDatabase) -> dict[str, Any]:
    """Make a site."""
    fields = body.changes()
    note = str(fields.pop("note", ""))
    with database.connection() as connection:
        return sites.add_site(connection, site_from(fields), identity.name, note).as_json()


@router.get("/{name}")
def show_site(name: SiteName, identity: SiteViewer, database: CurrentDatabase) -> dict[str, Any]:
    """One site with its dial plan."""
    with database.connection() as connection:
        return sites.read_site(connection, name).as_json()


@router.patch("/{name}")
def edit_site(
    name: SiteName, body: SiteFields, identity: SiteAdministrator, database: CurrentDatabase
) -> dict[str, Any]:
    """Change fields of a site."""
    with database.connection() as connection:
        return sites.edit_site(connection, name, body.changes(), identity.name).as_json()


@router.delete("/{name}", status_code=204)
def remove_site(name: SiteName, identity: Administrator, database: CurrentDatabase) -> None:
    """Take a site without devices away."""
    with database.connection() as connection:
        sites.remove_site(connection, name, identity.name)
