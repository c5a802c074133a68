"""Why a call would be decided as it would: asked of the very engine that decides on the wire.

One answer for console, API and CLI. The engine says what decides and why each rule does not; here is added what it does
not hold: where the call comes in, as which SBC, under which zone, and which entries of which lists matched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any

from psycopg import Connection

from ringfence._native import DynamicEntries
from ringfence.errors import InvalidInputError, NotFoundError
from ringfence.mediation.places import Places, apex_of, read_places
from ringfence.mediation.sites import all_sites
from ringfence.numbering.dial_plan import Site
from ringfence.policy import drafts, dynamic, engines
from ringfence.policy.documents import Place
from ringfence.policy.engines import At, Candidate
from ringfence.policy.lists.contents import of_version
from ringfence.policy.lists.entries import EntryFilter, find_entries
from ringfence.policy.patterns import covers
from ringfence.policy.rules import Policy

MAX_NUMBER_LENGTH = 256
MAX_ENTRIES_SHOWN = 20  # of one list that matched
_MATCHED = ("decides", "would_decide", "depends_on_rate")
_entries: tuple[int, DynamicEntries] | None = None  # number of the last change, and what acts after it


@dataclass(frozen=True)
class Question:
    """A call, and whose answer is asked for. Without `version` and `draft`: of what is installed there."""

    source: str | None
    destination: str
    time: datetime
    site: str | None = None
    device: str | None = None
    client: str | None = None  # address of the SBC
    version: int | None = None
    draft: bool = False


def explain(connection: Connection, question: Question, now: datetime) -> dict[str, Any]:
    """The answer (docs/contracts.md 4). NotFoundError: site, device or version; InvalidInputError names the field."""
    _check(question)
    places = read_places(connection)
    places.check(question.site, question.device)
    sites = {site.name: site for site in all_sites(connection)}
    name = _site_name(question, places, next(iter(sites)))
    return _explain_at(connection, question, Place(sites[name], question.device or ""), now)


def explain_call(
    connection: Connection, site: Site, source: str | None, destination: str, now: datetime, version: int | None = None
) -> dict[str, Any]:
    """As `explain`, for a site at hand; `version` 0: with no policy."""
    question = Question(source, destination, now, version=version)
    _check(question)
    return _explain_at(connection, question, Place(site), now)


def _explain_at(connection: Connection, question: Question, place: Place, now: datetime) -> dict[str, Any]:
    candidate = _candidate(connection, question, place)
    at = candidate.places[place.site.name, place.device]
    apex = apex_of(connection, place.site.name, question.device)
    entries = _acting_entries(connection, now) if candidate.has_dynamic_lists else None
    time_us = int(question.time.timestamp() * 1_000_000)
    answer: dict[str, Any] = json.loads(
        at.engine.explain(question.source, question.destination, time_us, entries, question.client, apex)
    )
    if not at.version:
        answer["policy_version"] = 0
    if candidate.kind in ("installed", "version") and not at.version:
        answer["reason"] = "no_policy"
    return answer | {
        "time": question.time.isoformat(),
        "place": {
            "site": place.site.name,
            "device": question.device,
            "client": question.client,
            "sbc": _sbc_of(at.policy, question.client),
            "apex": apex,
        },
        "policy": {"kind": candidate.kind, "version": at.version or None, "title": candidate.title},
        "record": _record(answer),
        "entries": _matched_entries(connection, at, answer, now),
        "cautions": _cautions(at, answer, question.time, now),
    }


def _candidate(connection: Connection, question: Question, place: Place) -> Candidate:
    if question.draft:
        return engines.policy_candidate(connection, drafts.read_draft(connection).policy, [place], "draft")
    if question.version:
        return engines.version_candidate(connection, question.version, [place])
    if question.version == 0:
        return engines.no_policy(place)
    return engines.installed_candidate(connection, [place])


def _site_name(question: Question, places: Places, first: str) -> str:
    if question.device is None:
        return question.site or first
    of_device = places.devices[question.device]
    if question.site not in (None, of_device):
        raise InvalidInputError(f"site: device {question.device!r} stands at {of_device!r}, not at {question.site!r}")
    return of_device


def _acting_entries(connection: Connection, now: datetime) -> DynamicEntries:
    """The dynamic entries as edges have them; compiled once for each change."""
    global _entries
    change = dynamic.last_change(connection)
    if _entries is None or _entries[0] != change:
        _entries = (change, dynamic.compile_entries(connection, now))
    return _entries[1]


def _matched_entries(connection: Connection, at: At, answer: dict[str, Any], now: datetime) -> list[dict[str, Any]]:
    """Entries that put a number on a list of a rule that matched: which, since when and by whom, until when."""
    rules = {rule.name: rule for rule in at.policy.rules}
    wanted: dict[tuple[str, str], list[str]] = {}
    for verdict in answer["rules"]:
        if verdict["verdict"] in _MATCHED and (rule := rules.get(verdict["name"])) is not None:
            for side, matchers in (("source", rule.sources), ("destination", rule.destinations)):
                for matcher in matchers:
                    if matcher.startswith("list:"):
                        wanted.setdefault((side, matcher.removeprefix("list:")), []).append(rule.name)
    found = []
    for (side, name), of_rules in wanted.items():
        number = str(answer[side] or "")
        if number.startswith("+"):
            common = {"side": side, "list": name, "rules": of_rules}
            found += [common | entry for entry in _entries_on(connection, at, name, number, now)]
    return found


def _entries_on(connection: Connection, at: At, name: str, number: str, now: datetime) -> list[dict[str, Any]]:
    numbers = at.policy.lists[name]
    nothing = {"note": "", "origin": None, "added_at": None, "expires_at": None}
    found: list[dict[str, Any]] = [
        {"pattern": pattern, "kind": "policy", **nothing} for pattern in numbers.entries if covers(pattern, number)
    ]
    if numbers.stored:
        found += _stored_entries(connection, at, name, number)
    if numbers.dynamic:
        found += [
            {**nothing, **entry.as_json(), "kind": "dynamic"}
            for entry in dynamic.acting_entries(connection, name, now)
            if covers(entry.pattern, number)
        ]
    return found[:MAX_ENTRIES_SHOWN]


def _stored_entries(connection: Connection, at: At, name: str, number: str) -> list[dict[str, Any]]:
    """Of a stored list at the revision that the version has; for a draft as it is now."""
    pinned = of_version(connection, at.version).get(name) if at.version else None
    try:
        page = find_entries(connection, name, EntryFilter(number=number, revision=pinned.revision if pinned else None))
    except NotFoundError:  # the list was deleted since
        return []
    keys = ("pattern", "note", "origin", "added_at", "expires_at")
    return [{key: entry.as_json()[key] for key in keys} | {"kind": "stored"} for entry in page.entries]


def _sbc_of(policy: Policy, client: str | None) -> dict[str, str] | None:
    """The SBC of the policy that has this address: the narrowest network decides."""
    if client is None:
        return None
    address = ip_address(client)
    of_client = [sbc for sbc in policy.sbcs if address in ip_network(sbc.network)]
    if not of_client:
        return None
    sbc = max(of_client, key=lambda sbc: ip_network(sbc.network).prefixlen)
    return {"name": sbc.name, "profile": sbc.profile}


def _record(answer: dict[str, Any]) -> str | None:
    """The NAPTR record's data as `dig` prints it (RFC 3403, 4.1); None where nothing is answered."""
    if answer["answer"] is None:
        return None
    regexp = str(answer["answer"]).replace("\\", "\\\\")
    return f'100 10 "u" "{answer["service"]}" "{regexp}" .'


