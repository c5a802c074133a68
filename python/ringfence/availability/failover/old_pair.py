"""The old active pair: told of the higher term, copied a last time, made to stop; by its API, or over ssh.

Nothing here has to succeed for a failover to be safe: the edges refuse a lower term, and fence the old pair themselves
when it comes back. Reaching it makes the failover lossless: behind its fence nothing changes any more. A site that went
dark answers nothing, not even that it is gone: all ways are tried at once, and none is waited for longer than seconds.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import httpx

from ringfence.availability.source import open_api, ssh_command
from ringfence.availability.standby import Standby
from ringfence.availability.term import HEADER, Term
from ringfence.errors import UnavailableError

# A host that is there answers in milliseconds, a busy one in a second; the calls' records wait meanwhile.
_ASK_TIMEOUT_S = 5.0
_SSH_TIMEOUT_S = 90.0
_POLL_S = 0.2
# One that goes dark while it is told is given up after 15 s.
_ALIVE = ("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")
_T = TypeVar("_T")
# What of the old pair another host can take over.
SECTIONS = ("database", "configuration")


@dataclass(frozen=True)
class Fenced:
    """What became of telling the old pair. `lsn`: up to where its database went, when it could say."""

    is_told: bool
    words: str
    lsn: str | None = None


@dataclass(frozen=True)
class Stopped:
    """What became of stopping it."""

    is_stopped: bool
    words: str


class OldPair:
    """Where it may be reached: what the standby follows, and what the operator named beside it."""

    def __init__(self, following: Standby, partners: tuple[str, ...], host: str | None, command: str) -> None:
        """`host` for ssh, where it is not what is followed. `command` is how `ringfence` is called there."""
        self._following = following
        self._host = host or (None if following.is_over_api else following.active)
        self._command = command
        followed = [following.active] if following.is_over_api else []
        self._urls = [*followed, *(url for url in partners if url not in followed)]

    def reach(self) -> str | None:
        """How it can be reached now; None: it cannot."""
        ways: list[Callable[[], str | None]] = [
            self._reach_over_ssh, *(partial(self._reach_over_api, url) for url in self._urls)
        ]  # fmt: skip
        return next((way for way in _at_once(ways) if way is not None), None)

    def fence(self, term: Term) -> Fenced:
        """Tell it that there is a higher term, on every way that it may be reached."""
        ways = [partial(self._fence_over_ssh, term), *(partial(self._fence_over_api, url, term) for url in self._urls)]
        tried = [fenced for fenced in _at_once(ways) if fenced is not None]
        why = tried[-1].words if tried else "cannot be reached"
        fallback = Fenced(False, f"{why}: the edges will refuse it, and fence it when it is back")
        return next((fenced for fenced in tried if fenced.is_told), fallback)

    def back_up(self, timeout_s: float) -> str:
        """Have it make a backup now; its id. RingfenceError with the reason."""
        if self._following.is_over_api and self._following.token:
            return self._back_up_over_api(timeout_s)
        sections = " ".join(f"--select {section}" for section in SECTIONS)
        answer, why = self._ringfence(f"backup {sections} --json", timeout_s)
        if answer is None:
            raise UnavailableError(why)
        return str(answer["backup_id"])

    def stop(self, term: Term) -> Stopped:
        """Stop it and keep it from starting at boot, where it can be reached so."""
        if self._host is None:
            return Stopped(False, "runs still, fenced: over its API it cannot be stopped (--host names it for ssh)")
        answer, why = self._ringfence(f"fence {term} --stop --json")
        if answer is None:
            return Stopped(False, f"not stopped: {why}")
        return Stopped(bool(answer.get("is_stopped")), str(answer["words"]))

    def _reach_over_ssh(self) -> str | None:
        return f"ssh {self._host}" if self._host is not None and self._over_ssh("true")[0] is not None else None

    def _reach_over_api(self, url: str) -> str | None:
        try:
            with self._open(url) as client:
                client.get("/healthz")
        except httpx.HTTPError:
            return None
        return url

    def _fence_over_ssh(self, term: Term) -> Fenced | None:
        if self._host is None:
            return None
        answer, why = self._ringfence(f"fence {term} --json")
        return (
            Fenced(False, why)
            if answer is None
            else Fenced(True, f"fenced over ssh: {answer['words']}", answer.get("lsn"))
        )

    def _fence_over_api(self, url: str, term: Term) -> Fenced | None:
        try:
            with self._open(url) as client:
                told = client.get("/healthz", headers={HEADER: str(term)})
        except httpx.HTTPError:
            return None
        own = Term.parse(told.headers.get(HEADER))
        if own is not None and own.cluster == term.cluster and not told.is_success:
            return Fenced(True, f"fenced over its API ({url})")
        return Fenced(False, f"{url} does not take the term")

    def _open(self, url: str, token: str | None = None, below: str = "") -> httpx.Client:
        return open_api(url, _ASK_TIMEOUT_S, token, self._following.trust, below)

    def _back_up_over_api(self, timeout_s: float) -> str:
        give_up = time.monotonic() + timeout_s
        with self._open(self._following.active, self._following.token, "/api/v1/") as client:
            job = _answer(client, "POST", "backups", json={"select": list(SECTIONS)})
            while job["state"] in ("queued", "running"):
                if time.monotonic() > give_up:
                    raise UnavailableError(f"its backup is not made within {timeout_s:.0f} s")
                time.sleep(_POLL_S)
                job = _answer(client, "GET", f"jobs/{job['id']}")
        if job["state"] != "done":
            raise UnavailableError(f"its backup failed: {(job['error'] or {}).get('message', job['state'])}")
        return str(job["result"]["backup_id"])

    def _ringfence(self, words: str, timeout_s: float = _SSH_TIMEOUT_S) -> tuple[dict[str, Any] | None, str]:
        """What a `ringfence` command there answers in JSON; None, and why it does not."""
        said, why = self._over_ssh(f"{self._command} {words}", timeout_s)
        if said is None:
            return None, why
        try:
            # What is logged may stand before it.
            answer = json.loads(said.strip().splitlines()[-1])
        except (ValueError, IndexError):
            answer = None
        if not isinstance(answer, dict):
            return None, f"{self._host} answers, and not as Ringfence does"
        return answer, ""

    def _over_ssh(self, remote: str, timeout_s: float = _SSH_TIMEOUT_S) -> tuple[str | None, str]:
        """What a command there prints; None, and why it did not run or failed."""
        try:
            done = subprocess.run(  # noqa: S603 - ssh as the operator named it
                [*shlex.split(ssh_command(self._following, _ASK_TIMEOUT_S)), *_ALIVE, str(self._host), remote],
                capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=timeout_s,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None, f"{self._host} did not answer within {timeout_s:.0f} s"
        except OSError as error:
            return None, f"ssh cannot be run: {error.strerror}"
        if done.returncode == 0:
            return done.stdout, ""
        said = done.stderr.strip().splitlines()
        return None, f"{self._host}: {said[-1] if said else f'exit status {done.returncode}'}"


def _at_once(ways: Sequence[Callable[[], _T]]) -> list[_T]:
    """What each says, in their order."""
    with ThreadPoolExecutor(len(ways)) as pool:
        return list(pool.map(lambda way: way(), ways))


def _answer(client: httpx.Client, method: str, path: str, **arguments: Any) -> Any:
    try:
        response = client.request(method, path, **arguments)
        body = response.json()
    except httpx.HTTPError as error:
        raise UnavailableError(f"cannot be reached: {error}") from None
    except ValueError:
        raise UnavailableError(f"answers {response.status_code}, and not as a mediation does") from None
    if not response.is_success:
        raise UnavailableError(str(body.get("message", response.status_code)))
    return body
