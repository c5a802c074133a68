"""Which steps a failover has, and with what an interrupted one goes on. Pure.

    streaming   check → fence → catch_up → stop_old → stop_here ─┐
    backup      check → stop_here → fence → catch_up → stop_old ─┴► take_over → term → start → announce → verify
                                                                    → enable → devices → report
A standby in backup mode stops following first: the secret that makes a term is in its own database, which does not run
while it follows. What cannot be undone begins with `take_over`; until then giving up leaves a standby and, at most, a
fenced active pair.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ringfence.availability.cluster import Cluster
from ringfence.availability.failover.record import Record, Step
from ringfence.availability.standby import Standby
from ringfence.availability.term import Term
from ringfence.errors import ConflictError

TITLES = {
    "check": "Check that this standby can take over",
    "stop_here": "Stop following",
    "fence": "Fence the old pair",
    "catch_up": "Take what the old pair has still to give",
    "stop_old": "Stop the old pair, and keep it from starting at boot",
    "take_over": "Take over the database",
    "term": "Take the next term",
    "start": "Start",
    "announce": "Tell the old pair",
    "verify": "Verify that all is green",
    "enable": "Enable at boot",
    "devices": "Wait for the devices",
    "report": "Report what was recovered and what is lost",
}
# What the steps before `take_over` found out; later it is found out anew.
FRESH_FOR = timedelta(hours=1)
_BEFORE = {
    "streaming": ("check", "fence", "catch_up", "stop_old", "stop_here"),
    "backup": ("check", "stop_here", "fence", "catch_up", "stop_old"),
}
_AFTER = ("take_over", "term", "start", "announce", "verify", "enable", "devices", "report")


def begin(kind: str, following: Standby, backup: str | None, now: datetime, before: Record | None = None) -> Record:
    """A new failover from `following`; `backup`: the one that the operator chose. A term that was told already is kept.

    An interrupted one may have told the old pair a term: whatever is taken now must not be below it.
    """
    mode = "backup" if backup is not None else following.mode
    steps = tuple(Step(name, TITLES[name]) for name in (*_BEFORE[following.mode], *_AFTER))
    facts: dict[str, object] = {"following": following.as_tree(), "chosen": backup}
    if before is not None and before.is_under_way and "term" in before.facts:
        facts["term"] = before.facts["term"]
    return Record(kind, mode, following.active, now.isoformat(), steps, facts=facts)


def to_go_on_with(
    before: Record | None, kind: str, backup: str | None, following: Standby | None, now: datetime
) -> Record | None:
    """The interrupted failover that this call continues; None: a new one is to begin. ConflictError: neither may be.

    `following`: whom this node follows now, if anybody.
    """
    if before is None or not is_of(before, following):
        return None
    chosen = before.facts.get("chosen")
    is_the_same = before.kind == kind and backup in (None, chosen)
    if not has_taken_over(before):
        is_begun = any(step.state == "done" for step in before.steps[1:])
        is_fresh = now - datetime.fromisoformat(before.started_at) < FRESH_FOR
        return before if is_the_same and is_begun and is_fresh else None
    if is_the_same:
        return before
    what = f" of backup {chosen}" if chosen else ""
    raise ConflictError(
        f"{kind}: a {before.kind}{what} since {before.started_at[:19]} UTC has taken over the database: "
        f"`ringfence {before.kind}` goes on with it"
    )


def is_of(record: Record, following: Standby | None) -> bool:
    """Whether a record is of a failover under way of what this node is now, not of a standby that it once was."""
    if not record.is_under_way:
        return False
    if following is None:
        return record.step("term").state != "waiting"
    return following_of(record) == following and record.step("term").state != "done"


def has_taken_over(record: Record) -> bool:
    """Whether what cannot be undone has begun."""
    return record.step("take_over").state != "waiting"


def following_of(record: Record) -> Standby:
    """What this node followed, also after it was left on the way."""
    return Standby.from_tree(record.facts["following"])


def term_to_take(found: Cluster, told: str | None, remembered: Term | None) -> Term:
    """The term that this failover has told already, while it is above all that is known; else a fresh one above all.

    `found`: what the database that is to be active says. `remembered`: the highest that the node has met.
    """
    mine = Term.parse(told)
    proven = [term for term in (mine, remembered) if term is not None and _is_of(term, found)]
    known = [found.highest, *(term for term in proven if term is not mine)]
    if mine in proven and all(mine == term or mine.is_above(term) for term in known):
        return mine
    return found.next_term(max(proven, key=lambda term: term.order, default=None))


def ended(record: Record, now: datetime) -> Record:
    """At its end, or given up; without the way into the old pair."""
    following = {**record.facts["following"], "token": None}
    return Record(
        record.kind,
        record.mode,
        record.active,
        record.started_at,
        record.steps,
        now.isoformat(),
        record.facts | {"following": following},
    )


def _is_of(term: Term, found: Cluster) -> bool:
    return term.cluster == found.term.cluster and term.is_proven(found.secret)
