"""On the old pair's node: hear a higher term, whatever runs here; wait until nothing changes any more; stop, if asked.

    database ── fence kept, NOTIFY ──► the pair's mediations: transactions only read ──► those under way end ──► LSN

Where the database does not run, the node's memory (`NodeTerm`) is told: a mediation that is started later is fenced
from its first moment.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import psycopg
from psycopg.pq import PGconn, Ping

from ringfence.availability import cluster
from ringfence.availability.failover.node import Node
from ringfence.availability.node_term import NodeTerm
from ringfence.availability.source import open_api
from ringfence.availability.term import Term
from ringfence.database.cluster import embedded_url
from ringfence.database.connection import SCHEMA, lasting
from ringfence.errors import InvalidInputError, RingfenceError, UnavailableError
from ringfence.mediation.local_files import mediation_file, place_trust
from ringfence.settings import Settings

# How long the mediation and the transactions that were under way when the fence came are waited for.
SETTLE_S = 5.0
_POLL_S = 0.02


@dataclass(frozen=True)
class FenceOutcome:
    """What was done here. `lsn`: up to where the database goes, when nothing is changed any more."""

    epoch: int
    words: str
    lsn: str | None = None
    is_stopped: bool = False

    def as_json(self) -> dict[str, Any]:
        """For `--json`, which `ringfence failover` reads."""
        return {"epoch": self.epoch, "words": self.words, "lsn": self.lsn, "is_stopped": self.is_stopped}


def fence_here(settings: Settings, text: str, node: Node | None, now: datetime) -> FenceOutcome:
    """InvalidInputError for what is no term of this cluster. `node`: stop it as well."""
    term = Term.parse(text)
    if term is None:
        raise InvalidInputError("fence: TERM must be CLUSTER.EPOCH.HOLDER.PROOF, as `ringfence failover --status` says")
    words, lsn = "the database does not run: the fence stands when it does", None
    url = lasting(settings.database.url) if settings.database.url else _embedded(settings)
    if url is not None and PGconn.ping(url.encode()) == Ping.OK:
        lsn = _fence_database(settings, url, term, now)
        words = "nothing is changed here any more" if lsn else f"transactions are still open after {SETTLE_S:g} s"
    else:
        NodeTerm(settings.data).meet(term)
        _give_to_owner(settings)
    if node is None:
        return FenceOutcome(term.epoch, words, lsn)
    stopped, is_stopped = _stop(node)
    return FenceOutcome(term.epoch, f"{words}; {stopped}", lsn, is_stopped)


def _stop(node: Node) -> tuple[str, bool]:
    """At boot first: what cannot be stopped shall at least not come again. What is refused is told, not raised."""
    said, is_stopped = [], False
    for work in (node.disable, node.stop):
        try:
            said.append(work())
            is_stopped = work == node.stop
        except RingfenceError as error:
            said.append(f"not {'stopped' if work == node.stop else 'disabled at boot'}: {error.message}")
    return "; ".join(reversed(said)), is_stopped


def _embedded(settings: Settings) -> str | None:
    try:
        return embedded_url(settings.data)
    except UnavailableError:
        return None


def _fence_database(settings: Settings, url: str, term: Term, now: datetime) -> str | None:
    """Keep the fence in the database; the LSN behind which nothing is changed, None when something still may be."""
    try:
        with psycopg.connect(url, options=f"-c search_path={SCHEMA}", connect_timeout=5) as connection:
            known = cluster.ensure_cluster(connection)
            if known.term.cluster != term.cluster or not term.is_proven(known.secret):
                raise InvalidInputError("fence: TERM is not of this cluster, or not proven: nothing was done")
            if known.term.order >= term.order:
                raise InvalidInputError(
                    f"fence: this pair has epoch {known.term.epoch}, TERM has {term.epoch}: nothing was done"
                )
            cluster.record_fence(connection, term, now)
            connection.commit()
            connection.autocommit = True
            give_up = time.monotonic() + SETTLE_S
            if not _comes(lambda: _mediation_knows(settings), give_up) or not _comes(
                lambda: not _writers(connection), give_up
            ):
                return None
            row = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
            return str(row[0]) if row else None
    except psycopg.Error as error:
        raise UnavailableError(f"database: {str(error).strip().splitlines()[0]}") from None


def _mediation_knows(settings: Settings) -> bool:
    """Whether the mediation of this node, if one runs, takes no work any more."""
    try:
        place = json.loads(mediation_file(settings.data).read_text(encoding="utf-8"))
        os.kill(int(place["pid"]), 0)
        with open_api(str(place["url"]), SETTLE_S, trust=place_trust(place)) as client:
            return not client.get("/healthz").is_success
    except (OSError, ValueError, KeyError, TypeError, httpx.HTTPError):
        return True


def _writers(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        """
        SELECT count(*) FROM pg_stat_activity
        WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() AND datname = current_database()
        """
    ).fetchone()
    return int(row[0]) if row else 0


def _comes(condition: Callable[[], bool], give_up: float) -> bool:
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(_POLL_S)
    return True


def _give_to_owner(settings: Settings) -> None:
    """Called as root, what was written is its folder's owner's, whose mediation reads it."""
    if os.geteuid() == 0:
        with suppress(OSError):
            owner, file = settings.data.stat(), settings.data / "told-term.json"
            os.chown(file, owner.st_uid, owner.st_gid)
