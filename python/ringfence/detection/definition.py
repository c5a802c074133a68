"""A detection as an operator writes it, in YAML or JSON: read, checked, and every fault named.

```yaml
name: flood-one-number
title: Telephony denial of service against one number
dataset: enum
condition: {direction: [inbound]}
key: destination                     # what calls are counted for
measure: count                       # what is measured of them, in each window
window_s: 10
threshold: {value: 100, baseline: {factor: 5, weeks: 4}}
cool_down_s: 300
severity: critical
contain: {destinations: under-attack, lasts_s: 600}
```
Whether what it names exists (sites, lists, schedules) is checked where it is deployed. JSON schema:
docs/detection.schema.json.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

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

from ringfence._native import canonical_pattern
from ringfence.detection.firing import Dataset, Mode, Severity
from ringfence.errors import InvalidInputError
from ringfence.policy.faults import describe_fault
from ringfence.policy.rules import Matcher, Name, Note, Schedule
from ringfence.policy.yaml_reader import read_yaml, write_yaml

MAX_WINDOW_S = 86_400
MAX_PATTERNS = 10_000  # of one condition; more belongs into a list of a policy
SHOWN_FAULTS = 3

DetectionName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Key = Literal[
    "source", "destination", "pair", "source_prefix", "destination_prefix", "country", "site", "device", "all"
]
MeasureKind = Literal[
    "count", "rate", "distinct", "duration_total", "duration_mean", "concurrency", "share", "adjacent", "silence"
]
NUMBER_KEYS = {"source": ("source",), "destination": ("destination",), "pair": ("source", "destination")}
_SHARES_OF = {"answered": "sip", "unanswered": "sip", "short": "sip", "terminated": "enum"}
_SIP_MEASURES = ("duration_total", "duration_mean", "concurrency")
_WITHOUT_OF = ("count", "rate", *_SIP_MEASURES, "silence")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _checked_pattern(value: str) -> str:
    try:
        return canonical_pattern(value)
    except ValueError as error:
        raise ValueError(f"{value!r}: {error}") from None


class Party(_Part):
    """What the number of one side must be; each field given narrows. `except` are patterns that do not count."""

    patterns: tuple[Matcher, ...] = Field((), max_length=MAX_PATTERNS)
    except_: tuple[Matcher, ...] = Field((), alias="except", max_length=MAX_PATTERNS)
    own: bool | None = None
    classes: tuple[
        Literal["absent", "number", "extension", "anonymous", "invalid", "emergency", "short_code"], ...
    ] = ()

    @field_validator("patterns", "except_")
    @classmethod
    def _are_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_checked_pattern(one) for one in value)


class Duration(_Part):
    """Of an answered SIP call, answer to end; each bound belongs to it."""

    min_ms: int | None = Field(None, ge=0, le=86_400_000)
    max_ms: int | None = Field(None, ge=0, le=86_400_000)


class Condition(_Part):
    """Which calls count; an empty condition: all. Every field that is given must hold."""

    direction: tuple[Literal["unknown", "inbound", "outbound", "internal", "transit"], ...] = ()
    call_types: tuple[
        Literal[
            "unknown", "internal", "national", "mobile", "international", "toll_free", "premium", "shared_cost",
            "service", "emergency",
        ],
        ...,
    ] = ()  # fmt: skip
    actions: tuple[Literal["none", "allow", "terminate", "redirect"], ...] = ()
    results: tuple[
        Literal[
            "unfinished", "answered", "busy", "no_answer", "cancelled", "not_found", "rejected", "redirected",
            "unauthorized", "failed",
        ],
        ...,
    ] = ()  # fmt: skip
    trunk_side: tuple[Literal["unknown", "source", "destination", "both"], ...] = ()
    source: Party = Party()
    destination: Party = Party()
    foreign: bool | None = None
    """Whether the far party's number is of another country than the device's site."""
    same_prefix: int | None = Field(None, ge=1, le=14)
    """Both numbers begin with the same so many digits; the two are not equal."""
    duration: Duration = Duration()


class Measure(_Part):
    """What is measured of a key's calls in each window. Written as one word where a word is enough: `count`."""

    kind: MeasureKind
    of: Literal["source", "destination", "answered", "unanswered", "short", "terminated"] | None = None
    short_ms: int = Field(6000, ge=1, le=600_000)
    """A call is short that was answered and lasted no longer."""
    gap: int = Field(1, ge=1, le=10)
    """`adjacent`: numbers are neighbours that differ by at most this much."""

    @model_validator(mode="after")
    def _of_what(self) -> Self:
        if self.kind in ("distinct", "adjacent") and self.of not in ("source", "destination"):
            raise ValueError(f"of: {self.kind} is of source or destination, got {self.of!r}")
        if self.kind == "share" and self.of not in _SHARES_OF:
            raise ValueError(f"of: share is of {', '.join(_SHARES_OF)}, got {self.of!r}")
        if self.kind in _WITHOUT_OF and self.of is not None:
            raise ValueError(f"of: {self.kind} is of the calls themselves; remove it")
        return self


