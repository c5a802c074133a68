"""`ringfence policy reset` on a node: the edge drops the policy that it has and fetches the wanted one again (R4).

For a node whose policy is not to be trusted any more. Command and edge speak by files that only the node's owner can
write, so it works without a mediation and opens no port:
```text
command  run/policy-reset.json  {"id"}                              ──► edge, which takes it away
command  run/policy-reset-done.json  {"id", "dropped", "version", …} ◄── edge
```
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from ringfence.edge.policy_follower import PolicyFollower
from ringfence.errors import UnavailableError

_REQUEST = "policy-reset.json"
_DONE = "policy-reset-done.json"
_LOOK_S = 0.2
_POLL_S = 0.05
# How long the edge waits for the mediation's policy before it says that there is none yet.
FETCH_S = 5.0
# How long the command waits for the edge.
ANSWER_S = FETCH_S + 10.0

log = structlog.get_logger()


@dataclass(frozen=True)
class ResetOutcome:
    """What became of a reset. Versions: 0 for none."""

    dropped: int
    version: int
    has_mediation: bool
    fail_mode: str
    refused: str | None = None

    def in_words(self) -> str:
        """One sentence for a person."""
        dropped = f"Policy version {self.dropped} is dropped" if self.dropped else "There was no policy to drop"
        if self.version:
            return f"{dropped}; version {self.version} is installed afresh from the mediation."
        why = "there is no mediation to fetch one from" if not self.has_mediation else "the mediation has sent none yet"
        if self.refused:
            why = f"what the mediation sent is refused ({self.refused})"
        return f"{dropped}; {why}: calls are answered by the fail mode ({self.fail_mode})."


class PolicyReset:
    """The edge's side: looks for a request and carries it out."""

    def __init__(self, folder: Path, follower: PolicyFollower, *, has_mediation: bool, fail_mode: str) -> None:
        self._folder = folder
        self._follower = follower
        self._has_mediation = has_mediation
        self._fail_mode = fail_mode

    async def run(self) -> None:
        """Look until cancelled."""
        # What was asked before this edge started is not asked of it.
        (self._folder / _REQUEST).unlink(missing_ok=True)
        while True:
            request = self._take()
            if request is not None:
                outcome = await self._reset()
                _write(self._folder / _DONE, {"id": request, **asdict(outcome)})
            await asyncio.sleep(_LOOK_S)

    async def _reset(self) -> ResetOutcome:
        dropped = await self._follower.reset()
        if self._has_mediation:
            await self._follower.wait_for_answer(FETCH_S)
        refused = self._follower.refused
        outcome = ResetOutcome(dropped, self._follower.version, self._has_mediation, self._fail_mode, refused)
        log.warning("policy.reset", dropped=dropped, version=outcome.version, has_mediation=self._has_mediation)
        return outcome

    def _take(self) -> str | None:
        file = self._folder / _REQUEST
        request = _read(file)
        if request is None:
            return None
        file.unlink(missing_ok=True)
        return str(request.get("id", ""))


def request_reset(folder: Path, timeout_s: float = ANSWER_S) -> ResetOutcome:
    """Ask the edge of this data folder's `run` folder; UnavailableError when none is there or none answers."""
    running = _read(folder / "enum.json")
    if running is None or not _is_alive(running.get("pid")):
        raise UnavailableError(f"no ENUM server runs with this data folder ({folder.parent}); nothing was reset")
    identity = secrets.token_hex(8)
    done = folder / _DONE
    done.unlink(missing_ok=True)
    _write(folder / _REQUEST, {"id": identity})
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = _read(done)
        if answer is not None and answer.pop("id", None) == identity:
            done.unlink(missing_ok=True)
            return ResetOutcome(**answer)
        time.sleep(_POLL_S)
    (folder / _REQUEST).unlink(missing_ok=True)
    raise UnavailableError(f"the ENUM server did not answer in {timeout_s:g} s; its policy may not be reset")


def _is_alive(process: object) -> bool:
    if not isinstance(process, int):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _write(file: Path, content: dict[str, Any]) -> None:
    fresh = file.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(content, out)
    fresh.replace(file)
