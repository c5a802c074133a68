"""The test plan of one deployment: where what stands, who does what, when, what is tested with which numbers (R22).

A plan is made from the registered sites and devices (`draft_plan`), edited as YAML, read back with every fault named,
and kept in the record of each run as it was then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ringfence.acceptance.sbc.presets import PRESETS, Preset, preset_named
from ringfence.errors import InvalidInputError
from ringfence.policy.yaml_reader import read_yaml, write_yaml

_SHOWN_FAULTS = 3

Line = Annotated[str, StringConstraints(max_length=500, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)]
Number = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{3,14}$")]


def split_address(text: str) -> tuple[str, int]:
    """ADDRESS:PORT as a pair. ValueError in words."""
    host, colon, port = text.rpartition(":")
    try:
        address = str(ip_address(host.strip("[]")))
        number = int(port)
    except ValueError:
        address, number = "", 0
    if not colon or not 1 <= number <= 65535:
        raise ValueError(f"{text!r} is not an address; expected 192.0.2.11:53 or [2001:db8::11]:53")
    return address, number


def _address(text: str) -> str:
    split_address(text)
    return text


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Person(_Part):
    """Somebody with a part in the test."""

    role: Literal["tester", "witness", "customer", "engineer", "contact"]
    name: Line = ""
    company: Line = ""
    contact: Line = Field("", description="telephone or e-mail")
    duties: Line = ""


class Appointment(_Part):
    """A line of the schedule."""

    what: Line
    day: date | None = None
    hours: Line = Field("", description="such as 09:00-12:00 CST")
    who: Line = ""


class EnumServer(_Part):
    """A registered ENUM server, and where its SBC asks it."""

    name: Name
    address: Annotated[str, AfterValidator(_address)] = Field(description="ADDRESS:PORT that the SBC asks")


class Probe(_Part):
    """A registered probe."""

    name: Name
    interface: Line = Field("", description="the tap's interface, such as bond0")


class SbcFigures(_Part):
    """What the site's SBC does otherwise than its make's preset; seconds."""

    distribution: Literal["round_robin", "hunt"] | None = None
    retransmit_s: float | None = None
    timeout_s: float | None = None
    rest_s: float | None = None
    failures: int | None = None
    out_of_service_s: float | None = None
    all_down: Literal["proceed", "fail"] | None = None


class Sbc(_Part):
    """The site's SBC."""

    name: Line = "SBC"
    preset: str = Field("oracle", description=f"one of {', '.join(PRESETS)}")
    address: Line = Field("", description="its own address, from which the emulator asks")
    figures: SbcFigures = SbcFigures()

    @model_validator(mode="after")
    def _known(self) -> Sbc:
        try:
            self.behaviour()
        except InvalidInputError as error:
            raise ValueError(error.message) from None
        return self

    def behaviour(self) -> Preset:
        """The preset with this site's figures."""
        return preset_named(self.preset, **self.figures.model_dump(exclude_none=True))


class Location(_Part):
    """A site: its SBC, ENUM servers and probes."""

    site: Name
    address: Line = ""
    contact: Line = ""
    sbc: Sbc = Sbc()
    enum_servers: tuple[EnumServer, ...] = Field((), max_length=32)
    probes: tuple[Probe, ...] = Field((), max_length=32)


class Management(_Part):
    """Mediation and database, active and, where there is one, standby."""

    active: Line = ""
    standby: Line = Field("", description="empty: there is none")
    copy_at_most_h: float = Field(24.0, gt=0, le=8760, description="how old the standby's copy may be, hours")


class Numbers(_Part):
    """Test numbers, E.164. The policy of the test touches calls from `source` to these numbers, and no others."""

    source: Number
    allowed: Number
    terminated: Number
    redirected: Number
    target: Number = Field(description="where calls to `redirected` go")

    @model_validator(mode="after")
    def _distinct(self) -> Numbers:
        twice = [number for number, times in Counter(self.model_dump().values()).items() if times > 1]
        if twice:
            raise ValueError(f"{twice[0]} stands twice; five different numbers are needed")
        return self


class Waits(_Part):
    """How long the baseline is watched, minutes. Real by default; a run may scale them, and its record says so."""

    running_min: float = Field(10.0, ge=0, le=1440)
    log_min: float = Field(30.0, ge=0, le=1440)


class Exclusion(_Part):
    """A case that this deployment does without."""

    case: Annotated[str, StringConstraints(pattern=r"^[ABC][0-9]{1,2}$")]
    reason: Annotated[str, StringConstraints(min_length=3, max_length=500)]