class Baseline(_Part):
    """What is usual: the same hour of the week, averaged over past weeks, times `factor`."""

    factor: float = Field(gt=0, le=1000)
    weeks: int = Field(4, ge=1, le=12)


class Threshold(_Part):
    """From which value it fires. With a baseline both must be passed: the fixed value is its floor.

    `below`: it fires at or under the value instead, where there are `at_least` so many calls in the window (of a
    baseline for `silence`).
    """

    value: float = Field(ge=0, le=1e12)
    below: bool = False
    at_least: int = Field(1, ge=1, le=1_000_000)
    baseline: Baseline | None = None


class Contain(_Part):
    """What goes on which dynamic list for how long, and the caps that hold it back."""

    sources: Name | None = None
    """Dynamic list that gets the callers: the key's, or those seen calling it."""
    destinations: Name | None = None
    """Dynamic list that gets the called number; also an own number, for it is the one under attack."""
    lasts_s: int = Field(900, ge=30, le=7 * 86_400)
    max_entries: int = Field(100, ge=1, le=1000)
    """Of one firing."""
    max_per_minute: int = Field(60, ge=1, le=1000)
    """New entries of this detection in any minute."""
    max_share: float = Field(0.05, gt=0, le=1)
    """Of the site's calls in the hour before: an entry that would have met more is held back."""
    never: tuple[Matcher, ...] = Field((), max_length=MAX_PATTERNS)
    """Patterns that are never listed."""

    @field_validator("never")
    @classmethod
    def _are_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_checked_pattern(one) for one in value)

    @model_validator(mode="after")
    def _lists_something(self) -> Self:
        if self.sources is None and self.destinations is None:
            raise ValueError("sources: is missing; name the dynamic list of sources, of destinations, or both")
        return self


class Source(_Part):
    """Where a default comes from."""

    url: str = Field("", max_length=500)
    says: str = Field(max_length=500)


