"""Which version and document each device should have: targets (what acts where) met with where devices stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from psycopg import Connection

from ringfence.errors import InvalidInputError
from ringfence.mediation.places import read_places
from ringfence.mediation.sites import all_sites
from ringfence.policy import targets
from ringfence.policy.documents import VersionDocuments

log = structlog.get_logger()


@dataclass(frozen=True)
class Wanted:
    """What a device should have: version 0 is none. `target`: what it follows, '' when nothing was ever installed."""

    version: int = 0
    hash: str = ""
    target: str = ""
    since: datetime | None = None


NOTHING = Wanted()


def read_wanted(connection: Connection, *, is_made: bool = False) -> dict[int, Wanted]:
    """device_id → what it should have. With `is_made`, documents that are missing are made, and one that does not
    compile for a device leaves that device out: it goes on with what it has.
    """
    there = read_places(connection)
    sites = {site.name: site for site in all_sites(connection)}
    known = targets.read_targets(connection)
    documents: dict[int, VersionDocuments] = {}
    wanted: dict[int, Wanted] = {}
    for device, site in there.devices.items():
        device_id = there.reported[device].device_id
        target = targets.target_of(known, site, device)
        if target is None or target.version == 0:
            wanted[device_id] = Wanted(0, "", target.target, target.since) if target else NOTHING
            continue
        if target.version not in documents:
            documents[target.version] = VersionDocuments(connection, target.version)
        try:
            hash_ = documents[target.version].hash_for(sites[site], device, is_made=is_made)
        except InvalidInputError as error:
            log.error("wanted.does_not_compile", device=device, version=target.version, error=error.message)
            continue
        wanted[device_id] = Wanted(target.version, hash_, target.target, target.since)
    return wanted