def _cautions(at: At, answer: dict[str, Any], time: datetime, now: datetime) -> list[str]:
    found = []
    by_rate = [rule["name"] for rule in answer["rules"] if rule["verdict"] == "depends_on_rate"]
    if by_rate:
        names = ", ".join(repr(name) for name in by_rate)
        found.append(f"{names}: only the devices know whether the rate is exceeded; told is what happens below it")
    has_dynamic = any(numbers.dynamic for numbers in at.policy.lists.values())
    if has_dynamic and abs((now - time).total_seconds()) > 1:
        found.append("dynamic lists are taken as they are now, not as they were then or will be")
    return found


def _check(question: Question) -> None:
    for field, number in (("source", question.source), ("destination", question.destination)):
        if number is not None and not 0 < len(number) <= MAX_NUMBER_LENGTH:
            raise InvalidInputError(f"{field}: has {len(number)} characters; expected 1 to {MAX_NUMBER_LENGTH}")
        if number is not None and not _is_unicode(number):
            raise InvalidInputError(f"{field}: is not UTF-8 text")
    if question.time.tzinfo is None:
        raise InvalidInputError(f"time: {question.time.isoformat()} has no time zone, must have one")
    if question.draft and question.version is not None:
        raise InvalidInputError("version, draft: only one of them may be given")
    if question.client is not None:
        try:
            ip_address(question.client)
        except ValueError:
            raise InvalidInputError(f"client: {question.client!r} is not an IP address of an SBC") from None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