class Definition(_Part):
    """One detection. A deployed one reports only, unless an operator deploys it to contain."""

    name: DetectionName
    title: str = Field(min_length=1, max_length=120)
    dataset: Dataset
    condition: Condition = Condition()
    key: Key
    prefix_digits: int = Field(7, ge=1, le=14)
    """Of the keys `source_prefix` and `destination_prefix`."""
    measure: Annotated[Measure, BeforeValidator(lambda value: {"kind": value} if isinstance(value, str) else value)]
    window_s: int = Field(ge=1, le=MAX_WINDOW_S)
    threshold: Threshold
    schedule: Schedule | None = None
    schedule_name: Name | None = None
    """A schedule of the installed policy."""
    outside_schedule: bool = False
    """Counts outside the schedule instead of inside."""
    sites: tuple[Name, ...] = Field((), max_length=1000)
    cool_down_s: int = Field(900, ge=1, le=MAX_WINDOW_S)
    """So long below the threshold, and the next firing of a key is another attack."""
    severity: Severity = Severity.WARNING
    mode: Mode = Mode.REPORT
    """What `deploy` does unless told otherwise."""
    contain: Contain | None = None
    needs: str = Field("", max_length=300)
    """What must be filled in before it can be deployed; empty: nothing."""
    sources: tuple[Source, ...] = Field((), max_length=20)
    note: Note = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for fault in _contradictions(self):
            raise ValueError(fault)
        return self

    def as_source(self) -> dict[str, Any]:
        """As it is stored and shown: what its author wrote, without defaults."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _contradictions(one: Definition) -> list[str]:
    """What each field allows and all together do not; each names a field and what would be right."""
    measure, condition, faults = one.measure, one.condition, []
    wanted = "sip" if measure.kind in _SIP_MEASURES else _SHARES_OF.get(measure.of or "", one.dataset)
    if wanted != one.dataset:
        faults.append(f"measure: {measure.of or measure.kind} is of dataset {wanted}, the dataset is {one.dataset}")
    of_sip = {
        "results": condition.results,
        "trunk_side": condition.trunk_side,
        "duration": condition.duration != Duration(),
    }
    if one.dataset == "enum" and (wrong := next((name for name, given in of_sip.items() if given), None)):
        faults.append(f"condition.{wrong}: is of dataset sip, the dataset is enum; remove it")
    if one.dataset == "sip" and condition.actions:
        faults.append("condition.actions: is of dataset enum, the dataset is sip; remove it")
    if measure.kind == "share" and one.threshold.value > 1:
        faults.append(f"threshold.value: a share is 0 to 1, got {one.threshold.value:g}")
    if measure.kind == "silence" and not one.threshold.below:
        faults.append("threshold.below: must be true for silence")
    if one.threshold.below and measure.kind not in ("silence", "share", "duration_mean"):
        faults.append("threshold.below: is for share, duration_mean and silence; to see no calls measure silence")
    if measure.kind == "silence" and one.key not in ("site", "device", "all"):
        faults.append(f"key: silence is of a site, a device or all, got {one.key!r}")
    if measure.kind == "distinct" and measure.of in NUMBER_KEYS.get(one.key, ()):
        faults.append(f"measure.of: the key is {one.key} already, whose {measure.of} is one; count the other side")
    if one.schedule is not None and one.schedule_name is not None:
        faults.append("schedule_name: a schedule is given as well; keep one of the two")
    if one.outside_schedule and one.schedule is None and one.schedule_name is None:
        faults.append("outside_schedule: needs a schedule")
    if one.mode is Mode.CONTAIN and one.contain is None:
        faults.append("contain: is missing; mode contain needs to know which list, such as {sources: attackers}")
    if one.contain is not None and one.contain.destinations and "destination" not in NUMBER_KEYS.get(one.key, ()):
        faults.append(f"contain.destinations: the key {one.key} names no destination; key by destination or pair")
    if one.contain is not None and one.threshold.below:
        faults.append("contain: there is nobody to list where too little happens; remove it")
    return faults


def parse_definition(text: bytes) -> Definition:
    """Read YAML (or JSON, which is YAML) as an operator writes it. InvalidInputError names the field."""
    try:
        return definition_from(read_yaml(text))
    except InvalidInputError as error:
        raise _invalid(error.message, error.detail.get("faults")) from None


def definition_from(tree: object) -> Definition:
    """Check a tree of plain values. InvalidInputError names the field, what was wrong and what would be right."""
    if not isinstance(tree, dict):
        raise _invalid("expected a mapping with name, title, dataset, key, measure, window_s, threshold")
    try:
        return Definition.model_validate(tree)
    except ValidationError as error:
        faults = [_fault(describe_fault(details, tree)) for details in error.errors(include_url=False)]
        more = f" (and {len(faults) - SHOWN_FAULTS} more)" if len(faults) > SHOWN_FAULTS else ""
        raise _invalid("; ".join(faults[:SHOWN_FAULTS]) + more, faults) from None


def render_definition(source: dict[str, Any]) -> str:
    """A stored definition as YAML that `parse_definition` reads to the same definition."""
    return write_yaml(source)


def definition_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of a detection as people write it; published as docs/detection.schema.json."""
    schema = Definition.model_json_schema(by_alias=True)
    measure = schema["properties"]["measure"]
    words = {"enum": list(_WITHOUT_OF), "type": "string"}
    schema["properties"]["measure"] = {"anyOf": [measure, words]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://ringfence.example/detection.schema.json",
        "title": "Ringfence detection",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def render_schema() -> str:
    """The schema's text, as it is committed."""
    return json.dumps(definition_schema(), indent=2, ensure_ascii=False) + "\n"


def _fault(line: str) -> str:
    if line.startswith("name: must be a name of"):
        return line.replace("letters, digits, spaces, '.', '_' or '-'", "lower-case letters, digits or '-'")
    return line


def _invalid(message: str, faults: list[str] | None = None) -> InvalidInputError:
    return InvalidInputError(message, code="invalid.detection", detail={"faults": faults or [message]})