class Plan(_Part):
    """The whole plan."""

    title: Line = "Functional system test"
    customer: Line = ""
    reference: Line = ""
    prepared_by: Line = ""
    prepared_on: date | None = None
    apex: Name = "e164.internal"
    people: tuple[Person, ...] = ()
    schedule: tuple[Appointment, ...] = ()
    scope: tuple[Line, ...] = ()
    out_of_scope: tuple[Line, ...] = ()
    management: Management = Management()
    locations: tuple[Location, ...] = Field(min_length=1, max_length=64)
    numbers: Numbers
    waits: Waits = Waits()
    without: tuple[Exclusion, ...] = ()

    @model_validator(mode="after")
    def _names_once(self) -> Plan:
        for words, names in (
            ("site", [location.site for location in self.locations]),
            ("device", list(self.devices())),
            ("address", [server.address for location in self.locations for server in location.enum_servers]),
        ):
            twice = [name for name, times in Counter(names).items() if times > 1]
            if twice:
                raise ValueError(f"{words} {twice[0]!r} stands twice in locations")
        if not any(location.enum_servers for location in self.locations):
            raise ValueError("locations: none has an ENUM server; there is nothing to test")
        return self

    def devices(self) -> Iterator[str]:
        """The names of all servers and probes."""
        for location in self.locations:
            yield from (server.name for server in location.enum_servers)
            yield from (probe.name for probe in location.probes)

    def as_json(self) -> dict[str, Any]:
        """Plain values, as they are written and read."""
        return self.model_dump(mode="json")


def read_plan(text: bytes) -> Plan:
    """A plan of YAML or JSON text. InvalidInputError names each fault's field."""
    return plan_from(read_yaml(text))


def plan_from(tree: object) -> Plan:
    """A plan of plain values. InvalidInputError."""
    if not isinstance(tree, dict):
        raise InvalidInputError("plan: expected a mapping with locations and numbers; `ringfence fst plan` makes one")
    try:
        return Plan.model_validate(tree)
    except ValidationError as error:
        faults = [_words(fault) for fault in error.errors(include_url=False)]
        more = f" (and {len(faults) - _SHOWN_FAULTS} more)" if len(faults) > _SHOWN_FAULTS else ""
        message = "; ".join(faults[:_SHOWN_FAULTS]) + more
        raise InvalidInputError(message, code="invalid.plan", detail={"faults": faults}) from None


def write_plan(plan: Plan) -> str:
    """The plan as YAML that `read_plan` reads to the same plan."""
    return write_yaml(plan.as_json())


def plan_schema() -> dict[str, Any]:
    """JSON schema, for editors that help and check as one writes."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Plan.model_json_schema()


def draft_plan(sites: list[dict[str, Any]], devices: list[dict[str, Any]], numbers: Numbers, today: date) -> Plan:
    """A plan of what is registered (as the API tells sites and devices); what nobody can know is left to fill in."""
    addresses = _addresses([device for device in devices if device["kind"] == "enum"])
    apexes = Counter(apex for device in devices for apex in device["report"].get("apex", []))
    return Plan(
        prepared_on=today,
        apex=apexes.most_common(1)[0][0] if apexes else "e164.internal",
        people=(
            Person(role="tester", duties="carries the procedures out and signs the record"),
            Person(role="witness", duties="watches for the customer and signs the record"),
            Person(role="contact", duties="SBC administration at each site"),
        ),
        schedule=(
            Appointment(what="Baseline (A) and ENUM (B)"),
            Appointment(what="Probes (C)"),
            Appointment(what="Signing of the record"),
        ),
        scope=(
            "A: the system runs, keeps running and is in step",
            "B: each ENUM server's answers, and the SBC's routing with servers up and down",
            "C: each probe's tap and call records",
        ),
        management=Management(active="this mediation"),
        locations=tuple(
            Location(
                site=site["name"],
                enum_servers=tuple(
                    EnumServer(name=device["name"], address=addresses[device["name"]])
                    for device in devices
                    if device["site"] == site["name"] and device["kind"] == "enum"
                ),
                probes=tuple(
                    Probe(name=device["name"], interface=", ".join(_links(device)))
                    for device in devices
                    if device["site"] == site["name"] and device["kind"] == "probe"
                ),
            )
            for site in sites
            if any(device["site"] == site["name"] for device in devices)
        ),
        numbers=numbers,
    )


def _addresses(servers: list[dict[str, Any]]) -> dict[str, str]:
    """Server name → where it listens; of one that has not said it yet an address of RFC 5737, to be filled in."""
    found: dict[str, str] = {}
    for number, device in enumerate(servers, 1):
        address = _listens(device)
        found[device["name"]] = address if address and address not in found.values() else f"192.0.2.{number % 255}:53"
    return found


def _listens(device: dict[str, Any]) -> str:
    """Where an ENUM server said that it listens; a wildcard is where it was last heard from. Empty: not known."""
    listen = [text for text in device["report"].get("listen", []) if ":" in text]
    if not listen:
        return ""
    host, port = split_address(listen[0])
    if ip_address(host).is_unspecified:
        host = device["address"] or "127.0.0.1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _links(device: dict[str, Any]) -> list[str]:
    return [str(link.get("name", "")) for link in device["report"].get("links", [])]


def _words(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "no such field"
    elif fault["type"] == "missing":
        message = "is missing"
    elif not message.startswith(repr(fault["input"])) and isinstance(fault["input"], str | int | float):
        message = f"{message}, got {fault['input']!r}"
    return f"{place}: {message}" if place else message
