"""What is wrong or strange in a policy, before it is committed: as one types, and of the whole. Pure.

    check_object(kind, name, body, surroundings)    one object, while it is written
    check_whole(policy, surroundings)               everything, in drafts and at commit

Errors refuse a commit; warnings are shown and need no more: a rule that blocks a country may be just what is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Literal

from ringfence._native import canonical_pattern
from ringfence.errors import InvalidInputError
from ringfence.numbering.dial_plan import Site, dial_plan_of
from ringfence.numbering.ranges import countries_under, toll_free_patterns
from ringfence.policy.compile import build_document, canonical_bytes, compile_document
from ringfence.policy.coverage import shadowed_by
from ringfence.policy.diff import put_object
from ringfence.policy.patterns import covers, meets
from ringfence.policy.rules import Policy, Rule, policy_from

Severity = Literal["error", "warning"]
MOST = 200  # findings of one policy; more are of no use to a reader
_COUNTRIES_SHOWN = 4
_OF_A_KIND = 5  # findings of one kind on one rule


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (error) or strange (warning), where, and in words."""

    severity: Severity
    # syntax, unknown, template, shadowed, duplicate, never_matches, empty_list, unused, broad, own_numbers, toll_free,
    # loop, overlap
    code: str
    kind: str
    name: str
    field: str
    words: str

    def as_json(self) -> dict[str, str]:
        """Every field."""
        return asdict(self)


@dataclass(frozen=True)
class Surroundings:
    """What a policy stands in: sites, device → site, and how many entries each stored list has (None: not known)."""

    sites: tuple[Site, ...] = ()
    devices: Mapping[str, str] = field(default_factory=dict)
    list_sizes: Mapping[str, int] = field(default_factory=dict)


def check_object(policy: Policy, kind: str, name: str, body: Mapping[str, Any], around: Surroundings) -> list[Finding]:
    """Findings on one object as it is written, put into `policy` for what it refers to."""
    source = policy.as_source()
    put_object(source, kind, name, dict(body))
    try:
        checked = policy_from(source)
    except InvalidInputError as error:
        faults = error.detail.get("faults") or [error.message]
        return [Finding("error", "syntax", kind, name, _field_of(fault), fault) for fault in faults]
    if kind == "rule":
        rule = next(rule for rule in checked.rules if rule.name == str(dict(body).get("name", name)))
        of_rule = _RuleCheck(rule, checked, around).findings()
        shadow = shadowed_by(checked.rules).get(rule.name)
        return of_rule + ([_shadowed(rule, shadow)] if shadow is not None else [])
    return [found for found in _parts(checked, around) if (found.kind, found.name) == (kind, name)]


def check_whole(policy: Policy, around: Surroundings) -> list[Finding]:
    """Findings on everything, errors first, at most MOST."""
    found = list(_parts(policy, around))
    for rule in policy.rules:
        found += _RuleCheck(rule, policy, around).findings()
        if len(found) > 10 * MOST:
            break
    names = {rule.name: rule for rule in policy.rules}
    found += [_shadowed(names[name], earlier) for name, earlier in shadowed_by(policy.rules).items()]
    return sorted(found, key=lambda one: one.severity)[:MOST]


def refuse_errors(findings: list[Finding]) -> None:
    """InvalidInputError when there are errors among the findings; its detail has all of them."""
    errors = [one for one in findings if one.severity == "error"]
    if not errors:
        return
    more = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
    raise InvalidInputError(
        "; ".join(one.words for one in errors[:3]) + more,
        code="invalid.policy",
        detail={"faults": [one.words for one in errors], "findings": [one.as_json() for one in findings]},
    )


