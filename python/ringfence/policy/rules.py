"""The policy as an operator writes it, in YAML or JSON: read, checked, and every fault named.

```yaml
rules:
  - name: premium                      # stays the rule's identity for life
    destinations: ["+1900*", "list:bad"]
    action: terminate
lists:
  bad: ["+12105550100", "+12105550110-+12105550119"]
sbcs:
  - {name: edge-1, network: 192.0.2.1, profile: oracle}
```
What is checked here is what needs no compiler: fields, words, references. Whether a pattern is one, the Rust
compiler says (`compile`), which is the same that runs on the wire. Fields: docs/contracts.md 4.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from ringfence.errors import InvalidInputError
from ringfence.policy.faults import describe_fault
from ringfence.policy.profiles import BUILT_IN, NoOpinion
from ringfence.policy.yaml_reader import read_yaml, write_yaml

MAX_RULES = 10_000
MAX_MATCHERS = 100_000  # of one rule; more belongs into a list
MAX_PLACES = 1_000  # sites or devices of one rule
MAX_LIST_ENTRIES = 5_000_000
MAX_PROFILES = 1_000
MAX_SBCS = 10_000
SHOWN_FAULTS = 3


def _as_text(value: object) -> object:
    # An unquoted 911 is a number to YAML; nothing is lost in reading it as text.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Name = Annotated[str, BeforeValidator(_as_text), StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")]
Note = Annotated[str, StringConstraints(max_length=1000)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]


Matcher = Annotated[str, BeforeValidator(_as_text), StringConstraints(min_length=1, max_length=128)]
ContentHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Number = Annotated[str, BeforeValidator(_as_text), StringConstraints(pattern=r"^\+[1-9][0-9]{1,14}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Rate(_Part):
    """Matches only above `limit` calls in `window_s` seconds of the same key."""

    limit: int = Field(ge=1, le=1_000_000)
    window_s: int = Field(ge=1, le=86_400)
    key: Literal["source", "destination", "pair"]


class Schedule(_Part):
    """When a rule is in force: days and times of day in a zone; `to` before `from` runs past midnight."""

    zone: str
    days: tuple[Day, ...] = Field(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), min_length=1)
    start: TimeOfDay = Field("00:00", alias="from")
    end: TimeOfDay = Field("24:00", alias="to")

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone; expected a name such as 'America/Chicago'") from None
        return value


class NumberList(_Part):
    """A named list of patterns. A bare YAML sequence is its entries; a dynamic one gets more without a version.

    A stored one is kept by `ringfence list` and enters a version as it is when that is committed; with `content` it is
    exactly what has this hash.
    """

    entries: tuple[Matcher, ...] = Field((), max_length=MAX_LIST_ENTRIES)
    dynamic: bool = False
    stored: bool = False
    content: ContentHash | None = None
    note: Note = ""

    @model_validator(mode="before")
    @classmethod
    def _bare_sequence(cls, value: Any) -> Any:
        return {"entries": value} if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _one_source(self) -> NumberList:
        if self.entries and (self.stored or self.content is not None):
            raise ValueError("entries: a stored list has its entries elsewhere; remove them, or `stored` and `content`")
        return self


class Answers(_Part):
    """How each action is written to the SBC; unset ones take the safe common form. Also one of `profiles`."""

    allow: str | None = Field(None, max_length=255)
    terminate: str | None = Field(None, max_length=255)
    redirect: str | None = Field(None, max_length=255)
    service: str | None = Field(None, max_length=64)
    host: str | None = Field(None, max_length=253)
    no_opinion: NoOpinion | None = None


class Sbc(_Part):
    """An SBC that asks from `network`, and the profile that it is answered by: one of `profiles` or a built-in one."""

    name: Name
    network: str
    profile: Name

    @field_validator("network")
    @classmethod
    def _is_network(cls, value: str) -> str:
        try:
            return str(ip_network(value))
        except ValueError as error:
            raise ValueError(f"{error}; expected such as 192.0.2.1 or 192.0.2.0/24") from None


class Rule(_Part):
    """One rule. Empty sources or destinations match any; empty sites and devices: it acts everywhere."""

    name: Name
    mode: Literal["enforce", "monitor", "off"] = "enforce"
    direction: Literal["any", "inbound", "outbound", "internal"] = "any"
    sources: tuple[Matcher, ...] = Field((), max_length=MAX_MATCHERS)
    destinations: tuple[Matcher, ...] = Field((), max_length=MAX_MATCHERS)
    action: Literal["allow", "terminate", "redirect"]
    target: Number | None = None
    sites: tuple[Name, ...] = Field((), max_length=MAX_PLACES)
    devices: tuple[Name, ...] = Field((), max_length=MAX_PLACES)
    schedule: str | None = None
    rate: Rate | None = None
    track: Literal["log", "alert"] = "log"
    note: Note = ""

    def acts_at(self, site: str, device: str) -> bool:
        """Whether it is for this device of this site; device '' is one that no rule names."""
        return (not self.sites or site in self.sites) and (not self.devices or device in self.devices)

    @model_validator(mode="after")
    def _target_of_redirect(self) -> Rule:
        if self.action == "redirect" and self.target is None:
            raise ValueError('target: is missing; a redirect needs one, such as "+12105550199"')
        if self.action != "redirect" and self.target is not None:
            raise ValueError(f"target: is for redirect only, the action is {self.action}; remove it")
        return self


class Policy(_Part):
    """The whole of it. `protected` adds to the emergency numbers of the site's country."""

    rules: tuple[Rule, ...] = Field((), max_length=MAX_RULES)
    lists: dict[Name, NumberList] = Field(default_factory=dict)
    schedules: dict[Name, Schedule] = Field(default_factory=dict)
    protected: tuple[
        Annotated[str, BeforeValidator(_as_text), StringConstraints(pattern=r"^\+?[0-9]{2,15}$")], ...
    ] = ()
    answers: Answers = Answers()
    profiles: dict[Name, Answers] = Field(default_factory=dict, max_length=MAX_PROFILES)
    sbcs: tuple[Sbc, ...] = Field((), max_length=MAX_SBCS)

    @model_validator(mode="after")
    def _sbcs(self) -> Policy:
        names: set[str] = set()
        networks: set[str] = set()
        for sbc in self.sbcs:
            if sbc.name in names:
                raise ValueError(f"SBC {sbc.name!r}: name: is taken by an earlier SBC; names are unique")
            if sbc.network in networks:
                raise ValueError(f"SBC {sbc.name!r}: network: {sbc.network} is taken by an earlier SBC")
            if sbc.profile not in self.profiles and sbc.profile not in BUILT_IN:
                known = ", ".join(sorted({*BUILT_IN, *self.profiles}))
                raise ValueError(f"SBC {sbc.name!r}: profile: {sbc.profile!r} is none of {known}")
            names.add(sbc.name)
            networks.add(sbc.network)
        return self

    @model_validator(mode="after")
    def _references(self) -> Policy:
        seen: set[str] = set()
        for rule in self.rules:
            if rule.name in seen:
                raise ValueError(f"rule {rule.name!r}: name: is taken by an earlier rule; names are unique")
            seen.add(rule.name)
            if rule.schedule is not None and rule.schedule not in self.schedules:
                raise ValueError(f"rule {rule.name!r}: schedule: {rule.schedule!r} is not defined under schedules")
            for field in ("sources", "destinations"):
                self._check_lists(rule, field, getattr(rule, field))
        return self

    def _check_lists(self, rule: Rule, field: str, matchers: tuple[str, ...]) -> None:
        for index, matcher in enumerate(matchers):
            if matcher.startswith("list:") and matcher.removeprefix("list:") not in self.lists:
                raise ValueError(f"rule {rule.name!r}: {field}[{index}]: {matcher!r} is not defined under lists")

    def as_source(self) -> dict[str, Any]:
        """The policy as it is stored and shown: what the author wrote, without defaults."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def parse_policy(text: bytes) -> Policy:
    """Read YAML (or JSON, which is YAML) as an operator writes it. InvalidInputError names rule and field."""
    return policy_from(read_yaml(text))


def policy_from(tree: object) -> Policy:
    """Check a tree of plain values. InvalidInputError names rule and field."""
    if not isinstance(tree, dict):
        raise _invalid("expected a mapping with rules, lists, schedules; an empty policy is `rules: []`")
    try:
        return Policy.model_validate(tree)
    except ValidationError as error:
        faults = [describe_fault(details, tree) for details in error.errors(include_url=False)]
        more = f" (and {len(faults) - SHOWN_FAULTS} more)" if len(faults) > SHOWN_FAULTS else ""
        raise _invalid("; ".join(faults[:SHOWN_FAULTS]) + more, faults) from None


def render_policy(source: dict[str, Any]) -> str:
    """A stored policy as YAML that `parse_policy` reads to the same policy."""
    return write_yaml(source)


def _invalid(message: str, faults: list[str] | None = None) -> InvalidInputError:
    return InvalidInputError(message, code="invalid.policy", detail={"faults": faults or [message]})
