"""Views that people saved under a name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, status
from pydantic import BaseModel, ConfigDict

from ringfence.accounts.roles import allows
from ringfence.analytics.saved import delete_view, list_saved, save_view
from ringfence.api.context import CurrentDatabase
from ringfence.api.security import SiteViewer
from ringfence.errors import ForbiddenError
from ringfence.vocabulary import Role

router = APIRouter(prefix="/saved_views", tags=["analytics"])

Name = Annotated[str, Path(min_length=1, max_length=64)]


class SavedBody(BaseModel):
    """`words` are the parameters of the Analytics page's address: dataset, view, grouping, device, range, filters."""

    model_config = ConfigDict(extra="forbid")
    words: dict[str, str]
    shared: bool = False


@router.get("")
def saved_views(identity: SiteViewer, database: CurrentDatabase) -> list[dict[str, Any]]:
    """One's own, then those that others share."""
    with database.connection() as connection:
        return [view.as_json() for view in list_saved(connection, identity.name)]


@router.put("/{name}")
def save(name: Name, body: SavedBody, identity: SiteViewer, database: CurrentDatabase) -> dict[str, Any]:
    """Keep a view under a name; one's own of the same name is replaced. Sharing needs the role analyst."""
    if body.shared and not allows(identity.role, Role.ANALYST):
        raise ForbiddenError(f"your role is {identity.role.word}; sharing a view needs {Role.ANALYST.word}")
    with database.connection() as connection:
        now = datetime.now(UTC)
        return save_view(connection, identity.name, name, body.words, now, is_shared=body.shared).as_json()


@router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT)
def delete(name: Name, identity: SiteViewer, database: CurrentDatabase) -> None:
    """Take one's own view away."""
    with database.connection() as connection:
        delete_view(connection, identity.name, name)
