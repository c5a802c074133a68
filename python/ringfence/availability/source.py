"""Where a standby in backup mode gets its copies from: the active's API, or its folder of backups by rsync over ssh.

Both say what there is and bring one file, going on where an earlier try was cut off. Neither is believed: what was
brought is a backup only once every octet fits its manifest (`archive`).
"""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import httpx

from ringfence.availability.archive import Report
from ringfence.availability.manifest import BACKUP_ID
from ringfence.availability.shelf import SUFFIX
from ringfence.availability.standby import Standby
from ringfence.errors import ConfigurationError, ForbiddenError, NotSignedInError, RingfenceError, UnavailableError
from ringfence.trust.verification import Trust, verify_argument

TIMEOUT_S = 30.0
_CHUNK = 1 << 20
_AUDIT_PAGE = 1000
_LISTED = re.compile(rf"(?P<size>[\d,]+) \S+ \S+ ringfence-(?P<id>{BACKUP_ID.pattern}){re.escape(SUFFIX)}$")


@dataclass(frozen=True)
class Offer:
    """A backup that the active has."""

    backup_id: str
    size: int


class Source(Protocol):
    """One active, seen from its standby."""

    def offers(self) -> list[Offer]:
        """Its whole backups, newest first. UnavailableError when it cannot be reached."""

    def fetch(self, offer: Offer, target: Path, report: Report) -> None:
        """Bring a backup into `target`, from where it is already there."""

    def software(self) -> str | None:
        """Its version; None where this way cannot tell."""

    def changes_since(self, since: datetime) -> list[dict[str, Any]] | None:
        """Its changes of configuration since then; None where this way cannot tell."""


def source_of(standby: Standby) -> Source:
    """The way to the active."""
    return ApiSource(standby) if standby.is_over_api else SshSource(standby)


def open_api(
    url: str, timeout_s: float, token: str | None = None, trust: Trust | None = None, below: str = ""
) -> httpx.Client:
    """HTTP to another node's mediation, `http(s)://HOST:PORT` or `unix:/PATH`; `trust`: whom to believe behind TLS."""
    transport = None
    if url.startswith("unix:"):
        transport = httpx.HTTPTransport(uds=url.removeprefix("unix:").replace("//", "/"))
        url = "http://active"
    return httpx.Client(
        base_url=f"{url.rstrip('/')}{below}",
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=timeout_s,
        trust_env=False,
        transport=transport,
        verify=verify_argument(url, trust or Trust()),
    )


class ApiSource:
    """The active's API, with a token of an administrator."""

    def __init__(self, standby: Standby) -> None:
        self._active = standby.active
        if not standby.token:
            raise ConfigurationError("standby: a token of the active is needed: --token-file")
        self._http = open_api(standby.active, TIMEOUT_S, standby.token, standby.trust, "/api/v1/")

    def offers(self) -> list[Offer]:
        """Its whole backups, newest first."""
        listed = self._get("backups")["backups"]
        return [Offer(one["backup_id"], one["bytes"]) for one in listed if _is_whole(one)]

    def fetch(self, offer: Offer, target: Path, report: Report) -> None:
        """By a range request from where it stopped."""
        have = target.stat().st_size if target.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        try:
            with self._http.stream("GET", f"backups/{offer.backup_id}/archive", headers=headers) as response:
                if not response.is_success:
                    response.read()
                    raise self._refused(response)
                is_rest = response.status_code == 206
                with target.open("ab" if is_rest else "wb") as out:
                    done = have if is_rest else 0
                    for octets in response.iter_bytes(_CHUNK):
                        out.write(octets)
                        done += len(octets)
                        report(done, offer.size, "copying")
        except httpx.TransportError as error:
            raise self._away(error) from None

    def software(self) -> str | None:
        """As its status says."""
        return str(self._get("status")["mediation"]["version"])

    def changes_since(self, since: datetime) -> list[dict[str, Any]] | None:
        """Audit entries, oldest first; sign-ins and the like are no changes."""
        entries = self._get("audit", since=since.isoformat(), limit=_AUDIT_PAGE)["entries"]
        return [entry for entry in reversed(entries) if is_change(str(entry["action"]))]

    def _get(self, path: str, **parameters: Any) -> Any:
        try:
            response = self._http.get(path, params=parameters)
        except httpx.TransportError as error:
            raise self._away(error) from None
        if not response.is_success:
            raise self._refused(response)
        return response.json()

    def _away(self, error: Exception) -> UnavailableError:
        return UnavailableError(f"the active {self._active} cannot be reached: {error}")

    def _refused(self, response: httpx.Response) -> RingfenceError:
        kinds = {401: NotSignedInError, 403: ForbiddenError}
        try:
            message = str(response.json()["message"])
        except (ValueError, KeyError, TypeError):
            message = f"status {response.status_code}"
        return kinds.get(response.status_code, UnavailableError)(f"the active {self._active} refuses: {message}")


class SshSource:
    """The active's folder of backups, by rsync over ssh: needs no mediation there, nothing but the files."""

    def __init__(self, standby: Standby) -> None:
        self._standby = standby
        self._from = f"{standby.active}:{standby.folder}/"

    def offers(self) -> list[Offer]:
        """Every finished file; whether it is whole shows when it is here."""
        listing = self._rsync("--list-only", "--include=ringfence-*.backup", "--exclude=*", self._from)
        found = [_LISTED.search(line) for line in listing.splitlines()]
        offers = [Offer(one["id"], int(one["size"].replace(",", ""))) for one in found if one]
        return sorted(offers, key=lambda offer: offer.backup_id, reverse=True)

    def fetch(self, offer: Offer, target: Path, report: Report) -> None:
        """rsync goes on from what is there by itself."""
        report(0, offer.size, "copying")
        self._rsync("--inplace", f"{self._from}ringfence-{offer.backup_id}{SUFFIX}", str(target))
        report(offer.size, offer.size, "copying")

    def software(self) -> str | None:
        """Not known on this way."""
        return None

    def changes_since(self, since: datetime) -> list[dict[str, Any]] | None:
        """Not known on this way."""
        return None

    def _rsync(self, *arguments: str) -> str:
        options = [f"--timeout={TIMEOUT_S:.0f}", "--protect-args", "-e", ssh_command(self._standby)]
        try:
            done = subprocess.run(  # noqa: S603
                ["rsync", *options, *arguments],  # noqa: S607
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except FileNotFoundError:
            raise ConfigurationError("standby: rsync is not installed on this node") from None
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise UnavailableError(f"the active {self._standby.active}: rsync: {said[0]}")
        return done.stdout


def ssh_command(standby: Standby, timeout_s: float = TIMEOUT_S) -> str:
    """ssh as it was told at init; it never asks, and gives up a host that does not answer within `timeout_s`."""
    return shlex.join([*standby.ssh, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={timeout_s:.0f}"])


def is_change(action: str) -> bool:
    """Whether an audited action changes what a failover would have to keep."""
    return action.split(".")[0] not in {"sign_in", "sign_out", "backup", "standby", "cluster"}


def _is_whole(one: dict[str, Any]) -> bool:
    # A mediation without the key lists encrypted backups with that as their problem; they are whole all the same.
    return bool(one.get("sections")) and (one["problem"] is None or one.get("key") is not None)