def _parts(policy: Policy, around: Surroundings) -> Iterator[Finding]:
    """Of everything but the rules."""
    used_lists = {
        matcher.removeprefix("list:")
        for rule in policy.rules
        for matcher in (*rule.sources, *rule.destinations)
        if matcher.startswith("list:")
    }
    used_schedules = {rule.schedule for rule in policy.rules}
    for name, numbers in policy.lists.items():
        yield from _wrong_patterns("list", name, "entries", numbers.entries)
        if name not in used_lists:
            yield Finding("warning", "unused", "list", name, "", f"list {name!r}: no rule names it")
        elif not numbers.dynamic and not (around.list_sizes.get(name) or len(numbers.entries)):
            yield Finding("warning", "empty_list", "list", name, "entries", f"list {name!r}: is empty")
    for name in policy.schedules:
        if name not in used_schedules:
            yield Finding("warning", "unused", "schedule", name, "", f"schedule {name!r}: no rule names it")
    for name in policy.profiles:
        yield from _template(policy, "profile", name)
    yield from _template(policy, "answers", "default")


def _template(policy: Policy, kind: str, name: str) -> Iterator[Finding]:
    """A template that would break the SBC, as the compiler of the data plane says."""
    answers = policy.profiles[name] if kind == "profile" else policy.answers
    alone = Policy(answers=answers)
    try:
        compile_document(canonical_bytes(build_document(alone, Site("check", "US"), 1, {})))
    except InvalidInputError as error:
        words = error.message.removeprefix("answers.")
        said = f"profile {name!r}: {words}" if kind == "profile" else f"answers: {words}"
        yield Finding("error", "template", kind, name, words.split(":")[0], said)


def _wrong_patterns(kind: str, name: str, part: str, patterns: tuple[str, ...]) -> Iterator[Finding]:
    for index, pattern in enumerate(patterns):
        if pattern.startswith(("list:", "class:")) and kind == "rule":
            continue
        try:
            canonical_pattern(pattern)
        except ValueError as error:
            at = f"{part}[{index}]"
            yield Finding("error", "syntax", kind, name, at, f"{kind} {name!r}: {at}: {pattern!r}: {error}")


def _shadowed(rule: Rule, earlier: Rule) -> Finding:
    same = (rule.sources, rule.destinations, rule.action) == (earlier.sources, earlier.destinations, earlier.action)
    why = "says the same and comes first" if same else f"decides every call that it matches ({earlier.action})"
    words = f"rule {rule.name!r}: never decides: rule {earlier.name!r} {why}"
    return Finding("warning", "duplicate" if same else "shadowed", "rule", rule.name, "", words)


