"""What the pages of the policy show, read in one transaction from the domain packages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from psycopg import Connection

from ringfence.analytics.hits import RuleHits, rule_hits
from ringfence.mediation.places import Places, read_places
from ringfence.policy import drafts
from ringfence.policy.diff import Change
from ringfence.policy.drafts import By, Draft
from ringfence.policy.findings import Finding
from ringfence.policy.installation import State, read_state
from ringfence.policy.targets import ALL
from ringfence.policy.versions import newest_version

HITS_OVER = timedelta(days=7)


@dataclass(frozen=True)
class Board:
    """The draft, how it differs from the newest version, what is to be said of it, and what acts where."""

    draft: Draft
    newest: int
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    state: State
    places: Places

    @cached_property
    def rules(self) -> list[dict[str, Any]]:
        """The rules as their authors wrote them."""
        return list(self.draft.policy.as_source().get("rules", []))

    def rule(self, name: str) -> dict[str, Any] | None:
        """One rule."""
        return next((rule for rule in self.rules if rule["name"] == name), None)

    @property
    def installed(self) -> int:
        """The version that acts on all devices; 0 for none."""
        target = self.state.targets.get(ALL)
        return target.version if target else 0

    @property
    def errors(self) -> list[Finding]:
        """What refuses a commit."""
        return [one for one in self.findings if one.severity == "error"]

    def shows_as(self, other: Board | None) -> bool:
        """Whether a page that shows `other` is up to date."""
        return other is not None and _shown(self) == _shown(other)

    def by(self, actor: str, now: datetime) -> By:
        """An edit by someone who looks at this."""
        return By(actor, now, self.draft.revision)


def read_board(connection: Connection, known: Board | None = None) -> Board:
    """As it is now. What was found of an unchanged draft is taken from `known`."""
    draft = drafts.read_draft(connection)
    newest, places = newest_version(connection), read_places(connection)
    if known is not None and _content(known.draft, known.newest, known.places) == _content(draft, newest, places):
        changes, findings = known.changes, known.findings
    else:
        changes = drafts.pending_changes(connection, draft)
        findings = tuple(drafts.check_draft(connection, draft))
    return Board(draft, newest, changes, findings, read_state(connection), places)


def read_hits(connection: Connection, now: datetime) -> dict[str, RuleHits]:
    """Rule → what it did lately, over all devices."""
    return {rule.name: rule for rule in rule_hits(connection, now - HITS_OVER, now, now=now).rules}


def _content(draft: Draft, newest: int, places: Places) -> tuple[Any, ...]:
    return draft.revision, draft.base_version, newest, places.sites, places.devices


def _shown(board: Board) -> tuple[Any, ...]:
    return *_content(board.draft, board.newest, board.places), board.state
