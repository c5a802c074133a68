"""From the operator's policy to the document that edges compile: canonical bytes and their SHA-256.

The document is self-contained: the site's dial plan, the numbers that are always reachable, the answers, the rules
with their lasting ids (docs/contracts.md 4). The Rust compiler that runs on the wire has the last word on it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ringfence._native import Policy as CompiledPolicy
from ringfence._native import PolicyError
from ringfence.errors import InvalidInputError
from ringfence.numbering.dial_plan import Site, dial_plan_of
from ringfence.policy.profiles import BUILT_IN, DEFAULT
from ringfence.policy.rules import Answers, NumberList, Policy, Rule

FORMAT = 1


def build_document(
    policy: Policy, site: Site, version: int, rule_ids: Mapping[str, int], device: str = ""
) -> dict[str, Any]:
    """The document of a version for a site, or for one device of it. `rule_ids` holds every rule's id by name.

    Rules that are for other sites and devices are left out: an edge never learns of them.
    """
    plan = dial_plan_of(site.country)
    return {
        "format": FORMAT,
        "version": version,
        "site": site.as_document(),
        "protected": sorted({*plan.emergency, *policy.protected}),
        "answers": _profile(policy.answers),
        "profiles": _profiles(policy),
        "clients": [{"network": sbc.network, "profile": sbc.profile, "name": sbc.name} for sbc in policy.sbcs],
        "lists": {name: _list(numbers) for name, numbers in policy.lists.items()},
        "schedules": {name: schedule.model_dump(by_alias=True) for name, schedule in policy.schedules.items()},
        "rules": [_rule(rule, rule_ids[rule.name]) for rule in policy.rules if rule.acts_at(site.name, device)],
    }


def canonical_bytes(document: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON, keys sorted, no spaces: equal documents are equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def document_hash(document: bytes) -> str:
    """SHA-256 in hexadecimal: what edges compare."""
    return hashlib.sha256(document).hexdigest()


def compile_document(
    document: bytes, rule_names: Sequence[str] = (), contents: Mapping[str, bytes] | None = None
) -> CompiledPolicy:
    """Compile as an edge would, with the contents of lists that the document names.

    InvalidInputError names the rule and field that the compiler refused.
    """
    try:
        return CompiledPolicy(document, contents)
    except PolicyError as error:
        message = _with_rule_name(str(error), rule_names)
        raise InvalidInputError(message, code="invalid.policy", detail={"faults": [message]}) from None


def _profiles(policy: Policy) -> dict[str, Any]:
    """The policy's own profiles, and the built-in ones that its SBCs use; its own go before built-in ones."""
    used = {sbc.profile for sbc in policy.sbcs} - policy.profiles.keys()
    return {name: BUILT_IN[name].profile.as_document() for name in used} | {
        name: _profile(answers) for name, answers in policy.profiles.items()
    }


def _profile(answers: Answers) -> dict[str, Any]:
    return DEFAULT.as_document() | answers.model_dump(exclude_none=True)


def _list(numbers: NumberList) -> dict[str, Any]:
    entries: dict[str, Any] = {"entries": list(numbers.entries)} if numbers.content is None else {}
    if numbers.content is not None:
        entries["content"] = numbers.content
    return entries | {"dynamic": True} if numbers.dynamic else entries


def _rule(rule: Rule, rule_id: int) -> dict[str, Any]:
    return {
        "id": rule_id,
        "name": rule.name,
        "mode": rule.mode,
        "direction": rule.direction,
        "sources": list(rule.sources),
        "destinations": list(rule.destinations),
        "action": rule.action,
        "target": rule.target,
        "schedule": rule.schedule,
        "rate": rule.rate.model_dump() if rule.rate else None,
    }


def _with_rule_name(message: str, rule_names: Sequence[str]) -> str:
    """`rules[3].sources[0]: …` → `rule 'premium': sources[0]: …`."""
    message = re.sub(r" at line \d+ column \d+$", "", message)  # of the canonical document, which nobody wrote
    match = re.match(r"rules\[(\d+)\](?:\.|: )", message)
    if match and int(match[1]) < len(rule_names):
        return f"rule {rule_names[int(match[1])]!r}: {message[match.end() :]}"
    return message