class _RuleCheck:
    """What is to be said of one rule."""

    def __init__(self, rule: Rule, policy: Policy, around: Surroundings) -> None:
        self.rule = rule
        self.policy = policy
        self.around = around

    def findings(self) -> list[Finding]:
        """Errors first, then why it never matches, then what it blocks."""
        found = [*self._syntax(), *self._places()]
        if any(one.severity == "error" for one in found):
            return found
        found += self._never_matches()
        if self.rule.mode != "off" and self.rule.action != "allow":
            for kind in (self._broad, self._own_numbers, self._toll_free, self._loop):
                found += islice(kind(), _OF_A_KIND)
        return found

    def _say(self, severity: Severity, code: str, part: str, words: str) -> Finding:
        field_words = f"{part}: " if part else ""
        return Finding(severity, code, "rule", self.rule.name, part, f"rule {self.rule.name!r}: {field_words}{words}")

    def _sides(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        yield "sources", self.rule.sources
        yield "destinations", self.rule.destinations

    def _syntax(self) -> Iterator[Finding]:
        for part, matchers in self._sides():
            yield from islice(_wrong_patterns("rule", self.rule.name, part, matchers), _OF_A_KIND)
        classes = Policy(rules=(self.rule.model_copy(update={
            "schedule": None,
            "sources": tuple(m for m in self.rule.sources if m.startswith("class:")),
            "destinations": tuple(m for m in self.rule.destinations if m.startswith("class:")),
            "sites": (), "devices": (),
        }),))  # fmt: skip
        try:
            compile_document(canonical_bytes(build_document(classes, Site("check", "US"), 1, {self.rule.name: 1})))
        except InvalidInputError as error:
            yield self._say("error", "syntax", "", error.message.removeprefix("rules[0]."))

    def _places(self) -> Iterator[Finding]:
        known = {site.name for site in self.around.sites}
        for name in self.rule.sites:
            if name not in known:
                yield self._say("error", "unknown", "sites", f"site {name!r} does not exist")
        for name in self.rule.devices:
            if name not in self.around.devices:
                yield self._say("error", "unknown", "devices", f"device {name!r} is not registered")

    def _never_matches(self) -> Iterator[Finding]:
        rule = self.rule
        if rule.sites and rule.devices and not any(self.around.devices.get(d) in rule.sites for d in rule.devices):
            yield self._say("warning", "never_matches", "devices", "none of them stands at one of its sites")
        if rule.direction in ("inbound", "outbound", "internal") and self._sites() and not any(
            site.own_ranges for site in self._sites()
        ):  # fmt: skip
            words = f"is for {rule.direction} calls, but its sites have no own ranges, so no call has a direction"
            yield self._say("warning", "never_matches", "direction", words)
        for part, matchers in self._sides():
            if matchers and all(self._is_empty_list(matcher) for matcher in matchers):
                yield self._say("warning", "never_matches", part, "only lists that are empty: it matches no call")
        protected = self._protected()
        if (
            rule.destinations
            and rule.action != "allow"
            and all(d.removeprefix("+") in protected for d in rule.destinations)
        ):
            words = "only protected numbers, which are allowed before any rule"
            yield self._say("warning", "never_matches", "destinations", words)

    def _broad(self) -> Iterator[Finding]:
        rule = self.rule
        does = "refuses" if rule.action == "terminate" else "redirects"
        if not any((rule.sources, rule.destinations, rule.rate, rule.schedule)):
            which = "every call" if rule.direction == "any" else f"every {rule.direction} call"
            yield self._say("warning", "broad", "", f"{does} {which} that no earlier rule allows")
            return
        for part, matchers in self._sides():
            for matcher in matchers:
                countries = countries_under(matcher)
                if matcher == "*":
                    yield self._say("warning", "broad", part, f"* is every number: {does} all calls with one")
                elif countries:
                    said = ", ".join(countries[:_COUNTRIES_SHOWN]) + ("…" if len(countries) > _COUNTRIES_SHOWN else "")
                    yield self._say("warning", "broad", part, f"{matcher} is the whole of {said}")

    def _own_numbers(self) -> Iterator[Finding]:
        for part, matchers in self._sides():
            for matcher in matchers:
                for site in self._sites():
                    own = next((own for own in site.own_ranges if matcher != "*" and meets(matcher, own)), None)
                    if own is not None:
                        words = f"{matcher} meets own numbers of site {site.name} ({own})"
                        yield self._say("warning", "own_numbers", part, words)

    def _toll_free(self) -> Iterator[Finding]:
        countries = {site.country for site in self._sites()}
        for matcher in self.rule.destinations:
            for country in sorted(countries):
                if matcher == "*" or countries_under(matcher):
                    continue  # said already
                met = next((free for free in toll_free_patterns(country) if meets(matcher, free)), None)
                if met is not None:
                    words = f"{matcher} meets toll-free numbers of {country} ({met})"
                    yield self._say("warning", "toll_free", "destinations", words)

    def _loop(self) -> Iterator[Finding]:
        target = self.rule.target
        if target is not None and any(covers(matcher, target) for matcher in self.rule.destinations):
            words = f"{target} is itself a destination of this rule: a redirected call may be redirected for ever"
            yield self._say("warning", "loop", "target", words)

    def _sites(self) -> list[Site]:
        return [site for site in self.around.sites if not self.rule.sites or site.name in self.rule.sites]

    def _protected(self) -> set[str]:
        numbers = {number.removeprefix("+") for number in self.policy.protected}
        return numbers.union(*(dial_plan_of(site.country).emergency for site in self.around.sites))

    def _is_empty_list(self, matcher: str) -> bool:
        name = matcher.removeprefix("list:")
        numbers = self.policy.lists.get(name) if matcher.startswith("list:") else None
        return numbers is not None and not numbers.dynamic and not (
            numbers.entries or self.around.list_sizes.get(name)
        )  # fmt: skip


def _field_of(fault: str) -> str:
    parts = fault.split(": ")
    return parts[1] if len(parts) > 2 and parts[0].startswith("rule ") else ""
