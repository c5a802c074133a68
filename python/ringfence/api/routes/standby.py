"""The standbys of this node, as the active sees them; a standby itself has no mediation: ask it by its own command."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ringfence.api.context import CurrentProcess
from ringfence.api.security import Viewer
from ringfence.availability.followers import read_followers
from ringfence.availability.standby import role_of

router = APIRouter(prefix="/standby", tags=["standby"])


@router.get("")
def show_standbys(identity: Viewer, process: CurrentProcess) -> dict[str, Any]:
    """This node's role, and who follows it: by streaming with what is kept for each, by copies with the last one."""
    with process.database.connection() as connection:
        followers = read_followers(connection)
    return {"role": role_of(process.settings), "followers": [follower.as_json() for follower in followers]}
